package binrpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// serve serves a unix socket until the end of the test and returns its path.
func serve(t testing.TB, handler Handler) string {
	t.Helper()
	listener := listen(t)
	start(t, NewServer(handler), func(s *Server) error { return s.Serve(listener) })
	return listener.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// start lets a server serve until the end of the test.
func start(t testing.TB, server *Server, serve func(*Server) error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- serve(server) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// echo answers with the name of the method.
func echo(_ context.Context, call rpc.Call) ([]any, error) {
	return []any{call.Method}, nil
}

// connect connects to a server without a client.
func connect(t testing.TB, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// receive reads a packet.
func receive(t testing.TB, r *bufio.Reader) Message {
	t.Helper()
	p, err := readPacket(r, rpc.Limits{}.WithDefaults(), firstChunk, notWaiting)
	if err != nil || p.wrong != nil {
		t.Fatal(err, p.wrong)
	}
	return Message{p.kind, p.cookie, p.value}
}

func request(t testing.TB, cookie uint32, method string, args ...any) []byte {
	t.Helper()
	packet, err := AppendRequest(nil, cookie, rpc.Call{Method: method, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestServerAnswers(t *testing.T) {
	path := serve(t, func(_ context.Context, call rpc.Call) ([]any, error) {
		switch call.Method {
		case "nothing":
			return nil, nil
		case "args":
			return call.Args, nil
		case "fault":
			return nil, &rpc.Fault{Code: 404, Reason: "not here"}
		case "error":
			return nil, errors.New("something else")
		case "large fault":
			return nil, &rpc.Fault{Code: math.MinInt, Reason: "beyond"}
		default:
			return []any{make(chan int)}, nil // has no form
		}
	})
	s, err := DialStream(deadline(t), "unix", path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := rpc.Fault{Code: 500, Reason: "beyond"}
	if math.MinInt == math.MinInt32 { // then the wire has room for it
		large.Code = math.MinInt
	}
	for _, test := range []struct {
		call  rpc.Call
		want  string
		fault rpc.Fault
	}{
		{call: rpc.Call{Method: "nothing"}, want: "[]"},
		{call: rpc.Call{Method: "args", Args: []any{1, "two", 3.5}}, want: `[1,"two",3.5]`},
		{call: rpc.Call{Method: "args", Args: []any{rpc.Members{{Name: "a", Value: nil}}}}, want: `{"a":null}`},
		{call: rpc.Call{Method: "fault"}, fault: rpc.Fault{Code: 404, Reason: "not here"}},
		{call: rpc.Call{Method: "error"}, fault: rpc.Fault{Code: 500, Reason: "something else"}},
		{call: rpc.Call{Method: "large fault"}, fault: large},
		{call: rpc.Call{Method: "bad"}, fault: rpc.Fault{Code: 500, Reason: "the reply: a value of Go type chan int has no RPC form"}},
	} {
		got, err := rpc.One(deadline(t), s, test.call.Method, test.call.Args...)
		fault, ok := errors.AsType[*rpc.Fault](err)
		if ok && *fault != test.fault || !ok && (err != nil || got.String() != test.want) {
			t.Errorf("%v: got %v, %v; want %s or %v", test.call, got, err, test.want, test.fault)
		}
	}
}

func TestServerAnswersInOrder(t *testing.T) {
	conn, r := connect(t, serve(t, echo))
	var requests []byte
	for cookie := range uint32(100) {
		requests = append(requests, request(t, cookie, "m")...)
	}
	// However the requests arrive.
	for _, piece := range [][]byte{requests[:3], requests[3:50], requests[50:]} {
		if _, err := conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	for cookie := range uint32(100) {
		if got := receive(t, r); got.Kind != Reply || got.Cookie != cookie {
			t.Fatalf("got %+v, want a reply with cookie %d", got, cookie)
		}
	}
}

func TestServerRefusesBadRequests(t *testing.T) {
	for _, test := range []struct {
		name   string
		packet []byte
		cookie uint32
		want   string
	}{
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), 0, "0x47 where a packet starts"},
		{"a reply", reply(t, 7, "x"), 7, "the packet is no request"},
		{"no method", packetOf(Request), 7, "does not start with the name of a method"},
		{"a number for a method", packetOf(Request, 0x10, 1), 7, "does not start with the name of a method"},
		{"bad records", packetOf(Request, 0x83), 7, "the end of a struct that was not started"},
		{"too long by its header", appendHeader(nil, Request, 70000, 7), 7, "limit of 65535 bytes"},
		{"too long with its header", packetOf(Request, append([]byte{0xc1, 0, 0, 0xff, 0xf9}, make([]byte, 0xfff9)...)...), 7, "limit of 65535 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, r := connect(t, serve(t, echo))
			if _, err := conn.Write(append(request(t, 6, "good"), test.packet...)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, r); got.Kind != Reply || got.Cookie != 6 {
				t.Errorf("the good request got %+v", got)
			}
			got := receive(t, r)
			fault := got.Fault()
			if fault == nil || fault.Code != 400 || !strings.Contains(fault.Reason, test.want) || got.Cookie != test.cookie {
				t.Errorf("got %v with cookie %d, want 400 %q with %d", fault, got.Cookie, test.want, test.cookie)
			}
			if _, err := r.ReadByte(); err != io.EOF && !isReset(err) {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
}

// isReset tells whether a connection was closed with bytes that nobody read.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func TestServerTakesTheLongestRequest(t *testing.T) {
	conn, r := connect(t, serve(t, echo))
	longest := request(t, 7, "m", strings.Repeat("x", maxRequest-12))
	if len(longest) != maxRequest {
		t.Fatalf("a request of %d bytes", len(longest))
	}
	if _, err := conn.Write(longest); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, r); got.Kind != Reply {
		t.Errorf("got %v", got.Fault())
	}
}

func TestServerDatagrams(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		large := bytes.Repeat([]byte("x"), 150_000)
		start(t, NewServer(func(ctx context.Context, call rpc.Call) ([]any, error) {
			if call.Method == "large" {
				return []any{large}, nil
			}
			return echo(ctx, call)
		}), func(s *Server) error { return s.ServePacket(p.conn) })
		replies := ask(deadline(t), d, "a", "large", "b")
		if replies[1].Err != nil || replies[1].Value.Text() != string(large) {
			t.Errorf("got %d bytes, %v", len(replies[1].Value.Text()), replies[1].Err)
		}
		wantTexts(t, []rpc.Reply{replies[0], replies[2]}, "a", "b")
		for _, bad := range []string{"garbage", "", string(packetOf(Request, 0x83)), string(request(t, 1, "m")) + "\x00", string(request(t, 1, "m"))[:4], "\xa1\x00\x04\x01\x21m\x00"} {
			conn := d.socket
			if _, err := conn.Write([]byte(bad)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, maxRequest)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			message, err := Parse(buf[:n], rpc.Limits{})
			if fault := message.Fault(); err != nil || fault == nil || fault.Code != 400 {
				t.Errorf("%q: got %+v, %v; want fault 400", bad, message, err)
			}
		}
		wantTexts(t, ask(deadline(t), d, "c"), "c")
	})
}

func TestServerClose(t *testing.T) {
	entered := make(chan struct{})
	var finished atomic.Bool
	server := NewServer(func(ctx context.Context, _ rpc.Call) ([]any, error) {
		close(entered)
		<-ctx.Done()       // Close ends it
		for range 10_000 { // and waits for it
			runtime.Gosched()
		}
		finished.Store(true)
		return nil, ctx.Err()
	})
	listener, other := listen(t), listen(t)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	for _, serve := range []func() error{
		func() error { return server.Serve(listener) },
		func() error { return server.Serve(other) },
		func() error { return server.ServePacket(packets) },
	} {
		serving.Go(func() {
			if err := serve(); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	_, idle := connect(t, other.Addr().String())
	conn, busy := connect(t, listener.Addr().String())
	if _, err := conn.Write(request(t, 1, "m")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the handler is called", entered)
	for range 2 {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if !finished.Load() {
			t.Error("a handler outlived Close")
		}
	}
	serving.Wait()
	for _, r := range []*bufio.Reader{idle, busy} {
		// The call under way may still have been answered.
		if _, err := io.Copy(io.Discard, r); err != nil && !isReset(err) {
			t.Errorf("a connection outlived the server: %v", err)
		}
	}
	// What is given to it now is closed at once.
	late := listen(t)
	if err := server.Serve(late); err != nil {
		t.Error(err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener outlived the server: %v", err)
	}
}

func TestServerForgetsConnections(t *testing.T) {
	server, listener := NewServer(echo), listen(t)
	start(t, server, func(s *Server) error { return s.Serve(listener) })
	conn, r := connect(t, listener.Addr().String())
	if _, err := conn.Write(request(t, 1, "m")); err != nil {
		t.Fatal(err)
	}
	receive(t, r)
	_ = conn.Close()
	waitUntil(t, func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return len(server.open) == 1 // the listener
	})
}

func TestServeReturnsTheListenersError(t *testing.T) {
	server := NewServer(echo)
	defer server.Close()
	listener := listen(t)
	_ = listener.Close()
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := server.ServePacket(conn); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
