//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// TestSIGHUPDoesNotEndTheExporter sends the signal twice. Each one is logged.
func TestSIGHUPDoesNotEndTheExporter(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio)
	for _, times := range []string{`(?s)`, `(?s)Received SIGHUP.*`} {
		if err := e.process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		e.awaitLog(times + `level=INFO [^\n]*msg="Received SIGHUP: there is no configuration file to reload"`)
		if response, _ := e.get("/metrics"); response.StatusCode != http.StatusOK {
			t.Errorf("after SIGHUP: %s", response.Status)
		}
	}
}

// TestIdleConnectionsDoNotUseAllDescriptors opens more connections than the exporter has file descriptors, and sends nothing.
// The exporter still serves scrapes and connects to Kamailio.
func TestIdleConnectionsDoNotUseAllDescriptors(t *testing.T) {
	t.Parallel()
	const descriptors = 64
	exporter := command(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", `ulimit -n 64 && exec "$0" "$@"`,
		exporter.Path, "-l", "127.0.0.1:0", "-u", noKamailio)
	cmd.Env = exporter.Env
	e := startCommand(t, cmd)
	for range 2 * descriptors {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	p := e.scrape()
	p.check(t, "process_max_fds", descriptors)
	if open := p["process_open_fds"]; open > descriptors/2+20 {
		t.Errorf("%v descriptors are open", open)
	}
	e.awaitLog("no such file or directory")
	if log := e.log.String(); strings.Contains(log, "too many open files") {
		t.Error("the exporter ran out of file descriptors")
	}
}

// TestConnectionsOfSystemdSocketAreLimited passes a listening socket to the exporter as systemd does.
func TestConnectionsOfSystemdSocketAreLimited(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File() //nolint:errcheck // always that type
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	exporter := command(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", `ulimit -n 64 && LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`,
		exporter.Path, "--web.systemd-socket", "-u", noKamailio)
	cmd.Env = exporter.Env
	cmd.ExtraFiles = []*os.File{file} // descriptor 3, the first one of systemd
	e := startCommand(t, cmd)
	for range 128 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	e.scrape().check(t, "process_max_fds", 64)
	if log := e.log.String(); strings.Contains(log, "too many open files") {
		t.Error("the exporter ran out of file descriptors")
	}
}

// TestReloadBySignal changes the file of a running exporter and sends it SIGHUP: with targets that are valid, and with one that is
// not.
func TestReloadBySignal(t *testing.T) {
	file := writeConfig(t, "targets: [{name: a, uri: 'unix:/no/such/a'}]\n")
	e := start(t, "--config.file", file)
	if _, body := e.get("/sd"); strings.Count(string(body), "__param_target") != 1 {
		t.Errorf("the targets are %s", body)
	}
	reload := func(content, want string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := e.process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		e.awaitLog(want)
	}
	reload("targets: [{name: a, uri: 'unix:/no/such/a'}, {name: b, uri: 'unix:/no/such/b'}]\n", `Reloaded the configuration file.*targets=2`)
	e.scrape().check(t, "go_gc_gomemlimit_bytes", softMemoryLimit+2*memoryPerTarget)
	reload("targets: [{name: c}]\n", `the old configuration stays.*:1: the target must have the key uri`)
	if _, body := e.get("/sd"); strings.Count(string(body), "__param_target") != 2 {
		t.Errorf("the targets are %s", body)
	}
}

// TestHangupDuringTheStart sends SIGHUP while the exporter parses its flags: it waits for one of their files, a FIFO.
func TestHangupDuringTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	e := runCommand(t, command(context.WithoutCancel(t.Context()), "-l", "127.0.0.1:0", "-u", noKamailio, "--kamailio.http-config.file", file))
	go func() {
		<-e.ended // nothing reads the FIFO any more
		if fifo, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			fifo.Close()
		}
	}()
	fifo, err := os.OpenFile(file, os.O_WRONLY, 0) // waits until the exporter opens it
	if err != nil {
		t.Fatal(err)
	}
	if err := e.process.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	fifo.Close()
	e.awaitListening()
	e.awaitLog("Received SIGHUP: there is no configuration file to reload")
}

// TestEndOfLogReader closes the pipe that the exporter logs to, as if the program that reads the log had ended. The exporter still
// serves.
func TestEndOfLogReader(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	exporter := command(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", `exec "$0" "$@" 2>&3`,
		exporter.Path, "-l", "127.0.0.1:0", "--config.file", writeConfig(t, "targets: []\n"), "--web.enable-lifecycle")
	cmd.Env = exporter.Env
	cmd.ExtraFiles = []*os.File{writer} // descriptor 3
	e := runCommand(t, cmd)
	writer.Close()
	for lines := bufio.NewScanner(reader); e.url == "" && lines.Scan(); {
		if address := child.Listening.FindStringSubmatch(lines.Text()); address != nil {
			e.url = "http://" + address[1]
		}
	}
	reader.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+"/-/reload", http.NoBody) // which is logged
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	e.scrape().check(t, "kamailio_exporter_config_last_reload_successful", 1)
}

// TestOutputThatCannotBeWritten has a full disk as standard output.
func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, flag := range []string{"--help", "--version", "--help-man"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("the system has no /dev/full")
		}
		defer full.Close()
		var problems strings.Builder
		cmd := command(t.Context(), flag)
		cmd.Stdout, cmd.Stderr = full, &problems
		err = cmd.Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || strings.Count(problems.String(), "\n") != 1 {
			t.Errorf("%s: got %v and the output\n%s", flag, err, &problems)
		}
	}
}
