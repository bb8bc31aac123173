//go:build linux

// Package debian unpacks Debian packages into the user's cache, without root and without installing anything, and makes
// their programs runnable there. It needs apt-get and dpkg-deb, which every Debian has.
package debian

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// A Set is a choice of Debian packages that are unpacked together.
type Set struct {
	Name     string   // part of the directory's name in the cache
	Suite    string   // Debian release, for example bookworm
	Packages []string // their dependencies are unpacked too
	Programs []string // programs in the packages that [Set.Program] returns
	LibDirs  []string // subdirectories of the library directory that hold libraries too
	DataDirs []string // directories of usr/share to keep
}

//go:embed unpack.sh
var unpackScript string

// osRelease is the file that names the machine's own release.
var osRelease = "/etc/os-release"

// layout changes when what unpackScript leaves in a directory changes, so that directories of older versions are not used.
const layout = "1"

// Dir returns the directory that the set is unpacked in, whether it is yet or not. The name has a hash of the set, so that a
// changed set gets a new directory.
func (s Set) Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory, set HOME or XDG_CACHE_HOME: %w", err)
	}
	hash := sha256.Sum256(fmt.Append(nil, layout, runtime.GOARCH, s.Packages, s.Programs, s.LibDirs, s.DataDirs))
	return filepath.Join(cache, "kamailio_exporter", "debian", fmt.Sprintf("%s-%s-%x", s.Suite, s.Name, hash[:4])), nil
}

// Root returns the directory that is the root of the file system for the set's files.
func (s Set) Root() (string, error) {
	dir, err := s.Dir()
	return filepath.Join(dir, "root"), err
}

// Program returns the path of one of the set's programs, which runs with the libraries of the set.
func (s Set) Program(name string) (string, error) {
	dir, err := s.Dir()
	return filepath.Join(dir, "bin", name), err
}

// Unpack downloads and unpacks the set unless it is in the cache already. Several programs may call it at the same time: one
// works, the others wait for it. What an interrupted call leaves behind is never used.
func (s Set) Unpack(ctx context.Context) error {
	dir, err := s.Dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := s.run(ctx, dir); err != nil {
		return fmt.Errorf("unpack Debian %s's %s: %w", s.Suite, s.Name, err)
	}
	return nil
}

// run runs unpackScript when it has the lock of dir, which the kernel releases if the script dies. An error has the last lines of
// the output.
func (s Set) run(ctx context.Context, dir string) error {
	for _, tool := range []string{"apt-get", "apt-config", "dpkg-deb", "flock"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: this needs a Debian machine with the packages apt, dpkg and util-linux", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	cmd := exec.CommandContext(ctx, "flock", "--no-fork", dir+".lock", "/bin/sh", "-c", unpackScript, "unpack.sh", dir, osRelease)
	cmd.Env = os.Environ()
	for name, words := range map[string][]string{
		"suite": {s.Suite}, "packages": s.Packages, "programs": s.Programs, "libs": s.LibDirs, "data": s.DataDirs,
	} {
		cmd.Env = append(cmd.Env, name+"="+strings.Join(words, " "))
	}
	log := child.NewLog()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 5 * time.Second
	c, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("start a shell: %w", err)
	}
	if err := c.Wait(); err != nil {
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		return errors.Join(fmt.Errorf("%w; its output ends:\n%s", err, strings.Join(lines[max(0, len(lines)-10):], "\n")), ctx.Err())
	}
	return nil
}
