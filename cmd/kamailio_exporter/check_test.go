//go:build unix

package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkCommandOutput runs the command check, and returns what it prints and its exit status.
func checkCommandOutput(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(t.Context(), append([]string{"check"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit status is returned
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestCheckErrors has command lines and files that are not valid.
func TestCheckErrors(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "targets: [{name: a, uri: 'unix:/no/such/a'}]\n")
	wrong := writeConfig(t, "target: 1\nmodule: 1\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--nosuch"}, "unknown long flag '--nosuch'; see kamailio_exporter check --help"},
		{[]string{"-t", "0s"}, "--kamailio.timeout: "},
		{[]string{"check"}, `unexpected argument "check"`},
		{[]string{"--once"}, "--once: the flag is not for the command check"},
		{[]string{"--config.check"}, "--config.check: the flag is not for the command check"},
		{[]string{"--target", "a"}, `--target: there is no target "a" in --config.file`},
		{[]string{"--target", "b", "--config.file", file}, `--target: there is no target "b" in --config.file; the targets are a`},
		{[]string{"--config.file", wrong}, wrong + ":1: unknown key \"target\", allowed are auths, custom_metrics, modules, target_files, targets\nkamailio_exporter: error: " + wrong + ":2: unknown key"},
	} {
		stdout, stderr, status := checkCommandOutput(t, test.args...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: status %d, output\n%s\nerrors\n%s\nwant %s", test.args, status, stdout, stderr, test.want)
		}
	}
}

// TestCheckHelp has the helps that must name the command.
func TestCheckHelp(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"usage: kamailio_exporter check [<flags>]":          {"check", "--help"},
		"Its commands are check and custom-metrics test.":   {"--help"},
		"are check and custom\\-metrics test.\n.SH OPTIONS": {"--help-man"},
	} {
		cmd := command(t.Context(), args...)
		cmd.Env = append(cmd.Env, "COLUMNS=400")
		if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v: %q is not in %s", args, err, want, out)
		}
	}
}

// TestCheckChangesNothing runs the command in an empty directory, with an address that is in use.
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dir := t.TempDir()
	cmd := command(t.Context(), "check", "-u", queues(t, "a"), "-m", "mqueue.get_sizes", "-l", listener.Addr().String())
	if cmd.Path, err = filepath.Abs(cmd.Path); err != nil {
		t.Fatal(err)
	}
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `targets: ["`+listener.Addr().String()+`"]`) || !strings.Contains(string(out), "ok     kamailio_up would be 1.\n") {
		t.Errorf("%v: %s", err, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

// TestCheckOfHostileServer has a server whose texts a terminal would act on.
func TestCheckOfHostileServer(t *testing.T) {
	t.Parallel()
	out, err := command(t.Context(), "check", "-u", queues(t, "\x1b[2J\u202e\r\nname"), "-m", "auto,mqueue.get_sizes").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() != 1 {
		t.Error(err)
	}
	if strings.ContainsAny(string(out), "\x1b\u202e\r") || !strings.Contains(string(out), "2. Reply") {
		t.Errorf("%q", out)
	}
}
