//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveCheck checks a Kamailio as a user who may connect to its socket, and as one who may not.
func TestLiveCheck(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	out, err := command(t.Context(), "check", "-u", k.URI("unix")).Output()
	if err != nil || !strings.HasSuffix(string(out), "\nResult\n   ok     kamailio_up would be 1.\n") {
		t.Errorf("%v: %s", err, out)
	}
	cmd := command(t.Context(), "check", "-u", k.URI("unix"))
	refuse(t, cmd, strings.TrimPrefix(k.URI("unix"), "unix:"), k.Dir)
	out, err = cmd.Output()
	text := strings.ReplaceAll(string(out), "\n          ", " ")
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v, want status 1", err)
	}
	for _, want := range []string{
		"is a socket with mode 0", ", who runs this check, may not connect to it: its mode does not let ",
		"permission denied", `modparam("ctl", "mode", 0660)`, "The reason is permission", "failed kamailio_up would be 0.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the report:\n%s", want, out)
		}
	}
	if err := os.Chmod(k.Dir, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, SysProcAttr: cmd.SysProcAttr}
	out, _ = cmd.Output()
	if err := os.Chmod(k.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(string(out), "\n          ", " ")
	if want := "The exporter's user may not enter the directory " + k.Dir + ", which has mode 0600"; !strings.Contains(text, want) || strings.Contains(text, "0660") {
		t.Errorf("%q is not in the report, or the mode of the socket is:\n%s", want, out)
	}
}

// refuse has a command run as a user who may not connect to a socket. That is another user if the test runs as root.
func refuse(t *testing.T, cmd *exec.Cmd, socket, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(socket, 0); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	cmd.Path = copyForAll(t, cmd.Path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
