//go:build linux

package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentVar makes this test program the parent in TestDiesWithItsParent.
const parentVar = "CHILD_TEST_LITTER"

func TestMain(m *testing.M) {
	if litter := os.Getenv(parentVar); litter != "" {
		playParent(litter)
	}
	os.Exit(m.Run())
}

// playParent starts a child that has a child of its own, prints its process group, and waits to be killed.
func playParent(litter string) {
	c, err := Start(shell(context.Background(), "sleep 1000 & sleep 1000"), litter)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.cmd.Process.Pid)
	_ = c.Wait() // the kill comes first
}

func shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.WaitDelay = time.Second
	return cmd
}

func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused=%v", paused), func(t *testing.T) {
			t.Parallel()
			litter := filepath.Join(t.TempDir(), "litter")
			if err := os.Mkdir(litter, 0o700); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			parent := exec.CommandContext(t.Context(), self)
			parent.Env = append(os.Environ(), parentVar+"="+litter)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			group, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("the parent says %q", line)
			}
			if paused {
				if err := syscall.Kill(-group, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // killed, as we know
			eventually(t, "the process group is gone", func() bool { return !running(t, group) })
			eventually(t, "the litter is gone", func() bool {
				_, err := os.Stat(litter)
				return errors.Is(err, fs.ErrNotExist)
			})
		})
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// running tells whether a process of the group runs. One that is dead but not yet reaped does not count: who reaps it is
// up to the machine.
func running(t *testing.T, group int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		// PID (NAME) STATE PARENT GROUP …
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			return true
		}
	}
	return false
}

func TestContextEndsIt(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"at once":    "exec sleep 1000",
		"not at all": "trap '' TERM; while :; do sleep 0.1; done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := Start(shell(ctx, script))
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := c.Wait(); err == nil {
				t.Error("it ended as if all were well")
			}
			eventually(t, "the process group is gone", func() bool { return !running(t, c.cmd.Process.Pid) })
		})
	}
}

func TestPausedOneEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := shell(ctx, "exec sleep 1000")
	cmd.WaitDelay = time.Minute // SIGKILL is not to be needed
	c, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-c.Done()
}

func TestRun(t *testing.T) {
	t.Parallel()
	litter := t.TempDir()
	if err := Run(shell(t.Context(), "true")); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := Run(shell(t.Context(), "exit 7")); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("error %v, want exit status 7", err)
	}
	if err := Run(exec.CommandContext(t.Context(), filepath.Join(litter, "nonesuch"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that of a program that is not there", err)
	}
}
