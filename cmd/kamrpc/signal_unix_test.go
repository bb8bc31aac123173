//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestEndsWhileNobodyReads has replies that are larger than a pipe. The test reads their first byte only.
func TestEndsWhileNobodyReads(t *testing.T) {
	t.Parallel()
	uri := serve(t, func(context.Context, rpc.Call) ([]any, error) { return []any{strings.Repeat("x", 1<<20)}, nil })
	for _, args := range [][]string{{"echo"}, {"--raw", "echo"}, {"--list"}} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"-u", uri}, args...)...)
		cmd.Env, cmd.Stdout = append(os.Environ(), asKamrpc+"=1"), writer
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
		err = cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys() != syscall.WaitStatus(syscall.SIGTERM) {
			t.Errorf("%q: ended with %v, want the signal SIGTERM", args, err)
		}
	}
}
