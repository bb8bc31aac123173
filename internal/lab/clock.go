//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// faketime is Debian's library that changes the time that a program reads.
var faketime = debian.Set{Name: "libfaketime", Suite: Bookworm, Packages: []string{"libfaketime"}}

// FetchClock puts the library that [Options.FakeClock] needs into the user's cache unless it is there, as [Fetch] does for Kamailio,
// and returns its path.
func FetchClock(ctx context.Context) (library string, err error) {
	if err := faketime.Unpack(ctx); err != nil {
		return "", err
	}
	root, err := faketime.Root()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/*/faketime/libfaketime.so.1"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("expected one libfaketime.so.1 below %s, found %q: remove the directory to fetch it again", root, found)
	}
	return found[0], nil
}

// SetClock sets the clock that Kamailio reads ahead of the clock of this machine, or back if ahead is negative, until the next
// call. It needs [Options.FakeClock]. Clocks that only measure intervals do not change.
func (k *Kamailio) SetClock(ahead time.Duration) error {
	file := k.path("clock")
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%+f\n", ahead.Seconds()), 0o600); err != nil {
		return fmt.Errorf("set Kamailio's clock: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil { // Kamailio reads the file at any time
		return fmt.Errorf("set Kamailio's clock: %w", err)
	}
	return nil
}

// clockEnv returns the environment for a Kamailio whose clock SetClock changes.
func (k *Kamailio) clockEnv(ctx context.Context) ([]string, error) {
	library, err := FetchClock(ctx)
	if err != nil {
		return nil, fmt.Errorf("find libfaketime: %w", err)
	}
	if err := k.SetClock(0); err != nil {
		return nil, err
	}
	return append(os.Environ(), "LD_PRELOAD="+library, "FAKETIME_TIMESTAMP_FILE="+k.path("clock"),
		"FAKETIME_NO_CACHE=1", // it reads the file each time
		"FAKETIME_DONT_FAKE_MONOTONIC=1"), nil
}

// removeClock removes the shared memory and the semaphore that libfaketime made in a process and its children, because it does not
// do so itself if the process executed another program.
func removeClock(pid int) {
	_ = os.Remove(fmt.Sprintf("/dev/shm/faketime_shm_%d", pid))
	_ = os.Remove(fmt.Sprintf("/dev/shm/sem.faketime_sem_%d", pid))
}
