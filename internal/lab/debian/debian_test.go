//go:build linux

package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// small is the set that the archives of these tests have.
var small = Set{
	Name: "small", Suite: "trixie", Packages: []string{"lab-hello"}, Programs: []string{"hello"}, DataDirs: []string{"kept"},
}

// useSources makes apt read these sources, in the format of sources.list, in place of the machine's own, whose release is now
// bookworm. The cache is empty.
func useSources(t *testing.T, entries string) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("needs apt-get")
	}
	dir, own := t.TempDir(), osRelease
	t.Cleanup(func() { osRelease = own })
	osRelease = filepath.Join(dir, "os-release")
	write(t, osRelease, "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n")
	write(t, filepath.Join(dir, "sources.list"), entries)
	write(t, filepath.Join(dir, "apt.conf"), `Dir::Etc::sourcelist "`+dir+`/sources.list"; Dir::Etc::sourceparts "/dev/null";
Acquire::http::Proxy::127.0.0.1 "DIRECT"; Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true";`)
	t.Setenv("APT_CONFIG", filepath.Join(dir, "apt.conf"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

// useArchives makes apt read two archives, which need no network. Both have the suite; the one that is not Debian's has the
// newer package. Other entries have no such suite.
func useArchives(t *testing.T) {
	t.Helper()
	none := t.TempDir()
	useSources(t, "deb copy:"+newArchive(t, "Debian", "1")+" bookworm contrib main # comment\n"+
		"deb [arch=all] copy:"+newArchive(t, "Other", "2")+" bookworm main\n"+
		"deb copy:"+none+" bookworm main\ndeb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official]/ bookworm main\n")
}

// newArchive makes a package archive whose one package has a program that prints the version, and a loader that just runs
// its argument.
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
	write(t, filepath.Join(archive, "dists/trixie/main/binary-all/Packages"), index)
	write(t, filepath.Join(archive, "dists/trixie/Release"), fmt.Sprintf(
		"Origin: %s\nCodename: trixie\nArchitectures: all\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"+
			"SHA256:\n %x %d main/binary-all/Packages\n", origin, sha256.Sum256([]byte(index)), len(index)))
	return archive
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// dirOf returns the set's directory, whose parent exists.
func dirOf(t *testing.T, set Set) string {
	t.Helper()
	dir, err := set.Dir()
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(dir), 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inCache returns the names that the cache has of a set.
func inCache(t *testing.T, set Set) []string {
	t.Helper()
	found, err := filepath.Glob(dirOf(t, set) + "*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	useArchives(t)
	write(t, dirOf(t, small)+".partial/root/usr/sbin/hello", "of a call that was killed")
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
		t.Errorf("the unpacked program prints %q, %v; want Debian's, version 1", out, err)
	}
	root, err := small.Root()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadDir(filepath.Join(root, "usr/share")); err != nil || len(data) != 1 || data[0].Name() != "kept" {
		t.Errorf("usr/share has %v, %v", data, err)
	}
	if found := inCache(t, small); len(found) != 2 { // the set and its lock
		t.Errorf("the cache has %q", found)
	}
}

func TestUnpackErrors(t *testing.T) {
	for _, test := range []struct{ name, entries, release, want string }{
		{"no package", "deb copy:" + newArchive(t, "Debian", "1") + " bookworm main\n", "", "Unable to locate package no-such-package"},
		{"no entry of the release", `deb http://mirror.example/debian bullseye main
deb http://mirror.example/debian bookworm-updates main
deb http://other.example/tools bookworm stable
deb-src http://mirror.example/debian bookworm main
`, "", "no entry for the release bookworm with the component main"},
		{"another system", "", "ID=ubuntu\nPRETTY_NAME=Ubuntu\nVERSION_CODENAME=noble\n", "runs Ubuntu"},
		{"no codename", "", "ID=debian\nPRETTY_NAME=sid\n", "no entry for the release none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			useSources(t, test.entries)
			if test.release != "" {
				write(t, osRelease, test.release)
			}
			set := Set{Name: "none", Suite: "trixie", Packages: []string{"no-such-package"}}
			if err := set.Unpack(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if found := inCache(t, set); len(found) != 1 {
				t.Errorf("the cache has %q, want the lock alone", found)
			}
		})
	}
}

func TestUnpackWithoutApt(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	if err := small.Unpack(t.Context()); err == nil || !strings.Contains(err.Error(), "needs a Debian machine with the packages apt, dpkg and util-linux") {
		t.Errorf("error %v does not name the packages that are needed", err)
	}
}

func TestUnpackWaitsForTheLock(t *testing.T) {
	useSources(t, "")
	file, err := os.Create(dirOf(t, small) + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := small.Unpack(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want context.DeadlineExceeded", err)
	}
}

func TestUnpackInterrupted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	useSources(t, "deb http://"+listener.Addr().String()+"/debian bookworm main\n")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if _, err := listener.Accept(); err != nil {
			t.Error(err)
		}
	}()
	if err := small.Unpack(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if found := inCache(t, small); len(found) != 1 {
		t.Errorf("the cache has %q, want the lock alone", found)
	}
}

func TestDirDependsOnTheSet(t *testing.T) {
	more := small
	more.Packages = []string{"lab-hello", "more"}
	if dir := dirOf(t, small); dir == dirOf(t, more) {
		t.Errorf("two sets share the directory %s", dir)
	}
}
