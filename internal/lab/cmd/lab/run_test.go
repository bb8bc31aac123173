//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// stub returns a program in place of the exporter, which writes its arguments to a file and then runs the script.
func stub(t *testing.T, script string) (program, arguments string) {
	t.Helper()
	dir := t.TempDir()
	program, arguments = filepath.Join(dir, "exporter"), filepath.Join(dir, "arguments")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >"+arguments+"\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, arguments
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// checkTempDir makes an empty directory the one for temporary files. It must be empty again when the test ends.
func checkTempDir(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in the temporary directory: %v, %v", left, err)
		}
	})
}

func TestRunUsesKamailioThatAnswers(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Minimal: true})
	exporter, arguments := stub(t, "exit 7")
	if err := run(t.Context(), strings.TrimPrefix(k.URI("unix"), "unix:"), exporter, []string{"-t", "1s"}); !errors.Is(err, exporterStatus(7)) {
		t.Errorf("error %v, want the exporter's exit status 7", err)
	}
	if got, want := read(t, arguments), "-u "+k.URI("unix")+" -t 1s"; got != want {
		t.Errorf("the exporter was started with %q, want %q", got, want)
	}
}

func TestRunStartsKamailio(t *testing.T) {
	checkTempDir(t)
	exporter, arguments := stub(t, "exit 7")
	if err := run(t.Context(), "/nonesuch", exporter, nil); !errors.Is(err, exporterStatus(7)) {
		t.Errorf("error %v, want the exporter's exit status 7", err)
	}
	if got := read(t, arguments); !strings.HasPrefix(got, "-u unix:"+os.TempDir()) {
		t.Errorf("the exporter was started with %q", got)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	checkTempDir(t)
	started := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	exporter, _ := stub(t, "echo >"+started+"; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_, _ = os.ReadFile(started) // when the exporter has written to it
	}()
	if err := run(ctx, "/nonesuch", exporter, nil); err == nil {
		t.Error("the exporter ended by itself")
	}
}

func TestAnnouncer(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`level=INFO msg="Listening on" address=[::]:9494`:                         "Metrics: http://localhost:9494/metrics ",
		`{"level":"INFO","msg":"Listening on","address":"127.0.0.1:9495","id":1}`: "Metrics: http://127.0.0.1:9495/metrics ",
		`level=INFO msg="another line" address=127.0.0.1:9494`:                    "",
	} {
		var log, out strings.Builder
		a := &announcer{log: &log, out: &out}
		if _, err := fmt.Fprintln(a, line); err != nil || log.String() != line+"\n" || a.listens != (want != "") {
			t.Errorf("log %q, %v, listens %t; want %q", log.String(), err, a.listens, line)
		}
		if !strings.HasPrefix(out.String(), want) || (want == "") != (out.String() == "") {
			t.Errorf("%s prints %q, want %q", line, out.String(), want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"success", t.Context(), nil, 0},
		{"interrupted", interrupted, exporterStatus(3), 0},
		{"exporter ended", t.Context(), errors.Join(exporterStatus(7)), 7},
		{"another program failed", t.Context(), fmt.Errorf("apt-get: %w", &exec.ExitError{}), 1},
		{"help", t.Context(), flag.ErrHelp, 0},
	} {
		if got := status(test.ctx, test.err); got != test.want {
			t.Errorf("%s: status %d, want %d", test.name, got, test.want)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"nonesuch"}, {"run"}, {"up", "-suite", "potato"}, {"demo", "exporter"}} {
		if err := command(t.Context(), args); err == nil {
			t.Errorf("lab %q: no error", args)
		}
	}
}
