package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// asKamrpc makes the test program run as kamrpc, so that tests run the whole program with
// the race detector.
const asKamrpc = "KAMAILIO_EXPORTER_TEST_AS_KAMRPC"

func TestMain(m *testing.M) {
	if os.Getenv(asKamrpc) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is the maximum time to wait for kamrpc.
const patience = time.Minute

// kamrpc runs the program with these arguments.
func kamrpc(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asKamrpc+"=1", "GORACE=atexit_sleep_ms=0", "COLUMNS=400")
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	_ = cmd.Run() // the exit status is returned
	return out.String(), fault.String(), cmd.ProcessState.ExitCode()
}

// checkFails runs kamrpc, which must print nothing to standard output and end with status
// 1. Its error must have each part.
func checkFails(t *testing.T, args []string, parts ...string) string {
	t.Helper()
	stdout, stderr, status := kamrpc(t, args...)
	if stdout != "" || status != 1 {
		t.Errorf("%q: status %d, standard output %q", args, status, stdout)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("%q: %q is not in the error: %s", args, part, stderr)
		}
	}
	return stderr
}

// serve starts a BINRPC server and returns its URI.
func serve(t *testing.T, handler binrpctest.Handler) string {
	t.Helper()
	server := binrpctest.NewServer(handler)
	t.Cleanup(func() { server.Close() })
	return server.URI
}

// serveHTTP starts an HTTP server, and returns its URL and the number of its requests.
func serveHTTP(t *testing.T, handler http.HandlerFunc) (string, *atomic.Int32) {
	t.Helper()
	requests := &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/RPC", requests
}

// echo replies with the method and its arguments.
func echo(_ context.Context, call rpc.Call) ([]any, error) {
	return []any{rpc.Members{{Name: "method", Value: call.Method}, {Name: "args", Value: fmt.Sprintf("%#v", call.Args)}}}, nil
}

func TestArguments(t *testing.T) {
	t.Parallel()
	uri := serve(t, echo)
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"1", "s:1", "d:1", "x", ""}, `1, "1", 1, "x", ""`},
		{[]string{"-1"}, `-1`},
		{[]string{"-1", "--", "-1"}, `-1, -1`},
		{[]string{"--", "-1"}, `-1`},
		{[]string{"--", "-u", "--", "--timeout=1s"}, `"-u", "--", "--timeout=1s"`},
		{[]string{"-1.5", "-.5", "d:-1.5", "-"}, `"-1.5", "-.5", -1.5, "-"`},
		{[]string{"s:-u", "s:--"}, `"-u", "--"`},
		{[]string{"@secret.txt", "@nobody", "@"}, `"@secret.txt", "@nobody", "@"`},
	}
	for _, test := range tests {
		stdout, stderr, status := kamrpc(t, append([]string{"-u", uri, "echo"}, test.args...)...)
		want := "{\n  \"method\": \"echo\",\n  \"args\": " + strconv.Quote("[]interface {}{"+test.want+"}") + "\n}\n"
		if stdout != want || stderr != "" || status != 0 {
			t.Errorf("%q: status %d, %s%s, want %s", test.args, status, stdout, stderr, want)
		}
	}
	if stdout, _, status := kamrpc(t, "-u", uri, "--", "echo", "--", "-1"); status != 0 || !strings.Contains(stdout, "{-1}") {
		t.Errorf("-- before the method: status %d, %s", status, stdout)
	}
	checkFails(t, []string{"-u", uri, "echo", "d:x"}, `"d:x" is not a floating-point number`)
	checkFails(t, []string{"-u", uri, crashes}, "can crash Kamailio and is not called")
	checkFails(t, []string{"-u", uri}, "the method is missing")
}

// TestFlagsAfterTheMethodAreRefused checks that a call does not go to the default socket
// if the flag with another socket is after the method.
func TestFlagsAfterTheMethodAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-u", "tcp://127.0.0.1:1"}, {"1", "--uri=tcp://127.0.0.1:1"}, {"--help"}, {"-h"}, {"-t5s"}, {"--nosuch"}} {
		checkFails(t, append([]string{"core.kill"}, args...), `flags come before the method; to send it as text, write s:-`)
	}
}

