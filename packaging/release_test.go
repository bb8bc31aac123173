//go:build linux

// Package packaging is what makes packages of the exporter. Its tests look inside what make release-snapshot made.
package packaging

import (
	"bytes"
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

// dist is the directory of the release. Without it, as in make test, the test is skipped.
func dist(t *testing.T) string {
	t.Helper()
	if *distFlag == "" {
		t.Skip("looks inside a release: run make test-release")
	}
	return *distFlag
}

// only is the one file of the release that matches a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist(t), pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("files like %s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// output runs a program, which must end well, and returns what it says on either output.
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

// tool is the path of a program of a Debian package, which is fetched as the lab fetches Kamailio.
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

// stamp is what each program of the release must say of itself.
type stamp struct{ version, revision, branch, date string }

func wantedStamp(t *testing.T) stamp {
	t.Helper()
	git := func(args ...string) string { return strings.TrimSpace(output(t, "git", args...)) }
	seconds := git("log", "-1", "--format=%cI")
	date, err := time.Parse(time.RFC3339, seconds)
	if err != nil {
		t.Fatal(err)
	}
	return stamp{
		version:  strings.TrimSpace(string(contents(t, "../VERSION"))) + "-pre",
		revision: git("rev-parse", "HEAD"),
		branch:   git("rev-parse", "--abbrev-ref", "HEAD"),
		date:     date.UTC().Format(time.RFC3339),
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

// sameFile checks that a file of the release is one of this repository, byte by byte.
func sameFile(t *testing.T, name string, got []byte, source string) {
	t.Helper()
	if !bytes.Equal(got, contents(t, source)) {
		t.Errorf("%s is not %s", name, source)
	}
}
