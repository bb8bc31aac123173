//go:build linux

package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// parentVar is an environment variable that makes this test program start a script. Its value is the directory to remove.
const parentVar = "CHILD_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(parentVar)
	if dir == "" {
		goleak.VerifyTestMain(m)
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", os.Args[1:]...)
	cmd.Stdout = os.Stdout
	if c, err := StartIn(dir, cmd); err == nil {
		_ = c.Wait() // the test kills this process before the script ends
	}
}

// TestGroupEnds waits for the end of a pipe that all processes of the group have open.
func TestGroupEnds(t *testing.T) {
	killed := func(parent *Child, _ func()) { _ = parent.cmd.Process.Kill() }
	canceled := func(_ *Child, cancel func()) { cancel() }
	for _, test := range []struct {
		name, program, script string
		grace                 time.Duration
		end                   func(c *Child, cancel func())
	}{
		{"parent killed", os.Args[0], "sleep 1000 & echo; sleep 1000", time.Hour, killed},
		{"stopped, parent killed", os.Args[0], "sleep 1000 & echo; kill -s STOP 0; sleep 1000", time.Hour, killed},
		{"stopped, context canceled", "/bin/sh", "echo; kill -s STOP 0; exec sleep 1000", time.Hour, canceled},
		{"SIGTERM ignored", "/bin/sh", "trap '' TERM; sleep 1000 & echo; sleep 1000", time.Millisecond, canceled},
		{"leader ended", "/bin/sh", "sleep 1000 & echo", time.Hour, func(*Child, func()) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd := exec.CommandContext(ctx, test.program, "-c", test.script)
			cmd.Env = append(os.Environ(), parentVar+"="+dir)
			cmd.WaitDelay = test.grace
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = in
			c, err := Start(cmd)
			if err = errors.Join(err, in.Close()); err != nil {
				t.Fatal(err)
			}
			_, _ = out.Read(make([]byte, 1)) // the line that the script prints
			test.end(c, cancel)
			_, _ = out.Read(make([]byte, 1))
			<-c.Done()
			if test.program == os.Args[0] {
				awaitRemoved(t, dir)
			}
		})
	}
}

// awaitRemoved waits until a directory does not exist. It polls, because the watchdog removes the directory last, after all
// other processes have ended.
func awaitRemoved(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not removed", dir)
		}
	}
}
