package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

func serve(t *testing.T, handler binrpctest.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := binrpctest.NewUnstartedServer(handler)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return "unix:" + path
}

func TestRun(t *testing.T) {
	uri := serve(t, func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method == "fault" {
			return nil, &rpc.Fault{Code: 404, Reason: "not there"}
		}
		return []any{rpc.Members{{Name: "method", Value: call.Method}, {Name: "args", Value: fmt.Sprintf("%#v", call.Args)}}}, nil
	})
	var out bytes.Buffer
	if err := run(t.Context(), &out, uri, time.Minute, "echo", []string{"1", "s:1", "d:1", "x", "-5"}); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"method\": \"echo\",\n  \"args\": \"[]interface {}{1, \\\"1\\\", 1, \\\"x\\\", -5}\"\n}\n"
	if out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}

	for _, test := range []struct{ uri, method, arg, want string }{
		{uri, "fault", "", "fault 404: not there"},
		{uri, "echo", "d:x", "is no floating-point number"},
		{"nowhere", "echo", "", "is no URI of a Kamailio"},
		{"unix:/no/such/socket", "echo", "", "no such file"},
		{uri, unsafeMethod, "", "unsafe to call"},
	} {
		err := run(t.Context(), &out, test.uri, time.Minute, test.method, []string{test.arg})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: error %v, want %q in it", test.uri, test.method, err, test.want)
		}
	}
}

// TestCallsAreMadeOnce hangs up on each call: one that changes something must
// not be repeated.
func TestCallsAreMadeOnce(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var connections atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_, _ = conn.Read(make([]byte, 1000))
			conn.Close()
		}
	}()
	var out bytes.Buffer
	if err := run(t.Context(), &out, "unix:"+listener.Addr().String(), time.Minute, "dlg.end_dlg", nil); err == nil {
		t.Error("there is no error")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
