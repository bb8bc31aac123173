//go:build linux

package docs_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestCommands runs every block of sh as it is written, except for the addresses: the programs' defaults and those in the text
// become those of a Kamailio of the lab and of a running exporter.
func TestCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: the pages' commands need curl")
	}
	k := lab.StartTest(t, lab.Options{Config: `modparam("pv", "shvset", "maintenance=i:0")`})
	beside := start(t, "-u", k.URI("unix"))
	play(t, k, beside)
	for _, b := range blocks(t, "sh") {
		if b.page == architecture || b.mark == fleetMark {
			continue // TestArchitecture or TestFleet runs it
		}
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(b.page), b.line), func(t *testing.T) {
			text := withAddresses(b.text, k, beside)
			dir := t.TempDir()
			if b.mark == "in the repository" {
				dir = ".."
			}
			if strings.HasPrefix(text, "kamailio_exporter") && !regexp.MustCompile(`--(help|version|once)|^kamailio_exporter check`).MatchString(text) {
				serve(t, strings.TrimSpace(text))
			} else if run(t, dir, "sh", "-e", "-c", text) == "" {
				t.Error("it prints nothing")
			}
		})
	}
}

// externalURL matches the path under which the exporter's pages are.
var externalURL = regexp.MustCompile(`--web\.external-url \w+://[^/]+(/\S+)/`)

// serve starts the exporter of a block and checks that nothing fails in a scrape.
func serve(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(text, "--web.listen-address") {
		text += " -l 127.0.0.1:0"
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec "+text)
	cmd.Env = withPrograms()
	e := startExporter(t, cmd)
	if match := externalURL.FindStringSubmatch(text); match != nil {
		e.address += match[1]
	}
	for line := range strings.Lines(e.scrape()) {
		if line == "kamailio_up 0\n" || strings.HasPrefix(line, "kamailio_exporter_collector_success{") && strings.HasSuffix(line, " 0\n") {
			t.Errorf("it gives %s", line)
		}
	}
}

// command matches a line that runs one of the programs, or a command of the exporter.
var command = regexp.MustCompile(`(?m)^(kamailio_exporter(?: check)?|kamrpc)\b(.*)$`)

// withAddresses replaces the addresses of Kamailio and of a running exporter that the pages use.
func withAddresses(text string, k *lab.Kamailio, beside *exporter) string {
	text = command.ReplaceAllStringFunc(text, func(line string) string {
		if strings.Contains(line, " -u ") {
			return line
		}
		parts := command.FindStringSubmatch(line)
		return parts[1] + " -u " + k.URI("unix") + parts[2]
	})
	return strings.NewReplacer(
		"unix:/var/run/kamailio/kamailio_ctl", k.URI("unix"),
		"tcp://127.0.0.1:2046", k.URI("tcp"),
		"127.0.0.1:5060", k.SIPAddr(),
		"127.0.0.1:9494", "127.0.0.1:0",
		"localhost:9494", beside.address,
	).Replace(text)
}

// TestLibraryProgram runs the program of library.md against a real Kamailio.
func TestLibraryProgram(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	for _, b := range blocks(t, "go") {
		if b.mark != "program" {
			continue
		}
		file := filepath.Join(t.TempDir(), "main.go")
		writeFile(t, file, strings.ReplaceAll(b.text, "unix:/var/run/kamailio/kamailio_ctl", k.URI("unix")))
		out := run(t, "", "go", "run", file)
		if want := regexp.MustCompile(`(?s)^\d+ of \d+ .*\n(sip:\S+ [A-Z]+\n){5}$`); !want.MatchString(out) {
			t.Errorf("it prints\n%s", out)
		}
	}
}

// TestLibraryExamples finds the Go code of library.md in the examples of the packages, which run as tests.
func TestLibraryExamples(t *testing.T) {
	examples := readPage(t, "../rpc/example_test.go") + readPage(t, "../rpc/binrpctest/example_test.go")
	found := 0
	for _, b := range blocks(t, "go") {
		if b.page != "library.md" || b.mark == "program" {
			continue
		}
		found++
		if !strings.Contains(examples, b.text) {
			t.Errorf("%s:%d: this is in no example:\n%s", b.page, b.line, b.text)
		}
	}
	if found == 0 {
		t.Error("library.md has no code")
	}
}
