//go:build linux

// Package child runs processes that are killed when this program ends.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// guard is a shell script that starts a watchdog and then executes a program. Its arguments are the directory to remove,
// and the program with its arguments. The watchdog has its own session, so that signals to the program's group do not
// reach it. Its input is a pipe from this program. If the pipe ends without a line, this program is dead, and the watchdog
// kills the group and removes the directory. The command substitution ends when the watchdog closes its output, so the
// script waits until the watchdog has its session. PR_SET_PDEATHSIG does not suffice: it does not reach the children of the
// program, and it is sent when the thread that started the program ends.
const guard = `dir=$1; shift
ready=$(setsid --fork sh -c 'exec >/dev/null 2>&1; read -r _ || { kill -s KILL -- "-$0"; rm -rf -- "$1"; }' $$ "$dir") || exit
exec "$@" </dev/null`

// Child is a running process in its own process group. Ctrl-C in a terminal reaches only this program, which then decides
// in which order its children end. The methods of a Child may be called concurrently.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait returned; valid once done is closed
}

// Start is like [StartIn] without a directory to remove.
func Start(cmd *exec.Cmd) (*Child, error) { return StartIn("", cmd) }

// StartIn starts cmd, which must come from [exec.CommandContext] and have no Stdin. When the context of cmd is done, the
// process gets SIGTERM, and after cmd.WaitDelay its process group gets SIGKILL. If this program ends before the process,
// even by SIGKILL, the group gets SIGKILL and the directory dir is removed, unless it is "". StartIn changes cmd.
func StartIn(dir string, cmd *exec.Cmd) (*Child, error) {
	watchdog, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create a pipe for the watchdog: %w", err)
	}
	defer watchdog.Close() //nolint:errcheck // it is the read end
	cmd.Args = append([]string{"sh", "-c", guard, "sh", dir, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Stdin = watchdog
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	c := &Child{cmd: cmd, done: make(chan struct{})}
	cmd.Cancel = func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		_ = c.Signal(syscall.SIGCONT) // a stopped process handles SIGTERM only after this
		return err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
		_ = c.Signal(syscall.SIGKILL) // other processes of the group may still run
		_, _ = fmt.Fprintln(alive)
		_ = alive.Close()
	}()
	return c, nil
}

// PID returns the number of the process, which is also that of its group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended and the other processes of its group were killed.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits for the process to end and returns what [exec.Cmd.Wait] returns.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Signal sends a signal to all processes of the child's group. It returns an error if the group has no process.
func (c *Child) Signal(sig syscall.Signal) error {
	return syscall.Kill(-c.PID(), sig)
}
