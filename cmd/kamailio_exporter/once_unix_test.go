//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// queues returns the URI of a server that has message queues with these names.
func queues(t *testing.T, names ...string) string {
	t.Helper()
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) {
		var rows []any
		for _, name := range names {
			rows = append(rows, rpc.Members{{Name: "name", Value: name}, {Name: "size", Value: 1}})
		}
		return rows, nil
	})
	t.Cleanup(func() { server.Close() })
	return server.URI
}

// TestOnceEndsWhileNobodyReads has a page that is larger than a pipe. A test reads its first byte only.
func TestOnceEndsWhileNobodyReads(t *testing.T) {
	t.Parallel()
	names := make([]string, 4000)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), logPatience)
	defer cancel()
	cmd := command(ctx, "--once", "-u", queues(t, names...), "-m", "mqueue.get_sizes", "-t", "1m")
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if _, err := io.ReadFull(reader, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	checkSignaled(t, cmd.Wait())
}

// checkSignaled checks that a program ended by SIGTERM.
func checkSignaled(t *testing.T, err error) {
	t.Helper()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys() != syscall.WaitStatus(syscall.SIGTERM) {
		t.Errorf("the program ended with %v, want the signal SIGTERM", err)
	}
}

// onTerminal returns what a program prints to a terminal.
func onTerminal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("SKIPPED: the test needs the program script, which has a terminal")
	}
	var quoted []string
	for _, arg := range append([]string{cmd.Path}, cmd.Args[1:]...) {
		quoted = append(quoted, "'"+arg+"'")
	}
	ctx, cancel := context.WithTimeout(t.Context(), logPatience)
	defer cancel()
	script := exec.CommandContext(ctx, "script", "-qec", strings.Join(quoted, " "), "/dev/null")
	script.Env, script.Stdin = cmd.Env, strings.NewReader("")
	out, err := script.Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

// TestTextOfServersIsEscapedOnATerminal has a server, and a saved reply, with a text that a terminal would act on.
func TestTextOfServersIsEscapedOnATerminal(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b[2J\u202ea\tb"
	file := writeConfig(t, "custom_metrics: {e: {method: mqueue.get_sizes, rows: '.[]', metrics: [{name: lab_items, labels: {queue: .name}, value: .size}]}}\n")
	reply := filepath.Join(t.TempDir(), "reply.json")
	if err := os.WriteFile(reply, []byte(`[{"name":"`+strings.NewReplacer("\x1b", `\u001b`, "\t", `\t`).Replace(hostile)+`","size":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{
		command(t.Context(), "--once", "-u", queues(t, hostile), "-m", "mqueue.get_sizes"),
		command(t.Context(), "custom-metrics", "test", "--config.file", file, "--reply", reply, "e"),
	} {
		if page, want := onTerminal(t, cmd), `queue="\x1b[2J\u202ea\tb"} 1`+"\n"; !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%q", want, page)
		}
		if page, err := cmd.Output(); err != nil || !strings.Contains(string(page), hostile) {
			t.Errorf("the page for a program differs: %v\n%q", err, page)
		}
	}
}
