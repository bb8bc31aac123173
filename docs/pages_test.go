package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a page.
type block struct {
	page string
	line int
	// language is the word after the fence: sh, yaml and so on.
	language string
	// mark is the HTML comment in the line above, "" for none.
	mark string
	text string
}

// pages are all pages with words of our own, by their path from here.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "*.md", "../packaging/*.md"} {
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

var markLine = regexp.MustCompile(`^<!-- (.+) -->$`)

// blocks are all fenced blocks of a page.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	var all []block
	var current *block
	mark := ""
	for i, line := range strings.Split(readPage(t, page), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && current == nil:
			current = &block{page: page, line: i + 1, language: fence, mark: mark}
		case isFence:
			all = append(all, *current)
			current = nil
		case current != nil:
			current.text += line + "\n"
		}
		mark = ""
		if match := markLine.FindStringSubmatch(line); match != nil {
			mark = match[1]
		}
	}
	if current != nil {
		t.Fatalf("%s: the block of line %d does not end", page, current.line)
	}
	return all
}

// blocksOf are the blocks of all pages in a language.
func blocksOf(t *testing.T, language string) []block {
	t.Helper()
	var found []block
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.language == language {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no page has a block of %s", language)
	}
	return found
}

// TestLanguages fails for a block that no test looks at.
func TestLanguages(t *testing.T) {
	known := []string{"sh", "console", "yaml", "kamailio", "go", "ini", "text"}
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if !slices.Contains(known, b.language) {
				t.Errorf("%s:%d: a block of %q, use one of %v", b.page, b.line, b.language, known)
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestLinks fails for a link to a file or a heading that is not there.
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
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, match[1])
			}
		}
	}
}

// anchors are the names that GitHub gives the headings of a page.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	for _, match := range heading.FindAllStringSubmatch(readPage(t, page), -1) {
		name := strings.ToLower(match[1])
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

var (
	releaseFile = regexp.MustCompile(`releases/download/v(\d+\.\d+\.\d+)/kamailio[-_]exporter[-_](\d+\.\d+\.\d+)`)
	image       = regexp.MustCompile(`ghcr\.io/[a-z-]+/kamailio_exporter:(\S+)`)
)

// TestVersions compares the versions in the pages' commands with the program's.
func TestVersions(t *testing.T) {
	version := strings.TrimSpace(readPage(t, "../VERSION"))
	found := 0
	for _, page := range pages(t) {
		text := readPage(t, page)
		for _, match := range slices.Concat(releaseFile.FindAllStringSubmatch(text, -1), image.FindAllStringSubmatch(text, -1)) {
			found++
			for _, got := range match[1:] {
				if got != version {
					t.Errorf("%s has %s, the version is %s", page, match[0], version)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no page has a version")
	}
}
