//go:build linux

// Package child runs processes that cannot outlive this program.
package child

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdog is a shell script whose standard input only this program holds open. It first reads the process group to
// watch, then a second line that says all is well. If the input ends without that line, this program is dead, and the
// watchdog kills the group and removes the paths in its arguments.
//
// A parent-death signal (PR_SET_PDEATHSIG) would not do: it reaches only the process itself and not those that it
// forked, and it is sent when the thread that started the process ends, not the program.
const watchdog = `read -r group || exit 0
read -r _ && exit 0
kill -s KILL -- "-$group"
rm -rf -- "$@"`

// Child is a running process that leads a process group of its own, so that a Ctrl-C in the terminal reaches only this
// program, which then decides in what order things end.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait returned; valid once done is closed
}

// Start starts cmd, which must come from [exec.CommandContext] and say in WaitDelay how long it may take to end: when that
// context ends, it gets SIGTERM, and after WaitDelay its whole process group gets SIGKILL. If this program dies before
// cmd does, even by SIGKILL, the group is killed as well and the files and directories named in litter are removed.
func Start(cmd *exec.Cmd, litter ...string) (*Child, error) {
	disarm, armed, err := startWatchdog(litter)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c := &Child{cmd: cmd, done: make(chan struct{})}
	cmd.Cancel = func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		_ = c.Signal(syscall.SIGCONT) // a stopped process would sleep through SIGTERM
		return err
	}
	if err := cmd.Start(); err != nil {
		disarm()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	if _, err := fmt.Fprintln(armed, cmd.Process.Pid); err != nil {
		_ = c.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		disarm()
		return nil, fmt.Errorf("arm the watchdog of %s: %w", cmd.Path, err)
	}
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
		_ = c.Signal(syscall.SIGKILL) // what the leader left behind, if anything
		disarm()
	}()
	return c, nil
}

// Run starts cmd as [Start] does and waits for it to end.
func Run(cmd *exec.Cmd) error {
	c, err := Start(cmd)
	if err != nil {
		return err
	}
	return c.Wait()
}

// Done returns a channel that is closed when the process has ended and what was left of its group has been killed.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits for the process to end and returns what [exec.Cmd.Wait] says of it.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Signal sends a signal to the process and to all others in its group.
func (c *Child) Signal(sig syscall.Signal) error {
	return syscall.Kill(-c.cmd.Process.Pid, sig)
}

// startWatchdog returns the watchdog's input, which wants a process group's number, and the function that ends it.
func startWatchdog(litter []string) (disarm func(), input io.Writer, err error) {
	// Not bound to any context: it has to live exactly as long as what it watches.
	dog := exec.Command("/bin/sh", append([]string{"-c", watchdog, "watchdog"}, litter...)...) //nolint:noctx // see above
	dog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := dog.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := dog.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the watchdog: %w", err)
	}
	disarm = func() {
		_, _ = fmt.Fprintln(in) // a watchdog that is gone needs no telling
		_ = in.Close()
		_ = dog.Wait()
	}
	return disarm, in, nil
}
