//go:build linux

// Package child runs processes that cannot outlive this program.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// guard is a shell script that starts a watchdog and then becomes the program in its arguments, after the directory to
// remove. The watchdog has a session of its own, which no signal to the program's group reaches, and this program holds
// the other end of its input. If that ends without a line, this program is dead. The command substitution waits until the
// watchdog has its session, because it ends when the watchdog closes its output. PR_SET_PDEATHSIG would not do: it does
// not reach what the program forked, and it is sent when the thread that started the program ends.
const guard = `dir=$1; shift
ready=$(setsid --fork sh -c 'exec >/dev/null 2>&1; read -r _ || { kill -s KILL -- "-$0"; rm -rf -- "$1"; }' $$ "$dir") || exit
exec "$@" </dev/null`

// Child is a running process that leads a process group of its own, so that a Ctrl-C in the terminal reaches only this
// program, which then decides in what order things end.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait returned; valid once done is closed
}

// Start is [StartIn] without a directory.
func Start(cmd *exec.Cmd) (*Child, error) { return StartIn("", cmd) }

// StartIn starts cmd, which must come from [exec.CommandContext], have no Stdin, and set WaitDelay to how long it may take
// to end: when that context ends, it gets SIGTERM, and after WaitDelay its whole process group gets SIGKILL. If this
// program dies before cmd does, even by SIGKILL, the group is killed as well and the directory dir is removed.
func StartIn(dir string, cmd *exec.Cmd) (*Child, error) {
	watchdog, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for a watchdog: %w", err)
	}
	defer watchdog.Close() //nolint:errcheck // nothing is written to it here
	cmd.Args = append([]string{"sh", "-c", guard, "sh", dir, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Stdin = watchdog
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
		_ = c.Signal(syscall.SIGKILL) // what the leader left behind, if anything
		_, _ = fmt.Fprintln(alive)
		_ = alive.Close()
	}()
	return c, nil
}

// Done returns a channel that is closed when the process has ended and what was left of its group has been killed.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits for the process to end and returns what [exec.Cmd.Wait] returns.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Signal sends a signal to the process and to all others in its group.
func (c *Child) Signal(sig syscall.Signal) error {
	return syscall.Kill(-c.cmd.Process.Pid, sig)
}
