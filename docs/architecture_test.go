//go:build linux

package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// inTheCopy marks a block of commands that are to run in a copy of the repository.
const inTheCopy = "in the copy"

var (
	fileMark = regexp.MustCompile(`^file (\S+)$`)
	lineMark = regexp.MustCompile(`^line (\S+) after (.+)$`)
)

// TestArchitecture adds a module as ARCHITECTURE.md says, in a copy of the repository, and sees its series with a real Kamailio.
func TestArchitecture(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	repository := copyRepository(t)
	commands := 0
	for _, b := range blocks(t, "../ARCHITECTURE.md") {
		if match := fileMark.FindStringSubmatch(b.mark); match != nil {
			writeFile(t, filepath.Join(repository, match[1]), b.text)
		}
		if match := lineMark.FindStringSubmatch(b.mark); match != nil {
			insert(t, filepath.Join(repository, match[1]), match[2], b.text)
		}
		if b.mark == inTheCopy {
			commands++
			run(t, repository, "sh", "-e", "-c", b.text)
		}
	}
	if commands == 0 {
		t.Fatal("the page has no commands to run")
	}
	if diff := run(t, repository, "git", "diff", "--", "docs/metrics.md"); !strings.Contains(diff, "\n+| `kamailio_core_udp4_raw_ttl` | gauge |") {
		t.Errorf("docs/metrics.md does not have the new series: %s", diff)
	}
	run(t, repository, "gofmt", "-l", "-e", "internal/collector")
	program := filepath.Join(t.TempDir(), "kamailio_exporter")
	run(t, repository, "go", "build", "-o", program, "./cmd/kamailio_exporter")
	page := startExporter(t, exec.CommandContext(context.WithoutCancel(t.Context()), program, "-l", "127.0.0.1:0", "-u", k.URI("unix"))).scrape()
	for _, want := range []string{"kamailio_core_udp4_raw_enabled ", "kamailio_core_udp4_raw_mtu_bytes 1500\n", "kamailio_core_udp4_raw_ttl "} { // the others differ for root
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// TestRooms fails for a directory that the page does not have.
func TestRooms(t *testing.T) {
	page := readPage(t, "../ARCHITECTURE.md")
	found := 0
	for _, pattern := range []string{"../cmd/*", "../internal/*", "../rpc/*/*.go", "../rpc/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name = strings.TrimPrefix(name, "../")
			if strings.HasSuffix(name, ".go") {
				name = filepath.Dir(name)
			}
			found++
			if !strings.Contains(page, "| `"+name+"` |") {
				t.Errorf("ARCHITECTURE.md does not have %s", name)
			}
		}
	}
	if found == 0 {
		t.Error("there are no directories")
	}
}

// copyRepository copies what the tests need into a repository of its own, and returns the directory.
func copyRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cmd", "docs", "internal", "packaging", "rpc"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("..", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		writeFile(t, filepath.Join(dir, name), readPage(t, filepath.Join("..", name)))
	}
	run(t, dir, "git", "init", "--quiet")
	run(t, dir, "git", "add", "--all")
	return dir
}

// insert adds text after the line that is there once.
func insert(t *testing.T, file, line, text string) {
	t.Helper()
	before, after, found := strings.Cut(readPage(t, file), "\n\t"+line+"\n")
	indented := "\n\t" + line + "\n"
	if !found {
		indented = "\n" + line + "\n"
		before, after, found = strings.Cut(readPage(t, file), indented)
	}
	if !found {
		t.Fatalf("%s has no line %s", file, line)
	}
	writeFile(t, file, before+indented+text+after)
}

// run runs a command in dir and returns what it prints.
func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_PAGER=cat")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}
