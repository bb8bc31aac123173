//go:build linux

package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// small is the set that the archives of these tests have.
var small = Set{
	Name: "small", Suite: "bookworm", Packages: []string{"lab-hello"}, Programs: []string{"hello"}, DataDirs: []string{"kept"},
}

// useArchives gives the machine a cache of its own and two archives in place of its own sources, which need no network.
// Both have the suite; the one that is not Debian's has the newer package.
func useArchives(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("needs dpkg-deb")
	}
	entries := "deb [trusted=yes] copy:" + newArchive(t, "Debian", "1") + " bookworm main\n" +
		"deb [trusted=yes] copy:" + newArchive(t, "Other", "2") + " bookworm main\n"
	machine := etc
	t.Cleanup(func() { etc = machine })
	etc = fstest.MapFS{"os-release": {Data: []byte(osRelease)}, "apt/sources.list": {Data: []byte(entries)}}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

// newArchive makes a package archive whose one package has a program that says the version, and a loader that just runs
// what it is given.
func newArchive(t *testing.T, origin, version string) string {
	t.Helper()
	archive, pkg := t.TempDir(), t.TempDir()
	control := "Package: lab-hello\nVersion: " + version + "\nArchitecture: all\nMaintainer: lab\nDescription: hello\n"
	write(t, filepath.Join(pkg, "DEBIAN/control"), control)
	write(t, filepath.Join(pkg, "usr/bin/hello"), "#!/bin/sh\necho hello "+version+" $1\n")
	write(t, filepath.Join(pkg, "lib/test-linux-gnu/ld-linux.so.2"), "#!/bin/sh\nshift 2\nexec \"$@\"\n")
	write(t, filepath.Join(pkg, "usr/share/kept/file"), "")
	write(t, filepath.Join(pkg, "usr/share/doc/file"), "")
	deb := filepath.Join(archive, "hello.deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "--build", pkg, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	index := fmt.Sprintf("%sFilename: hello.deb\nSize: %d\nSHA256: %x\n", control, len(content), sha256.Sum256(content))
	write(t, filepath.Join(archive, "dists/bookworm/main/binary-all/Packages"), index)
	write(t, filepath.Join(archive, "dists/bookworm/Release"), fmt.Sprintf(
		"Origin: %s\nCodename: bookworm\nArchitectures: all\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"+
			"SHA256:\n %x %d main/binary-all/Packages\n", origin, sha256.Sum256([]byte(index)), len(index)))
	return archive
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// inCache names what the cache has of a set.
func inCache(t *testing.T, set Set) []string {
	t.Helper()
	dir, err := set.Dir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(dir + "*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	useArchives(t)
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			if err := small.Unpack(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	program, err := small.Program("hello")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "lab").Output()
	if err != nil || string(out) != "hello 1 lab\n" {
		t.Errorf("the unpacked program says %q, %v; want Debian's, version 1", out, err)
	}
	root, err := small.Root()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadDir(filepath.Join(root, "usr/share")); err != nil || len(data) != 1 || data[0].Name() != "kept" {
		t.Errorf("kept of usr/share: %v, %v", data, err)
	}
	if found := inCache(t, small); len(found) != 2 { // the set and its lock
		t.Errorf("left in the cache: %q", found)
	}
}

func TestUnpackClearsWhatWasInterrupted(t *testing.T) {
	useArchives(t)
	dir, err := small.Dir()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir+".partial", "root/usr/sbin/hello"), "of a call that was killed")
	if err := small.Unpack(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestUnpackFails(t *testing.T) {
	useArchives(t)
	none := Set{Name: "none", Suite: "bookworm", Packages: []string{"no-such-package"}}
	err := none.Unpack(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Unable to locate package no-such-package") {
		t.Errorf("error %v, want one that quotes apt", err)
	}
	if found := inCache(t, none); len(found) != 1 {
		t.Errorf("left in the cache: %q, want the lock alone", found)
	}
}

func TestUnpackWithoutApt(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	if err := small.Unpack(t.Context()); err == nil || !strings.Contains(err.Error(), "needs a Debian machine with the packages apt and dpkg") {
		t.Errorf("error %v does not say what is needed", err)
	}
}

func TestUnpackWaitsForTheLock(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("needs apt-get")
	}
	dir, err := small.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), dir+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := small.Unpack(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of a wait that was given up", err)
	}
}

func TestDirChangesWithTheSet(t *testing.T) {
	t.Parallel()
	more := small
	more.Packages = []string{"lab-hello", "more"}
	a, errA := small.Dir()
	b, errB := more.Dir()
	if errA != nil || errB != nil || a == b {
		t.Errorf("Dir of two sets = %q, %v and %q, %v", a, errA, b, errB)
	}
}
