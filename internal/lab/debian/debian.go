//go:build linux

// Package debian unpacks Debian packages into the user's cache, without root and without installing anything, and makes
// their programs runnable there. It needs apt-get and dpkg-deb, which every Debian has.
package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// A Set is a choice of Debian packages that are unpacked together.
type Set struct {
	Name     string   // what it is called in the cache
	Suite    string   // Debian release, for example bookworm
	Packages []string // their dependencies come with them
	Programs []string // names of programs in the packages that [Set.Program] gives
	LibDirs  []string // subdirectories of the library directory that hold libraries too
	DataDirs []string // directories of usr/share to keep; the rest is most of the bytes and of no use here
}

// etc is the machine's /etc; tests have their own.
var etc = os.DirFS("/etc")

// layout changes when what Unpack leaves in a directory changes, so that directories of older versions are not used.
const layout = "1"

// Dir is where the set is unpacked, or will be. The name holds a stamp, so that a changed set gets a new directory.
func (s Set) Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory, set HOME or XDG_CACHE_HOME: %w", err)
	}
	stamp := sha256.Sum256(fmt.Append(nil, layout, runtime.GOARCH, s.Packages, s.Programs, s.LibDirs, s.DataDirs))
	return filepath.Join(cache, "kamailio_exporter", "debian", fmt.Sprintf("%s-%s-%x", s.Suite, s.Name, stamp[:4])), nil
}

// Root is the directory that plays the root of the file system for the set's files.
func (s Set) Root() (string, error) {
	dir, err := s.Dir()
	return filepath.Join(dir, "root"), err
}

// Program is the path of one of the set's programs, which runs with the libraries that were unpacked beside it.
func (s Set) Program(name string) (string, error) {
	dir, err := s.Dir()
	return filepath.Join(dir, "bin", name), err
}

// Unpack downloads and unpacks the set unless it is in the cache already. It may be called at the same time from any
// number of programs: one works, the others wait for it. What an interrupted call leaves behind is never used.
func (s Set) Unpack(ctx context.Context) error {
	dir, err := s.Dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := s.unpack(ctx, dir); err != nil {
		return fmt.Errorf("unpack Debian %s's %s: %w", s.Suite, s.Name, err)
	}
	return nil
}

func (s Set) unpack(ctx context.Context, dir string) error {
	for _, tool := range []string{"apt-get", "apt-config", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: this needs a Debian machine with the packages apt and dpkg", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil // another program was faster
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil { // of a call that was killed
		return fmt.Errorf("clear the cache: %w", err)
	}
	defer os.RemoveAll(partial) //nolint:errcheck // the next call clears what this one cannot
	if err := s.fill(ctx, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("put what was unpacked in its place: %w", err)
	}
	return nil
}

// fill unpacks the set below dir, which does not exist yet.
func (s Set) fill(ctx context.Context, dir string) error {
	work, root, bin := filepath.Join(dir, "work"), filepath.Join(dir, "root"), filepath.Join(dir, "bin")
	for _, d := range []string{work, root, bin} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return fmt.Errorf("make the cache directory: %w", err)
		}
	}
	archives, err := download(ctx, work, s.Suite, s.Packages)
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := run(ctx, filepath.Join(work, "dpkg.log"), nil, "dpkg-deb", "-x", archive, root); err != nil {
			return err
		}
	}
	for _, program := range s.Programs {
		if err := s.writeWrapper(root, bin, program); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove the downloaded archives: %w", err)
	}
	return s.dropData(filepath.Join(root, "usr/share"))
}

// dropData removes from usr/share what the set does not ask for: documentation, translations, web pages.
func (s Set) dropData(share string) error {
	entries, err := os.ReadDir(share)
	if err != nil {
		return fmt.Errorf("look for what to keep of the packages: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(s.DataDirs, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(share, e.Name())); err != nil {
			return fmt.Errorf("remove what is not needed of the packages: %w", err)
		}
	}
	return nil
}

// writeWrapper makes bin/program, which runs the program from root with the loader and the libraries from root: those
// of the machine may be of another release. The wrapper finds them by its own place, as dir is still to be renamed.
func (s Set) writeWrapper(root, bin, program string) error {
	path, err := only(root, "*bin/"+program, "usr/*bin/"+program)
	if err != nil {
		return err
	}
	loader, err := only(root, "lib/*-linux-gnu*/ld-linux*.so.*", "usr/lib/*-linux-gnu*/ld-linux*.so.*")
	if err != nil {
		return err
	}
	triplet := filepath.Base(filepath.Dir(loader))
	libs := []string{"$root/usr/lib/" + triplet, "$root/lib/" + triplet}
	for _, sub := range s.LibDirs {
		libs = append(libs, "$root/usr/lib/"+triplet+"/"+sub)
	}
	script := fmt.Sprintf("#!/bin/sh\nroot=${0%%/*}/../root\nexec \"$root/%s\" --library-path \"%s\" \"$root/%s\" \"$@\"\n",
		loader, strings.Join(libs, ":"), path)
	if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o700); err != nil { //nolint:gosec // a program is executable
		return fmt.Errorf("write the wrapper of %s: %w", program, err)
	}
	return nil
}

// only returns the one file below root that matches the patterns, relative to root.
func only(root string, patterns ...string) (string, error) {
	var found []string
	for _, pattern := range patterns {
		names, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", pattern, err)
		}
		found = append(found, names...)
	}
	if len(found) != 1 {
		return "", fmt.Errorf("expected one file like %s in the packages, found %d", strings.Join(patterns, " or "), len(found))
	}
	return found[0], nil
}

// lock waits until this program alone holds the lock file. The kernel gives the lock back if the program dies.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path in our own cache
	if err != nil {
		return nil, fmt.Errorf("open the cache's lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for the program that is filling the cache: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// run executes a program, with its output appended to a log file, and quotes the end of that file if it fails.
func run(ctx context.Context, log string, env []string, name string, args ...string) error {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) //nolint:gosec // a path in our own cache
	if err != nil {
		return fmt.Errorf("open a log: %w", err)
	}
	defer f.Close() //nolint:errcheck // read back below, not lost
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.WaitDelay = 5 * time.Second
	c, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	runErr := c.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("%s was interrupted: %w", name, ctx.Err())
	}
	if runErr == nil {
		return nil
	}
	said, err := os.ReadFile(log) //nolint:gosec // a path in our own cache
	if err != nil {
		return errors.Join(runErr, err)
	}
	return fmt.Errorf("%s: %w; it said:\n%s", name, runErr, lastLines(string(said), 10))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
