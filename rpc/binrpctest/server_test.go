package binrpctest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// serve serves a unix socket until the end of the test and returns its path.
func serve(t testing.TB, handler Handler) string {
	t.Helper()
	listener := listen(t)
	start(t, NewUnstartedServer(handler), func(s *Server) error { return s.Serve(listener) })
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

// start runs serve in a goroutine. The cleanup of the test closes the server and checks
// the error of serve.
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

// patience is how long a test waits for an event that normally happens at once.
const patience = 10 * time.Second

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// echo replies with the name of the method.
func echo(_ context.Context, call rpc.Call) ([]any, error) {
	return []any{call.Method}, nil
}

// connect connects to a server and returns the connection.
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
func receive(t testing.TB, r *bufio.Reader) binrpc.Message {
	t.Helper()
	message, err := binrpc.Read(r, rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func reply(t testing.TB, cookie uint32, records ...any) []byte {
	t.Helper()
	packet, err := binrpc.AppendReply(nil, cookie, records...)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// packetOf returns a request with cookie 7 and these bytes as its records.
func packetOf(records ...byte) []byte {
	return append([]byte{0xa1, 0, byte(len(records)), 7}, records...)
}

func request(t testing.TB, cookie uint32, method string, args ...any) []byte {
	t.Helper()
	packet, err := binrpc.AppendRequest(nil, cookie, rpc.Call{Method: method, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestServerReplies(t *testing.T) {
	path := serve(t, func(_ context.Context, call rpc.Call) ([]any, error) {
		switch call.Method {
		case "nothing":
			return nil, nil
		case "args":
			return call.Args, nil
		case "fault":
			return nil, &rpc.Fault{Code: 404, Reason: "not found"}
		case "error":
			return nil, errors.New("other error")
		case "large fault":
			return nil, &rpc.Fault{Code: math.MinInt, Reason: "beyond"}
		default:
			return []any{make(chan int)}, nil // cannot be encoded
		}
	})
	s, err := binrpc.Dial(deadline(t), "unix", path, binrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := rpc.Fault{Code: 500, Reason: "beyond"}
	if math.MinInt == math.MinInt32 { // the code fits 32 bits
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
		{call: rpc.Call{Method: "fault"}, fault: rpc.Fault{Code: 404, Reason: "not found"}},
		{call: rpc.Call{Method: "error"}, fault: rpc.Fault{Code: 500, Reason: "other error"}},
		{call: rpc.Call{Method: "large fault"}, fault: large},
		{call: rpc.Call{Method: "bad"}, fault: rpc.Fault{Code: 500, Reason: "encode the reply: a value of Go type chan int cannot be encoded"}},
	} {
		got, err := rpc.One(deadline(t), s, test.call.Method, test.call.Args...)
		fault, ok := errors.AsType[*rpc.Fault](err)
		if ok && *fault != test.fault || !ok && (err != nil || got.String() != test.want) {
			t.Errorf("%v: got %v, %v; want %s or %v", test.call, got, err, test.want, test.fault)
		}
	}
}

func TestServerRepliesInOrder(t *testing.T) {
	conn, r := connect(t, serve(t, echo))
	var requests []byte
	for cookie := range uint32(100) {
		requests = append(requests, request(t, cookie, "m")...)
	}
	// The pieces do not end between requests.
	for _, piece := range [][]byte{requests[:3], requests[3:50], requests[50:]} {
		if _, err := conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	for cookie := range uint32(100) {
		if got := receive(t, r); got.Kind != binrpc.KindReply || got.Cookie != cookie {
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
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), 0, "0x47 instead of 0xa1"},
		{"a reply", reply(t, 7, "x"), 7, "the packet is not a request"},
		{"no method", packetOf(), 7, "does not start with the name of a method"},
		{"a number for a method", packetOf(0x10, 1), 7, "does not start with the name of a method"},
		{"bad records", packetOf(0x83), 7, "the end of a struct that was not started"},
		{"too long", []byte{0xa1, 0x08, 1, 0, 0, 7}, 7, "limit of 65535 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, r := connect(t, serve(t, echo))
			if _, err := conn.Write(append(request(t, 6, "good"), test.packet...)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, r); got.Kind != binrpc.KindReply || got.Cookie != 6 {
				t.Errorf("the good request got %+v", got)
			}
			got := receive(t, r)
			fault := got.Fault()
			if fault == nil || fault.Code != 400 || !strings.Contains(fault.Reason, test.want) || got.Cookie != test.cookie {
				t.Errorf("got %v with cookie %d, want 400 %q with %d", fault, got.Cookie, test.want, test.cookie)
			}
			if _, err := r.ReadByte(); err != io.EOF && !isReset(err) {
				t.Errorf("read after a bad request: got error %v, want the end of the connection", err)
			}
		})
	}
}

// isReset reports whether an error means that the server closed the connection without
// reading all bytes.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func TestServerAcceptsLongestRequest(t *testing.T) {
	conn, r := connect(t, serve(t, echo))
	const maxRequest = 65535
	longest := request(t, 7, "m", strings.Repeat("x", maxRequest-12))
	if len(longest) != maxRequest {
		t.Fatalf("the request has %d bytes, want %d", len(longest), maxRequest)
	}
	if _, err := conn.Write(longest); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, r); got.Kind != binrpc.KindReply {
		t.Errorf("got %v", got.Fault())
	}
}

// servePacket serves a datagram socket until the end of the test, and returns its
// address.
func servePacket(t testing.TB, network string, handler Handler) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unixgram" {
		address = filepath.Join(t.TempDir(), "ctl")
	}
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	start(t, NewUnstartedServer(handler), func(s *Server) error { return s.ServePacket(conn) })
	return conn.LocalAddr().String()
}

func TestServerDatagrams(t *testing.T) {
	for _, network := range []string{"unixgram", "udp"} {
		t.Run(network, func(t *testing.T) {
			large := bytes.Repeat([]byte("x"), 150_000)
			address := servePacket(t, network, func(ctx context.Context, call rpc.Call) ([]any, error) {
				if call.Method == "large" {
					return []any{large}, nil
				}
				return echo(ctx, call)
			})
			client := binrpc.NewDatagram(network, address, binrpc.Options{})
			defer client.Close()
			replies := client.Do(deadline(t), rpc.Call{Method: "a"}, rpc.Call{Method: "large"}, rpc.Call{Method: "b"})
			for i, want := range []string{"a", string(large), "b"} {
				if got := replies[i]; got.Err != nil || got.Value.Text() != want {
					t.Errorf("call %d: got %d bytes, %v", i, len(got.Value.Text()), got.Err)
				}
			}
		})
	}
}

func TestServerRefusesBadDatagrams(t *testing.T) {
	conn, err := net.Dial("udp", servePacket(t, "udp", echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	good := string(request(t, 1, "m"))
	for _, bad := range []string{"garbage", "", string(packetOf(0x83)), good + "\x00", good[:4], "\xa1\x00\x04\x01\x21m\x00"} {
		if _, err := conn.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 65535)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		message, err := binrpc.Parse(buf[:n], rpc.Limits{})
		if fault := message.Fault(); err != nil || fault == nil || fault.Code != 400 {
			t.Errorf("%q: got %+v, %v; want fault 400", bad, message, err)
		}
	}
}

func TestConcurrentBatches(t *testing.T) {
	handler := func(_ context.Context, call rpc.Call) ([]any, error) {
		return []any{call.Method, call.Args[0]}, nil
	}
	conn, err := binrpc.Dial(deadline(t), "unix", serve(t, handler), binrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]rpc.Client{
		"stream":   conn,
		"datagram": binrpc.NewDatagram("unixgram", servePacket(t, "unixgram", handler), binrpc.Options{}),
	} {
		t.Run(name, func(t *testing.T) {
			defer client.Close()
			var done sync.WaitGroup
			for g := range 20 {
				done.Go(func() {
					for n := range 10 {
						var calls []rpc.Call
						for i := range 5 {
							calls = append(calls, rpc.Call{Method: "m", Args: []any{g*10000 + n*100 + i}})
						}
						for i, reply := range client.Do(deadline(t), calls...) {
							want := fmt.Sprintf(`["m",%v]`, calls[i].Args[0])
							if reply.Err != nil || reply.Value.String() != want {
								t.Errorf("got %v, %v; want %s", reply.Value, reply.Err, want)
							}
						}
					}
				})
			}
			done.Wait()
		})
	}
}

func TestNewServer(t *testing.T) {
	server := NewServer(echo)
	defer server.Close()
	conn, err := binrpc.Dial(deadline(t), "tcp", strings.TrimPrefix(server.URI, "tcp://"), binrpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := rpc.One(deadline(t), conn, "m"); err != nil || got.Text() != "m" {
		t.Errorf("got %v, %v", got, err)
	}
}

// waitFor waits until a channel is closed.
func waitFor(t testing.TB, what string, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
	}
}

// waitUntil waits until a condition is true.
func waitUntil(t testing.TB, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatal("timed out waiting for a condition")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestServerClose(t *testing.T) {
	entered := make(chan struct{})
	var finished atomic.Bool
	server := NewUnstartedServer(func(ctx context.Context, _ rpc.Call) ([]any, error) {
		close(entered)
		<-ctx.Done()       // canceled by Close
		for range 10_000 { // Close waits until the handler returns
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
	waitFor(t, "the handler", entered)
	for range 2 {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if !finished.Load() {
			t.Error("Close returned before a handler")
		}
	}
	serving.Wait()
	for _, r := range []*bufio.Reader{idle, busy} {
		// The call in progress may have got a reply.
		if _, err := io.Copy(io.Discard, r); err != nil && !isReset(err) {
			t.Errorf("a connection is open after Close: %v", err)
		}
	}
	// After Close, Serve closes a listener at once.
	late := listen(t)
	if err := server.Serve(late); err != nil {
		t.Error(err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener is open after Close: %v", err)
	}
}

func TestServerRemovesClosedConnections(t *testing.T) {
	server, listener := NewUnstartedServer(echo), listen(t)
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
	server := NewUnstartedServer(echo)
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
