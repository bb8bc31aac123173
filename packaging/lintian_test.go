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

// inRoot runs a command with the directory $1 as the root of the file system, in namespaces of its own. /mnt is the directory $2.
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

// TestLintian runs lintian on the deb. It must print nothing: lintian-overrides gives reasons for the exceptions, each of which
// must still be needed.
func TestLintian(t *testing.T) {
	deb := only(t, "*_"+thisPlatform(t).deb+".deb")
	arguments := []string{
		"--profile=debian", "--allow-root", "--display-info", "--fail-on=error,warning,info",
		"--suppress-tags=spelling-error-in-binary", // lintian reads machine code as text, and finds other words in each build
	}
	if program, err := exec.LookPath("lintian"); err == nil {
		wantText(t, "the output", output(t, program, append(arguments, deb)...), "")
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
	wantText(t, "the output", output(t, "unshare", slices.Concat(namespaces, []string{inRoot, "sh", root, filepath.Dir(deb), "lintian"},
		arguments, []string{"/mnt/" + filepath.Base(deb)})...), "")
}
