//go:build linux

package packaging

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the paths of the documentation, relative to the root directory of the repository: README and all pages,
// pictures, examples, rules and manifests that it links to. Archives and packages have them at the same paths.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/images/*", "docs/runbooks/*.md", "examples/*", "mixin/*.yml", "mixin/*.libsonnet", "mixin/dashboards/*.json", "packaging/kubernetes/*.yaml"} {
		found, err := filepath.Glob("../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("documents %s: %q, %v", pattern, found, err)
		}
		for _, name := range found {
			all = append(all, strings.TrimPrefix(name, "../"))
		}
	}
	return all
}

// pageLink matches the target of a link or of a picture in a page.
var pageLink = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

// checkLinks follows the links from README.md in dir to other files, and from there on.
func checkLinks(t *testing.T, dir string) {
	t.Helper()
	seen := make(map[string]bool)
	for pages := []string{"README.md"}; len(pages) > 0; pages = pages[1:] {
		for _, match := range pageLink.FindAllStringSubmatch(string(contents(t, filepath.Join(dir, pages[0]))), -1) {
			target := path.Join(path.Dir(pages[0]), match[1])
			if strings.Contains(match[1], "://") || seen[target] {
				continue
			}
			seen[target] = true
			if _, err := os.Stat(filepath.Join(dir, target)); err != nil {
				t.Errorf("%s links to %s: %v", pages[0], match[1], err)
			} else if path.Ext(target) == ".md" {
				pages = append(pages, target)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("README.md leads to %d files only", len(seen))
	}
}
