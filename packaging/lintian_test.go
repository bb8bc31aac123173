//go:build linux

package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// lintianSet is lintian with the programs of Debian's base system that it runs.
var lintianSet = debian.Set{
	Name:     "lintian",
	Packages: []string{"bash", "coreutils", "dash", "findutils", "grep", "gzip", "libc-bin", "lintian", "sed", "tar"},
	DataDirs: []string{"dpkg", "file", "groff", "iso-codes", "lintian", "man-db", "misc", "perl", "perl5", "xml"},
	Suite:    "bookworm",
}

// inRoot runs a command with a directory as the root of the file system, in namespaces of its own: inRoot ROOT FILES COMMAND...
// It finds FILES in /mnt.
const inRoot = `
root=$1 files=$2
shift 2
mkdir -p "$root/dev" "$root/mnt" "$root/proc" "$root/tmp"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$files" "$root/mnt"
exec env -i HOME=/tmp LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
`

// TestLintian lets Debian's checker of packages look at the deb. It must have nothing to say but what
// packaging/lintian-overrides gives reasons for, and each of these must still be needed.
func TestLintian(t *testing.T) {
	deb := only(t, "*_"+debArch(t)+".deb")
	arguments := []string{"--profile=debian", "--allow-root", "--display-info", "--fail-on=error,warning,info"}
	if program, err := exec.LookPath("lintian"); err == nil {
		checkSilent(t, program, append(arguments, deb)...)
		return
	}
	if testing.Short() {
		t.Skip("fetches a Debian package; run without -short")
	}
	if err := lintianSet.Unpack(t.Context()); err != nil {
		t.Fatal(err)
	}
	root, err := lintianSet.Root()
	if err != nil {
		t.Fatal(err)
	}
	namespaces := []string{"--mount", "sh", "-e", "-c"}
	if os.Getuid() != 0 {
		namespaces = append([]string{"--map-root-user"}, namespaces...)
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", append(namespaces, "mount --bind /tmp /tmp")...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: lintian is not installed and may not be run in a namespace: %v: %s", err, out)
	}
	checkSilent(t, "unshare", slices.Concat(namespaces, []string{inRoot, "sh", root, filepath.Dir(deb), "lintian"},
		arguments, []string{"/mnt/" + filepath.Base(deb)})...)
}

// checkSilent runs a program, which must succeed and print nothing.
func checkSilent(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}
