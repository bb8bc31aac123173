// Package docs_test checks the documentation against the program, and writes the parts of it that are generated.
package docs_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// programs is the directory of the exporter and kamrpc, which TestMain builds.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		log.Fatal(err)
	}
	programs = dir
	code := 1
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", dir, "../cmd/...").CombinedOutput(); err != nil {
		log.Printf("build the programs: %v: %s", err, out)
	} else {
		code = m.Run()
		if err := goleak.Find(); err != nil {
			log.Print(err)
			code = 1
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

// pages returns the paths of all Markdown files that are written here.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "*.md", "runbooks/*.md", "../packaging/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages %s: %v", pattern, err)
		}
		all = append(all, found...)
	}
	return all
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of a page.
type block struct {
	page string
	line int
	// mark is the HTML comment in the line above, "" for none.
	mark string
	text string
}

// languages are those that a test reads, and console: commands that need root, a release or another machine.
var (
	languages = []string{"sh", "console", "yaml", "kamailio", "go", "ini", "jsonnet", "promql", "text"}
	fenced    = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]+) -->\n)?```([^\n]*)\n(.*?)^```$")
)

// blocks returns the fenced blocks of all pages in a language.
func blocks(t *testing.T, language string) []block {
	t.Helper()
	var all []block
	for _, page := range pages(t) {
		text := readPage(t, page)
		for _, match := range fenced.FindAllStringSubmatch(text, -1) {
			before, _, _ := strings.Cut(text, match[0])
			b := block{page, strings.Count(before, "\n") + 1, match[1], match[3]}
			if !slices.Contains(languages, match[2]) {
				t.Errorf("%s:%d: a block of %q, use one of %v", page, b.line, match[2], languages)
			}
			if match[2] == language {
				all = append(all, b)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("no page has a block of %s", language)
	}
	return all
}

// rows returns the cells of the tables, in all pages, that have an HTML comment in the line above.
func rows(t *testing.T, mark string) [][]string {
	t.Helper()
	var all [][]string
	for _, page := range pages(t) {
		for _, part := range strings.Split(readPage(t, page), "\n<!-- "+mark+" -->\n")[1:] {
			table, _, _ := strings.Cut(part, "\n\n")
			for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
				all = append(all, strings.Split(strings.Trim(line, "|"), "|"))
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("no table is marked %s", mark)
	}
	return all
}

var code = regexp.MustCompile("`([^`]+)`")

// quoted returns what a cell has in backquotes.
func quoted(cell string) []string {
	var all []string
	for _, match := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, match[1])
	}
	return all
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks checks that the file and the heading exist that a link within the repository leads to.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(readPage(t, page), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(match[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, match[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, match[1])
			}
		}
	}
}

// anchor returns the name that GitHub gives a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(notAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// named matches an anchor that is written in a page.
var named = regexp.MustCompile(`<a id="([^"]*)"></a>`)

// anchors returns the names of a page's headings, and the anchors that are written in it. Those of repeated headings are
// numbered.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for _, match := range heading.FindAllStringSubmatch(readPage(t, page), -1) {
		name := anchor(match[1])
		for again := 1; slices.Contains(all, name); again++ {
			name = fmt.Sprintf("%s-%d", anchor(match[1]), again)
		}
		all = append(all, name)
	}
	for _, match := range named.FindAllStringSubmatch(readPage(t, page), -1) {
		all = append(all, match[1])
	}
	return all
}

var released = regexp.MustCompile(`(?:releases/download/v|@v|kamailio[-_]exporter[-_:])(\d+\.\d+\.\d+)`)

// TestVersions compares the versions in the pages' links and commands with the program's.
func TestVersions(t *testing.T) {
	version := strings.TrimSpace(readPage(t, "../VERSION"))
	for _, page := range pages(t) {
		for _, match := range released.FindAllStringSubmatch(readPage(t, page), -1) {
			if match[1] != version {
				t.Errorf("%s has %s, the version is %s", page, match[0], version)
			}
		}
	}
}

// TestNotReleased checks that the pages that lead to a release say that there is none yet, as long as CHANGELOG.md has no date
// for it.
func TestNotReleased(t *testing.T) {
	version := strings.TrimSpace(readPage(t, "../VERSION"))
	want := strings.Contains(readPage(t, "../CHANGELOG.md"), "\n## "+version+", not released yet\n")
	for _, page := range []string{"../README.md", "installing.md"} {
		if got := strings.Contains(readPage(t, page), "Version "+version+" is not released yet"); got != want {
			t.Errorf("%s says that %s is not released yet: %v; CHANGELOG.md: %v", page, version, got, want)
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