// TestAtSignIsAnOrdinaryCharacter has arguments that kingpin would replace by the lines of
// a file.
func TestAtSignIsAnOrdinaryCharacter(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(file, []byte("--version\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	uri := serve(t, echo)
	for _, args := range [][]string{{"echo", "@" + file}, {"--", "echo", "@" + file}, {"@" + file}} {
		stdout, stderr, status := kamrpc(t, append([]string{"-u", uri}, args...)...)
		if status != 0 || !strings.Contains(stdout, "@"+file) {
			t.Errorf("%q: status %d, %s%s", args, status, stdout, stderr)
		}
	}
	checkFails(t, []string{"-u", "@" + file, "echo"}, "--uri: ")
}

// hostile is a text with all kinds of characters that a terminal could act on.
const hostile = "a\x1b[31m\x1b]0;title\a\x00\b\r\n\t\x7f\u009b31m\u0085\u202etxt\u2066\u200b\u200f\u2028\ufeff\U000e0041\u00adz"

// TestOutputHasNoControlCharacters has servers with hostile text in names, values and
// faults, over BINRPC and HTTP.
func TestOutputHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	object := map[string]any{hostile: hostile}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	member := rpc.Members{{Name: strings.ReplaceAll(hostile, "\x00", ""), Value: strings.ReplaceAll(hostile, "\x00", "")}}
	binrpcURI := serve(t, func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method == "fault" {
			return nil, &rpc.Fault{Code: 500, Reason: hostile}
		}
		return []any{member}, nil
	})
	httpURI, _ := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request struct {
			Method string `json:"method"`
			ID     int    `json:"id"`
		}
		_ = json.Unmarshal(body, &request)
		switch request.Method {
		case "fault":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"error":{"code":500,"message":%s}}`, request.ID, mustJSON(hostile))
		case "page":
			_, _ = io.WriteString(w, hostile)
		default:
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":%s}`, request.ID, text)
		}
	})
	for _, uri := range []string{binrpcURI, httpURI, serveStatusLine(t)} {
		for _, method := range []string{"fault", "page", "echo", hostile[1:4]} {
			stdout, stderr, _ := kamrpc(t, "-u", uri, method)
			checkPrintable(t, stdout)
			checkPrintable(t, stderr)
			if stdout == "" && (!strings.HasPrefix(stderr, "kamrpc: error: ") || strings.Count(stderr, "\n") != 1) {
				t.Errorf("%s of %s: the error is not one line: %s", method, uri, stderr)
			}
		}
	}
	stdout, _, _ := kamrpc(t, "-u", httpURI, "echo")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || !reflect.DeepEqual(got, object) {
		t.Errorf("%v: the value of the JSON is %q, want %q, in %s", err, got, object, stdout)
	}
	checkFails(t, []string{"-u", binrpcURI, "fault"}, `fault 500: a\x1b[31m\x1b]0;title\a`)
	checkFails(t, []string{"-u", "unix:/\x1b[31m", "echo"}, `[31m`)
}

// serveStatusLine starts a server with a hostile status line, and returns its URL.
func serveStatusLine(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 502 %s\r\nContent-Length: 0\r\n\r\n", strings.NewReplacer("\r", "", "\n", "").Replace(hostile))
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String() + "/RPC"
}

func checkPrintable(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("the output has %U: %q", r, text)
		}
	}
}

func mustJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// TestCallsAreMadeOnce has servers that read a call and close the connection, or send
// something that is not a reply. The call must not be repeated, because it may change
// something.
func TestCallsAreMadeOnce(t *testing.T) {
	t.Parallel()
	unix := filepath.Join(t.TempDir(), "ctl")
	for uri, network := range map[string]string{"unix:" + unix: "unix", "tcp://": "tcp", "http://": "tcp", "jsonrpc+tcp://": "tcp"} {
		for _, answer := range []string{"", "nonsense", "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = unix
			}
			listener, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			var calls atomic.Int32
			go hangUp(listener, answer, &calls)
			target := uri
			if network == "tcp" {
				target += listener.Addr().String()
			}
			checkFails(t, []string{"-u", target, "-t", "30s", "--yes", "dlg.end_dlg"}, "call dlg.end_dlg of "+target)
			if n := calls.Load(); n != 1 {
				t.Errorf("%s, answer %q: the call was sent %d times, want 1", target, answer, n)
			}
			listener.Close()
		}
	}
}

// hangUp reads and counts one call of each connection, writes the answer, and closes the
// connection.
func hangUp(listener net.Listener, answer string, calls *atomic.Int32) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if n, _ := conn.Read(make([]byte, 4096)); n > 0 {
			calls.Add(1)
		}
		_, _ = io.WriteString(conn, answer)
		conn.Close()
	}
}

// TestDatagramCallsAreMadeOnce has a server that never replies.
func TestDatagramCallsAreMadeOnce(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"udp", "jsonrpc+udp"} {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		checkFails(t, []string{"-u", scheme + "://" + conn.LocalAddr().String(), "-t", "2s", "--yes", "dlg.end_dlg"}, "call dlg.end_dlg of "+scheme, "raise --timeout")
		if n := datagrams(t, conn); n != 1 {
			t.Errorf("%s: the call was sent %d times, want 1", scheme, n)
		}
	}
}

// datagrams returns the number of datagrams that can be read from conn.
func datagrams(t *testing.T, conn net.PacketConn) int {
	t.Helper()
	if _, err := conn.WriteTo([]byte("the end"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for n := 0; ; n++ {
		length, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:length]) == "the end" {
			return n
		}
	}
}

// TestRedirectsAreRefused has a server that redirects calls to another server.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		other, reached := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		})
		uri, requests := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other)
			w.WriteHeader(status)
		})
		checkFails(t, []string{"-u", uri, "--yes", "core.kill"}, "redirect")
		if reached.Load() != 0 || requests.Load() != 1 {
			t.Errorf("status %d: %d requests, and %d to the other server, want 1 and 0", status, requests.Load(), reached.Load())
		}
	}
}

// TestListOfLongNames has a server with a name of a megabyte. The other lines must not become as long.
func TestListOfLongNames(t *testing.T) {
	t.Parallel()
	uri := serve(t, func(context.Context, rpc.Call) ([]any, error) {
		return []any{strings.Repeat("m", 1<<20), "core.uptime", "core.version"}, nil
	})
	stdout, stderr, status := kamrpc(t, "-u", uri, "--list")
	padding := strings.Repeat(" ", 51)
	if want := "core.uptime" + padding + "reads\ncore.version" + padding[1:] + "reads\nmmm"; status != 0 || !strings.HasPrefix(stdout, want) {
		t.Errorf("status %d, standard error %q, got %.200q, want %q", status, stderr, stdout, want)
	}
}
