package docs_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// tableFlag is a row of the table of flags: the flag, its short form and its default.
var tableFlag = regexp.MustCompile("(?m)^\\| `--([a-z][a-z.-]+)` \\| (?:`-(\\w)`)? ?\\| (?:`([^`]*)`)? ?\\|")

// helpFlag is a flag in the program's help. The default is missing where there is none.
var helpFlag = regexp.MustCompile(`(?m)^  (?:-(\w), |    )--(?:\[no-\])?([a-z.-]+)(=\S+)?`)

// defaultsInWords are the defaults that the help tells in its text, or not at all.
var defaultsInWords = map[string]string{
	"log.level": "info", "log.format": "logfmt", "kamailio.methods": "auto",
	"web.disable-exporter-metrics": "false", "web.systemd-socket": "false",
}

// TestFlags compares the table of flags with the program's help: names, short forms and defaults.
func TestFlags(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kamailio_exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/kamailio_exporter").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	help, err := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, match := range helpFlag.FindAllStringSubmatch(string(help), -1) {
		want = append(want, flagRow(match[2], match[1], defaultOf(match[2], match[3])))
	}
	section, _, _ := strings.Cut(readPage(t, "configuring.md"), "\n## Where Kamailio listens")
	var got []string
	for _, match := range tableFlag.FindAllStringSubmatch(section, -1) {
		got = append(got, flagRow(match[1], match[2], match[3]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the table has\n%s\nthe program\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func flagRow(name, short, value string) string { return name + " -" + short + " " + value }

// defaultOf is the default in the help, where a placeholder in capitals stands for none.
func defaultOf(name, value string) string {
	value = strings.Trim(strings.TrimPrefix(value, "="), `"`)
	if known, ok := defaultsInWords[name]; ok {
		return known
	}
	if value == strings.ToUpper(value) && strings.Trim(value, "0123456789:") != "" {
		return ""
	}
	return strings.TrimSuffix(value, "...")
}

// TestJSONRPC compares the list of what is not asked over JSON-RPC with the collectors.
func TestJSONRPC(t *testing.T) {
	_, section, _ := strings.Cut(readPage(t, "configuring.md"), "### JSON-RPC")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, c := range collector.All {
		if c.BINRPCOnly != strings.Contains(section, "`"+c.Method+"`") && c.Method != "secfilter.stats" {
			t.Errorf("configuring.md is wrong about %s over JSON-RPC", c.Method)
		}
	}
}

// TestMethods compares the README's tables of methods with the collectors: what is asked without being named, and what is not.
func TestMethods(t *testing.T) {
	_, tables, _ := strings.Cut(readPage(t, "../README.md"), "\n## What you get\n")
	auto, others, _ := strings.Cut(tables, "Only if asked for")
	for _, c := range collector.All {
		right, wrong := auto, others
		asked := !c.Auto || c.Flag != ""
		if asked {
			right, wrong = others, auto
		}
		if !strings.Contains(right, "`"+c.Method+"`") || strings.Contains(wrong, "`"+c.Method+"`") {
			t.Errorf("the README does not have %s where it belongs", c.Method)
		}
		if reasons := readPage(t, "configuring.md"); asked && !strings.Contains(reasons, "`"+c.Method+"`") {
			t.Errorf("configuring.md does not say why %s is not in auto", c.Method)
		}
	}
}
