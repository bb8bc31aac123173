//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// stub is a program in place of the exporter. It writes its arguments to the file that is its last one and then does
// what the script says.
func stub(t *testing.T, script string) (program, said string) {
	t.Helper()
	dir := t.TempDir()
	program, said = filepath.Join(dir, "exporter"), filepath.Join(dir, "said")
	text := "#!/bin/sh\necho \"$@\" >" + said + ".part && mv " + said + ".part " + said + "\n" + script + "\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, said
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestRunUsesKamailioThatAnswers(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Minimal: true})
	socket := strings.TrimPrefix(k.URI("unix"), "unix:")
	exporter, said := stub(t, "exit 7")
	var exit exporterStatus
	if err := run(t.Context(), socket, exporter, []string{"-t", "1s"}); !errors.As(err, &exit) || exit != 7 {
		t.Errorf("error %v, want the exporter's exit status 7", err)
	}
	if got, want := read(t, said), "-u unix:"+socket+" -t 1s"; got != want {
		t.Errorf("the exporter was started with %q, want %q", got, want)
	}
}

func TestRunStartsKamailio(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	t.Setenv("TMPDIR", t.TempDir())
	exporter, said := stub(t, "exit 7")
	var exit exporterStatus
	if err := run(t.Context(), "/nonesuch", exporter, nil); !errors.As(err, &exit) || exit != 7 {
		t.Errorf("error %v, want the exporter's exit status 7", err)
	}
	uri := strings.TrimPrefix(read(t, said), "-u unix:")
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 || !strings.HasPrefix(uri, os.TempDir()) {
		t.Errorf("exporter was started on %q; left in the temporary directory: %v, %v", uri, left, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	exporter, _ := stub(t, "exec sleep 1000")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // the first scrape of the stub's address is the sign that it runs
		conn, err := listener.Accept()
		if err == nil {
			err = conn.Close()
		}
		if err != nil {
			t.Error(err)
		}
		cancel()
	}()
	if err := run(ctx, "/nonesuch", exporter, []string{"-l", listener.Addr().String()}); err == nil {
		t.Error("the exporter ended by itself")
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

func TestMetricsURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "http://localhost:9494/metrics"},
		{[]string{"-m", "auto"}, "http://localhost:9494/metrics"},
		{[]string{"-l", ":9495"}, "http://localhost:9495/metrics"},
		{[]string{"--web.listen-address=127.0.0.1:80", "-t", "1s"}, "http://127.0.0.1:80/metrics"},
		{[]string{"--web.listen-address", "[::1]:80"}, "http://[::1]:80/metrics"},
		{[]string{"-l"}, "http://localhost:9494/metrics"},
	} {
		if got := metricsURL(test.args); got != test.want {
			t.Errorf("metricsURL(%q) = %q, want %q", test.args, got, test.want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	failed := fmt.Errorf("apt-get: %w", &exec.ExitError{})
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"all well", t.Context(), nil, 0},
		{"interrupted", interrupted, exporterStatus(3), 0},
		{"exporter ended", t.Context(), errors.Join(exporterStatus(7)), 7},
		{"another program failed", t.Context(), failed, 1},
		{"help", t.Context(), flag.ErrHelp, 0},
	} {
		if got := status(test.ctx, test.err); got != test.want {
			t.Errorf("%s: status %d, want %d", test.name, got, test.want)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"nonesuch"}, {"run"}, {"up", "-suite", "potato"}} {
		if err := command(t.Context(), args); err == nil {
			t.Errorf("lab %q: no error", args)
		}
	}
}
