package config

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// TestHelpFitsTwoScreens prints the help for a terminal of 100 columns. It must have at most 60 lines.
func TestHelpFitsTwoScreens(t *testing.T) {
	const columns, lines = 100, 60
	t.Setenv("COLUMNS", "100")
	var help strings.Builder
	app := App()
	app.UsageWriter(&help)
	app.Usage(nil)
	if got := strings.Count(help.String(), "\n"); got > lines {
		t.Errorf("the help has %d lines, want at most %d:\n%s", got, lines, help.String())
	}
	for line := range strings.Lines(help.String()) {
		if len(strings.TrimRight(line, "\n ")) > columns {
			t.Errorf("the line has more than %d columns: %s", columns, line)
		}
	}
}

// TestHelpMethodsListsEachMethod checks that each method has one line with its name, whether auto calls it, and its help.
func TestHelpMethodsListsEachMethod(t *testing.T) {
	var list strings.Builder
	if err := printMethods(&list); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(list.String(), "\n"), len(collector.All)+1; got != want {
		t.Errorf("the list has %d lines, want %d", got, want)
	}
	for _, c := range collector.All {
		auto := map[bool]string{true: "yes", false: "no"}[c.Auto]
		if c.Setting != "" {
			auto = "with " + SettingName(c.Setting)
		}
		line := "(?m)^" + regexp.QuoteMeta(c.Method) + " +" + regexp.QuoteMeta(auto) + " +" + regexp.QuoteMeta(c.Help) + "$"
		if !regexp.MustCompile(line).MatchString(list.String()) {
			t.Errorf("the list does not have a line %s", line)
		}
	}
}

// TestHelpMethodsEndsTheProgram runs itself in a process that parses the flag, and writes to a file, and to one without space.
func TestHelpMethodsEndsTheProgram(t *testing.T) {
	if os.Getenv("HELP_METHODS_TEST") != "" {
		_, err := Parse([]string{"--help-methods"})
		fmt.Fprint(os.Stderr, err)
		os.Exit(3)
	}
	run := func(stdout io.Writer) (stderr string, status int) {
		var errs strings.Builder
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "HELP_METHODS_TEST=1")
		cmd.Stdout, cmd.Stderr = stdout, &errs
		_ = cmd.Run() // the status is returned
		return errs.String(), cmd.ProcessState.ExitCode()
	}
	var want, got strings.Builder
	if err := printMethods(&want); err != nil {
		t.Fatal(err)
	}
	if stderr, status := run(&got); status != 0 || stderr != "" || got.String() != want.String() {
		t.Errorf("status %d, errors %s, output\n%s", status, stderr, got.String())
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: needs /dev/full: ", err)
	}
	defer full.Close()
	if stderr, status := run(full); status != 3 || !strings.Contains(stderr, "print the methods: write ") {
		t.Errorf("without space: status %d, errors %s", status, stderr)
	}
}
