//go:build linux

// Package packaging has the files for packages of the exporter. Its tests check the release that make release-snapshot made.
package packaging

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

var (
	distFlag       = flag.String("dist", "", "the directory that make release-snapshot filled")
	goreleaserFlag = flag.String("goreleaser", "", "the GoReleaser that filled it")
)

// stepTimeout bounds each program that the tests run.
const stepTimeout = 5 * time.Minute

// dist returns the directory of the release. Without one, as in make test, the test is skipped.
func dist(t *testing.T) string {
	t.Helper()
	if *distFlag == "" {
		t.Skip("checks a release: run make test-release")
	}
	return *distFlag
}

// only returns the one file of the release that matches a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist(t), pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("files like %s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// output runs a program, which must succeed, and returns its output and errors.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stepTimeout) // a cleanup runs programs too
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tool returns the path of a program of a Debian package, which is fetched as the lab fetches Kamailio.
func tool(t *testing.T, set debian.Set, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("fetches a Debian package; run without -short")
	}
	set.Suite = "bookworm"
	if err := set.Unpack(t.Context()); err != nil {
		t.Fatal(err)
	}
	path, err := set.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stamp is the build information that each exporter of the release must have.
type stamp struct{ version, revision, branch, date string }

func wantedStamp(t *testing.T) stamp {
	t.Helper()
	git := func(args ...string) string {
		return strings.TrimSpace(output(t, "env", append([]string{"TZ=UTC0", "git"}, args...)...))
	}
	return stamp{
		version:  strings.TrimSpace(string(contents(t, "../VERSION"))) + "-pre",
		revision: git("rev-parse", "HEAD"),
		branch:   git("rev-parse", "--abbrev-ref", "HEAD"),
		date:     git("log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"),
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// wantText compares a text with the wanted one, but for spaces around them.
func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}

// wantWords checks that a text has all wanted words, and none of those that are not wanted.
func wantWords(t *testing.T, what, text string, wanted []string, unwanted ...string) {
	t.Helper()
	for _, word := range wanted {
		if !strings.Contains(text, word) {
			t.Errorf("%s: no %q in\n%.4000s", what, word, text)
		}
	}
	for _, word := range unwanted {
		if strings.Contains(text, word) {
			t.Errorf("%s: there is %q in\n%.4000s", what, word, text)
		}
	}
}
