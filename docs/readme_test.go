package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/internal/collector"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeFlags compares the README's table of flags with the program's help.
func TestReadmeFlags(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kamailio_exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/kamailio_exporter").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	help, err := exec.CommandContext(t.Context(), program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^  (?:-\w, |    )--(?:\[no-\])?([a-z.-]+)`).FindAllStringSubmatch(string(help), -1) {
		want = append(want, match[1])
	}
	flag := regexp.MustCompile(`--([a-z][a-z.-]+)`)
	var got []string
	for line := range strings.Lines(readme(t)) {
		if strings.HasPrefix(line, "| `--") {
			cell, _, _ := strings.Cut(line[2:], " |")
			for _, match := range flag.FindAllStringSubmatch(cell, -1) {
				got = append(got, match[1])
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	got = slices.Compact(got) // the table of JSON-RPC names one again
	if !slices.Equal(got, want) {
		t.Errorf("the README has the flags\n%v, the program\n%v", got, want)
	}
}

// TestReadmeJSONRPC compares the README's list of what is not asked over JSON-RPC
// with the collectors.
func TestReadmeJSONRPC(t *testing.T) {
	_, section, _ := strings.Cut(readme(t), "### JSON-RPC")
	section, _, _ = strings.Cut(section, "\n### ")
	for _, c := range collector.All {
		if c.BINRPCOnly && !strings.Contains(section, "`"+c.Method+"`") {
			t.Errorf("the README does not say that %s is not asked", c.Method)
		}
	}
}

// TestReadmeMethods compares the README's table of methods with the collectors.
func TestReadmeMethods(t *testing.T) {
	table := readme(t)
	for _, c := range collector.All {
		if !strings.Contains(table, "`"+c.Method+"`") {
			t.Errorf("the README does not have %s", c.Method)
		}
	}
}
