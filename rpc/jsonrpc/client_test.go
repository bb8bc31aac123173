package jsonrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// answer is a Kamailio that knows a few methods.
func answer(t *testing.T, request []byte) (string, int) {
	t.Helper()
	var call struct {
		Version string `json:"jsonrpc"`
		Method  string `json:"method"`
		Params  []any  `json:"params"`
		ID      int    `json:"id"`
	}
	if err := json.Unmarshal(request, &call); err != nil || call.Version != "2.0" {
		t.Errorf("request %s: %v", request, err)
	}
	switch call.Method {
	case "core.uptime":
		return fmt.Sprintf(`{"jsonrpc":"2.0","result":{"uptime":42},"id":%d}`, call.ID), http.StatusOK
	case "echo":
		return fmt.Sprintf(`{"jsonrpc":"2.0","result":%q,"id":%d}`, fmt.Sprint(call.Params...), call.ID), http.StatusOK
	case "never":
		return "", 0
	default:
		return fmt.Sprintf(`{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%d}`, call.ID), http.StatusInternalServerError
	}
}

// servers has a client for each transport, towards a server of answer.
func servers(t *testing.T) map[string]*Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rpc")
	serveDatagrams(t, "unixgram", path)
	clients := map[string]*Client{
		"http":     NewHTTP(serveHTTP(t).URL+"/RPC", Options{}),
		"tcp":      NewTCP(serveTCP(t), Options{}),
		"unixgram": NewDatagram("unixgram", path, Options{}),
		"udp":      NewDatagram("udp", serveDatagrams(t, "udp", "127.0.0.1:0"), Options{}),
	}
	for _, client := range clients {
		t.Cleanup(func() { client.Close() })
	}
	return clients
}

func serveHTTP(t *testing.T) *httptest.Server {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body)
		reply, status := answer(t, request)
		if status == 0 {
			<-ended
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
	return server
}

func serveTCP(t *testing.T) string {
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
			t.Cleanup(func() { conn.Close() })
			buf := make([]byte, 65536)
			n, _ := conn.Read(buf)
			if reply, status := answer(t, buf[:n]); status != 0 {
				_, _ = io.WriteString(conn, reply)
				conn.Close()
			}
		}
	}()
	return listener.Addr().String()
}

func serveDatagrams(t *testing.T, network, address string) string {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, status := answer(t, buf[:n]); status != 0 {
				// As if an answer to somebody else came first.
				_, _ = conn.WriteTo([]byte(`{"jsonrpc":"2.0","result":"stale","id":999999}`), from)
				_, _ = conn.WriteTo([]byte(reply), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestCall(t *testing.T) {
	for name, client := range servers(t) {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				replies := client.Do(t.Context(),
					rpc.Call{Method: "core.uptime"},
					rpc.Call{Method: "nosuch"},
					rpc.Call{Method: "echo", Args: []any{"a", 1, 2.5}},
				)
				if uptime, _ := replies[0].Value.Get("uptime").Int(); uptime != 42 || replies[0].Received.IsZero() {
					t.Errorf("uptime %+v", replies[0])
				}
				if fault, ok := errors.AsType[*rpc.Fault](replies[1].Err); !ok || !fault.NoSuchMethod() || replies[1].Received.IsZero() {
					t.Errorf("absent method %+v", replies[1])
				}
				if text := replies[2].Value.Text(); text != "a1 2.5" {
					t.Errorf("echo %q", text)
				}
			}
		})
	}
}

// TestAnAnswerThatNeverComes costs neither the other calls their turn, nor later
// batches theirs.
func TestAnAnswerThatNeverComes(t *testing.T) {
	for name, client := range servers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			replies := client.Do(ctx,
				rpc.Call{Method: "core.uptime"}, rpc.Call{Method: "never"}, rpc.Call{Method: "core.uptime"},
				rpc.Call{Method: "never"}, rpc.Call{Method: "core.uptime"})
			for i, reply := range replies {
				if failed := reply.Err != nil; failed != (i == 1 || i == 3) {
					t.Errorf("reply %d: %+v", i, reply)
				}
			}
			if _, err := rpc.One(t.Context(), client, "core.uptime"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	for name, client := range servers(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, cancel)
			for _, reply := range client.Do(ctx, rpc.Call{Method: "never"}, rpc.Call{Method: "core.uptime"}) {
				if !errors.Is(reply.Err, context.Canceled) {
					t.Errorf("reply %+v", reply)
				}
			}
		})
	}
}

func TestClose(t *testing.T) {
	for name, client := range servers(t) {
		if err := errors.Join(client.Close(), client.Close()); err != nil || client.Usable() {
			t.Errorf("%s: %v, usable: %t", name, err, client.Usable())
		}
		if _, err := rpc.One(t.Context(), client, "core.uptime"); !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestBadArguments(t *testing.T) {
	client := NewTCP("127.0.0.1:1", Options{})
	if _, err := rpc.One(t.Context(), client, "x", make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("error %v", err)
	}
}

func TestHTTPThatIsNoJSONRPC(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := NewHTTP(server.URL+"/RPC", Options{})
	defer client.Close()
	_, err := rpc.One(t.Context(), client, "core.uptime")
	if status, ok := errors.AsType[*StatusError](err); !ok || status.Code != http.StatusNotFound {
		t.Errorf("error %v", err)
	}
}

func TestErrorsShowNoQuery(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	client := NewHTTP(server.URL+"/RPC?token=secret", Options{})
	defer client.Close()
	_, wrongPath := rpc.One(t.Context(), client, "core.uptime")
	server.Close()
	_, nobody := rpc.One(t.Context(), client, "core.uptime")
	for _, err := range []error{wrongPath, nobody} {
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "/RPC") {
			t.Errorf("error %v", err)
		}
	}
}

func TestReplyToAnotherRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","result":1,"id":999}`)
	}))
	defer server.Close()
	client := NewHTTP(server.URL, Options{})
	defer client.Close()
	_, err := rpc.One(t.Context(), client, "core.uptime")
	if _, ok := errors.AsType[*SyntaxError](err); !ok {
		t.Errorf("error %v", err)
	}
}

func TestReplyBeyondTheLimit(t *testing.T) {
	client := NewHTTP(serveHTTP(t).URL, Options{Limits: rpc.Limits{Size: 10}})
	defer client.Close()
	_, err := rpc.One(t.Context(), client, "core.uptime")
	if _, ok := errors.AsType[*rpc.LimitError](err); !ok {
		t.Errorf("error %v", err)
	}
}
