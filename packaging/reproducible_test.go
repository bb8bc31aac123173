//go:build linux

package packaging

import (
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

// TestReproducible builds the release's commit again, in a clone in another directory, and compares the programs byte by byte:
// those of every platform with the same build cache, and this machine's with an empty one.
func TestReproducible(t *testing.T) {
	released := dist(t)
	if changes := output(t, "git", "-C", "..", "status", "--porcelain"); changes != "" {
		t.Skipf("SKIPPED: the release was built with changes that are not committed:\n%s", changes)
	}
	for _, test := range []struct {
		name    string
		args    []string
		goCache string // empty for the default
		chosen  string
	}{
		{"every platform", nil, "", "*"},
		{"empty build cache", []string{"--single-target"}, t.TempDir(), "linux_" + runtime.GOARCH + "*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clone := filepath.Join(t.TempDir(), "elsewhere")
			cloneRelease(t, clone)
			if out, err := goreleaser(t, clone, test.goCache, append([]string{"build", "--snapshot"}, test.args...)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			wantText(t, "the programs' checksums", checksums(t, filepath.Join(clone, "dist"), test.chosen), checksums(t, released, test.chosen))
		})
	}
}

// cloneRelease makes a clone at the commit and on the branch of the release, if it has one: the programs have both in them.
func cloneRelease(t *testing.T, clone string) {
	t.Helper()
	here := wantedStamp(t)
	output(t, "git", "clone", "--quiet", "..", clone)
	output(t, "git", "-C", clone, "checkout", "--quiet", "--detach", here.revision)
	if here.branch != "HEAD" {
		output(t, "git", "-C", clone, "checkout", "--quiet", "-B", here.branch)
	}
}

// goreleaser runs GoReleaser in a clone and returns its output.
func goreleaser(t *testing.T, clone, goCache string, args ...string) (string, error) {
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

// TestTagMustAgree checks that GoReleaser refuses a tag that does not match CHANGELOG.md.
func TestTagMustAgree(t *testing.T) {
	dist(t)
	clone := filepath.Join(t.TempDir(), "clone")
	output(t, "git", "clone", "--quiet", "..", clone)
	output(t, "git", "-C", clone, "tag", "v99.0.0")
	out, err := goreleaser(t, clone, "", "release", "--skip=publish,docker,sign")
	if err == nil || !strings.Contains(out, "the tag is v99.0.0") {
		t.Errorf("error %v:\n%s", err, out)
	}
	if built, err := filepath.Glob(filepath.Join(clone, "dist", "*.tar.gz")); err != nil || len(built) > 0 {
		t.Errorf("it built %q, %v", built, err)
	}
}

// checksums returns those of the programs of the chosen platforms.
func checksums(t *testing.T, dir, chosen string) string {
	t.Helper()
	return output(t, "sh", "-e", "-c", `cd "$0" && sha256sum kamailio_exporter_$1/* kamrpc_$1/*`, dir, chosen)
}
