//go:build linux

package packaging

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// goreleaserTimeout is how long a build may take; it takes a minute or two.
const goreleaserTimeout = 20 * time.Minute

// TestReproducible builds the release's commit anew, in a clone in another directory, and compares the programs byte by
// byte: those of every platform, built with the same cache of compiled packages as the release, and this machine's, which
// are compiled from nothing, standard library and all.
func TestReproducible(t *testing.T) {
	released := dist(t)
	if changes := output(t, "git", "-C", "..", "status", "--porcelain"); changes != "" {
		t.Skipf("SKIPPED: the release is of no commit but of changed files, commit them:\n%s", changes)
	}
	for _, test := range []struct {
		name    string
		args    []string
		goCache string // empty: the usual one
		chosen  string
	}{
		{"every platform", nil, "", "*"},
		{"from nothing", []string{"--single-target"}, t.TempDir(), "linux_" + runtime.GOARCH + "*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clone := filepath.Join(t.TempDir(), "elsewhere")
			cloneAsHere(t, clone)
			goreleaser(t, clone, test.goCache, append([]string{"build", "--snapshot"}, test.args...)...)
			compare(t, released, filepath.Join(clone, "dist"), test.chosen)
		})
	}
}

// cloneAsHere makes a clone that is at the commit and on the branch that the release was built from, or on none: both are
// stamped into the programs.
func cloneAsHere(t *testing.T, clone string) {
	t.Helper()
	here := wantedStamp(t)
	output(t, "git", "clone", "--quiet", "..", clone)
	output(t, "git", "-C", clone, "checkout", "--quiet", "--detach", here.revision)
	if here.branch != "HEAD" {
		output(t, "git", "-C", clone, "checkout", "--quiet", "-B", here.branch)
	}
}

// goreleaser runs GoReleaser in a clone, which must end well.
func goreleaser(t *testing.T, clone, goCache string, args ...string) {
	t.Helper()
	if out, err := tryGoreleaser(t, clone, goCache, args...); err != nil {
		t.Fatalf("goreleaser %q: %v\n%s", args, err, out)
	}
}

// tryGoreleaser runs GoReleaser in a clone and returns what it said.
func tryGoreleaser(t *testing.T, clone, goCache string, args ...string) (string, error) {
	t.Helper()
	if *goreleaserFlag == "" {
		t.Fatal("give the path of GoReleaser with -goreleaser")
	}
	ctx, cancel := context.WithTimeout(t.Context(), goreleaserTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, *goreleaserFlag, args...)
	cmd.Dir = clone
	if goCache != "" {
		cmd.Env = append(os.Environ(), "GOCACHE="+goCache)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestTagMustAgree shows that GoReleaser itself makes no release of a tag that CHANGELOG.md does not agree with.
func TestTagMustAgree(t *testing.T) {
	dist(t)
	clone := filepath.Join(t.TempDir(), "clone")
	output(t, "git", "clone", "--quiet", "..", clone)
	output(t, "git", "-C", clone, "tag", "v99.0.0")
	out, err := tryGoreleaser(t, clone, "", "release", "--skip=publish,docker,sign")
	if err == nil || !strings.Contains(out, "the tag is v99.0.0") {
		t.Errorf("error %v:\n%s", err, out)
	}
	if built, err := filepath.Glob(filepath.Join(clone, "dist", "*.tar.gz")); err != nil || len(built) > 0 {
		t.Errorf("it built %q, %v", built, err)
	}
}

// compare compares the programs of some platforms, of which there must be both on each side.
func compare(t *testing.T, released, again, chosen string) {
	t.Helper()
	for _, program := range []string{"kamailio_exporter", "kamrpc"} {
		built, err := filepath.Glob(filepath.Join(again, program+"_"+chosen, program+"*"))
		if err != nil || len(built) == 0 || chosen == "*" && len(built) != len(platforms) {
			t.Fatalf("built %q, %v", built, err)
		}
		for _, path := range built {
			name := strings.TrimPrefix(path, again)
			if !bytes.Equal(contents(t, path), contents(t, filepath.Join(released, name))) {
				t.Errorf("%s is not the same in the second build", name)
			}
		}
	}
}
