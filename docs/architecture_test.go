//go:build linux

package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

const architecture = "../ARCHITECTURE.md"

var (
	fileMark = regexp.MustCompile(`^file (\S+)$`)
	lineMark = regexp.MustCompile(`^line (\S+) after (.+)$`)
)

// TestArchitecture adds a module as ARCHITECTURE.md says, in a copy of the repository, and reads its series from a real
// Kamailio.
func TestArchitecture(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	repository := copyRepository(t)
	for _, b := range blocks(t, "go") {
		if match := fileMark.FindStringSubmatch(b.mark); match != nil {
			writeFile(t, filepath.Join(repository, match[1]), b.text)
		}
		if match := lineMark.FindStringSubmatch(b.mark); match != nil {
			insert(t, filepath.Join(repository, match[1]), match[2], b.text)
		}
	}
	for _, b := range blocks(t, "sh") {
		if b.page == architecture {
			run(t, repository, "sh", "-e", "-c", b.text)
		}
	}
	if diff := run(t, repository, "git", "diff", "--", "docs/metrics.md"); !strings.Contains(diff, "\n+| `kamailio_core_udp4_raw_ttl` | gauge |") {
		t.Errorf("docs/metrics.md does not have the new series: %s", diff)
	}
	run(t, repository, "gofmt", "-l", "-e", "internal/collector")
	program := filepath.Join(t.TempDir(), "kamailio_exporter")
	run(t, repository, "go", "build", "-o", program, "./cmd/kamailio_exporter")
	page := startExporter(t, exec.CommandContext(t.Context(), program, "-l", "127.0.0.1:0", "-u", k.URI("unix"))).scrape()
	for _, want := range []string{"kamailio_core_udp4_raw_enabled ", "kamailio_core_udp4_raw_mtu_bytes 1500\n", "kamailio_core_udp4_raw_ttl "} { // the others differ for root
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// copyRepository copies what the tests need into a repository of its own, and returns the directory.
func copyRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "..", "cp", "-R", "cmd", "docs", "internal", "packaging", "rpc", "go.mod", "go.sum", dir)
	run(t, dir, "git", "init", "--quiet")
	run(t, dir, "git", "add", "--all")
	return dir
}

// insert adds text to a file after a line, which the page has without its indentation.
func insert(t *testing.T, file, line, text string) {
	t.Helper()
	lines := strings.SplitAfter(readPage(t, file), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == line })
	if at < 0 {
		t.Fatalf("%s has no line %s", file, line)
	}
	writeFile(t, file, strings.Join(slices.Insert(lines, at+1, text), ""))
}
