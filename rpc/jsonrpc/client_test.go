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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/datagram"
)

// replyTo returns the reply of a Kamailio with a few methods, and its HTTP status. The
// status is 0 for a method that never replies.
func replyTo(t *testing.T, request []byte) (string, int) {
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

// servers starts a server for each transport, which replies with replyTo, and returns
// their clients.
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
		if contentType := r.Header.Get("Content-Type"); contentType != "application/json" {
			t.Errorf("Content-Type is %q", contentType)
		}
		request, _ := io.ReadAll(r.Body)
		reply, status := replyTo(t, request)
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
			if reply, status := replyTo(t, buf[:n]); status != 0 {
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
			if reply, status := replyTo(t, buf[:n]); status != 0 {
				// A reply to another request arrives first.
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
					t.Errorf("core.uptime: got %+v", replies[0])
				}
				if fault, ok := errors.AsType[*rpc.Fault](replies[1].Err); !ok || !fault.NoSuchMethod() || replies[1].Received.IsZero() {
					t.Errorf("absent method: got %+v", replies[1])
				}
				if text := replies[2].Value.Text(); text != "a1 2.5" {
					t.Errorf("echo: got %q", text)
				}
			}
		})
	}
}

// TestMissingReply checks that the other calls of a batch, and a later batch, succeed
// although some calls get no reply.
func TestMissingReply(t *testing.T) {
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

// TestCancelWhileWaitingForAnotherBatch has another batch in progress.
func TestCancelWhileWaitingForAnotherBatch(t *testing.T) {
	client := NewTCP("127.0.0.1:1", Options{})
	client.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, reply := range client.Do(ctx, rpc.Call{Method: "a"}, rpc.Call{Method: "b"}) {
		if !errors.Is(reply.Err, context.Canceled) || !reply.NotSent {
			t.Errorf("reply %d: got %+v", i, reply)
		}
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

// TestCloseEndsConnections has a server for each transport that keeps connections, and checks that the server sees their end.
func TestCloseEndsConnections(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		ended := make(chan struct{})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","result":1,"id":1}`)
		}))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(ended)
			}
		}
		server.Start()
		defer server.Close()
		client := NewHTTP(server.URL, Options{})
		if _, err := rpc.One(t.Context(), client, "core.uptime"); err != nil {
			t.Fatal(err)
		}
		client.Close()
		waitFor(t, ended)
	})
	t.Run("unixgram", func(t *testing.T) {
		client, server := newDatagramPeer(t)
		from := make(chan net.Addr, 1)
		go func() { from <- answer(t, server) }()
		if _, err := rpc.One(t.Context(), client, "core.uptime"); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if _, err := server.WriteTo([]byte("{}"), <-from); err == nil {
			t.Error("the socket of the client is open after Close")
		}
	})
}

// waitFor waits for an event that normally happens at once.
func waitFor(t *testing.T, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(time.Minute):
		t.Fatal("timed out")
	}
}

// newDatagramPeer returns a client and the datagram socket of its server, which the test controls.
func newDatagramPeer(t *testing.T) (*Client, net.PacketConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rpc")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	client := NewDatagram("unixgram", path, Options{})
	t.Cleanup(func() {
		client.Close()
		conn.Close()
	})
	return client, conn
}

// answer replies to one request, and returns the address of the client.
func answer(t *testing.T, conn net.PacketConn) net.Addr {
	buf := make([]byte, 65536)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		t.Error(err)
		return nil
	}
	reply, _ := replyTo(t, buf[:n])
	if _, err := conn.WriteTo([]byte(reply), from); err != nil {
		t.Error(err)
	}
	return from
}

// TestDatagramServerRestarts checks that the call after the one that fails uses a new socket.
func TestDatagramServerRestarts(t *testing.T) {
	client, old := newDatagramPeer(t)
	go answer(t, old)
	if _, err := rpc.One(t.Context(), client, "core.uptime"); err != nil {
		t.Fatal(err)
	}
	path := old.LocalAddr().String()
	if err := errors.Join(old.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	restarted, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer restarted.Close()
	go answer(t, restarted)
	replies := client.Do(t.Context(), rpc.Call{Method: "core.uptime"}, rpc.Call{Method: "core.uptime"})
	if replies[0].Err == nil || !replies[0].NotSent || replies[1].Err != nil {
		t.Errorf("got %+v, want an error for the first call only", replies)
	}
}

// TestShares checks that the last call of a batch may take all of the time, and earlier ones half of the rest.
func TestShares(t *testing.T) {
	var shares []time.Duration
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	client := newClient(Options{}, func(share context.Context, _ []byte, _ uint64, _ budget.Allowance) ([]byte, bool, error) {
		end, _ := share.Deadline()
		shares = append(shares, time.Until(end).Round(time.Minute))
		return nil, false, errors.New("no reply")
	}, func() {})
	client.Do(ctx, rpc.Call{Method: "a"}, rpc.Call{Method: "b"}, rpc.Call{Method: "c"})
	if want := []time.Duration{time.Hour / 2, time.Hour / 2, time.Hour}; !slices.Equal(shares, want) {
		t.Errorf("the calls may take %v, want %v", shares, want)
	}
}

func TestBadArguments(t *testing.T) {
	client := NewTCP("127.0.0.1:1", Options{})
	if _, err := rpc.One(t.Context(), client, "x", make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("error %v", err)
	}
}

func TestHTTPResponseThatIsNotJSONRPC(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := NewHTTP(server.URL+"/RPC", Options{})
	defer client.Close()
	_, err := rpc.One(t.Context(), client, "core.uptime")
	if status, ok := errors.AsType[*StatusError](err); !ok || status.Code != http.StatusNotFound {
		t.Errorf("error %v", err)
	}
}

func TestErrorsContainNoQuery(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	client := NewHTTP(server.URL+"/RPC?token=secret", Options{})
	defer client.Close()
	_, wrongPath := rpc.One(t.Context(), client, "core.uptime")
	server.Close()
	_, noServer := rpc.One(t.Context(), client, "core.uptime")
	for _, err := range []error{wrongPath, noServer} {
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

func TestSizeLimit(t *testing.T) {
	size := len(`{"jsonrpc":"2.0","result":{"uptime":42},"id":1}`)
	for size, exceeds := range map[int]bool{size: false, size - 1: true, 10: true} {
		client := NewHTTP(serveHTTP(t).URL, Options{Limits: rpc.Limits{Size: size}})
		_, err := rpc.One(t.Context(), client, "core.uptime")
		if _, ok := errors.AsType[*rpc.LimitError](err); ok != exceeds || !exceeds && err != nil {
			t.Errorf("limit of %d bytes: error %v", size, err)
		}
		client.Close()
	}
}

// TestRedirectsAreNotFollowed has a server that redirects to another one, and a server
// that redirects to itself. No call may reach another server, or the same server twice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var others atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	follows := &http.Client{CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > 10 {
			return errors.New("too many redirects")
		}
		return nil
	}}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, location := range map[string]string{"another host": other.URL + "/RPC?token=secret", "itself": "/RPC"} {
			for _, client := range []*http.Client{nil, follows} {
				var requests atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					http.Redirect(w, r, location, status)
				}))
				c := NewHTTP(server.URL+"/RPC", Options{HTTP: client})
				_, err := rpc.One(t.Context(), c, "core.kill")
				redirect, ok := errors.AsType[*StatusError](err)
				if !ok || redirect.Code != status || !strings.HasSuffix(redirect.Location, "/RPC") || !strings.Contains(err.Error(), "redirects are not followed") {
					t.Errorf("%d to %s: error %v", status, name, err)
				}
				if strings.Contains(fmt.Sprint(err), "secret") {
					t.Errorf("%d to %s: the error contains a query: %v", status, name, err)
				}
				if n := requests.Load(); n != 1 {
					t.Errorf("%d to %s: the call was delivered %d times", status, name, n)
				}
				c.Close()
				server.Close()
			}
		}
	}
	if n := others.Load(); n != 0 {
		t.Errorf("%d calls were delivered to another server", n)
	}
	if follows.CheckRedirect(nil, make([]*http.Request, 10)) != nil || follows.CheckRedirect(nil, make([]*http.Request, 11)) == nil {
		t.Error("the user's client was changed")
	}
}

// TestRepliesNotFromKamailio has responses of gateways that look similar to faults. The
// captured faults show that Kamailio's always contain the version and the id.
func TestRepliesNotFromKamailio(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
	}{
		"an error without anything":   {200, `{"error":{}}`},
		"a gateway's error":           {502, `{"error":{"code":502,"message":"Bad Gateway"}}`},
		"an error as text":            {503, `{"jsonrpc":"2.0","error":"down","id":1}`},
		"a fault without an id":       {500, `{"jsonrpc":"2.0","error":{"code":500,"message":"x"}}`},
		"a fault with a null id":      {500, `{"jsonrpc":"2.0","error":{"code":500,"message":"x"},"id":null}`},
		"a fault with another id":     {500, `{"jsonrpc":"2.0","error":{"code":500,"message":"x"},"id":2}`},
		"a fault without a version":   {500, `{"error":{"code":500,"message":"x"},"id":1}`},
		"a fault without a code":      {500, `{"jsonrpc":"2.0","error":{"message":"x"},"id":1}`},
		"a result without a version":  {200, `{"result":{"uptime":1},"id":1}`},
		"a result with an id as text": {200, `{"jsonrpc":"2.0","result":{"uptime":1},"id":"1"}`},
		"a page":                      {502, `<html>Bad Gateway</html>`},
		"nothing":                     {204, ``},
		"a redirect to nowhere":       {302, ``},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.status/100 != 3 {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			client := NewHTTP(server.URL, Options{})
			defer client.Close()
			reply := client.Do(t.Context(), rpc.Call{Method: "core.uptime"})[0]
			status, isStatus := errors.AsType[*StatusError](reply.Err)
			_, isSyntax := errors.AsType[*SyntaxError](reply.Err)
			if _, isFault := errors.AsType[*rpc.Fault](reply.Err); isFault || !reply.Received.IsZero() {
				t.Errorf("got %+v, want an error that is not a fault, and no Received", reply)
			}
			if test.status == http.StatusOK && !isSyntax || test.status != http.StatusOK && (!isStatus || status.Code != test.status || status.Location != "") {
				t.Errorf("error %v", reply.Err)
			}
		})
	}
}

// TestInformationalResponsesAreLimited has a server that sends responses with status 103 before the reply.
func TestInformationalResponsesAreLimited(t *testing.T) {
	for _, n := range []int{maxInformational, maxInformational + 1} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range n {
				w.WriteHeader(http.StatusEarlyHints)
			}
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","result":1,"id":1}`)
		}))
		client := NewHTTP(server.URL, Options{})
		reply := client.Do(t.Context(), rpc.Call{Method: "core.uptime"})[0]
		_, isSyntax := errors.AsType[*SyntaxError](reply.Err)
		if isSyntax != (n > maxInformational) || !isSyntax && reply.Err != nil {
			t.Errorf("after %d informational responses: %v", n, reply.Err)
		}
		client.Close()
		server.Close()
	}
}

func TestStatusIsPrintable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1000))
		_, _ = io.WriteString(conn, "HTTP/1.1 404 \x1b[31mno\r\nContent-Length: 0\r\n\r\n")
	}()
	client := NewHTTP("http://"+listener.Addr().String(), Options{})
	defer client.Close()
	if _, err := rpc.One(t.Context(), client, "core.uptime"); err == nil || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %q", err)
	}
}

// TestFloodOfUnrelatedReplies has a server that sends replies to other requests until the
// client closes its socket, which it must do long before the deadline.
func TestFloodOfUnrelatedReplies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rpc")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make(chan int, 1)
	go func() {
		_, from, err := conn.ReadFrom(make([]byte, 65536))
		n := 0
		for ; err == nil && n < 1_000_000; n++ { // until the client closes its socket
			_, err = conn.WriteTo([]byte(`{"jsonrpc":"2.0","result":"unrelated","id":999999}`), from)
		}
		sent <- n
	}()
	client := NewDatagram("unixgram", path, Options{})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = rpc.One(ctx, client, "core.uptime")
	if !errors.Is(err, datagram.ErrUnrelated) || ctx.Err() != nil {
		t.Errorf("got %v with the context's error %v, want ErrUnrelated", err, ctx.Err())
	}
	if n := <-sent; n == 1_000_000 {
		t.Error("the client did not close its socket")
	}
}

// TestDatagramTimeoutIsErrNoDatagram checks that a timeout is ErrNoDatagram over
// datagrams, and not over other transports.
func TestDatagramTimeoutIsErrNoDatagram(t *testing.T) {
	for name, client := range servers(t) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		replies := client.Do(ctx, rpc.Call{Method: "never"}, rpc.Call{Method: "never"})
		cancel()
		isDatagram := name == "unixgram" || name == "udp"
		if err := replies[0].Err; errors.Is(err, rpc.ErrNoDatagram) != isDatagram || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v", name, err)
		}
		if replies[0].NotSent {
			t.Errorf("%s: NotSent is true for a call that was sent", name)
		}
	}
}

func TestNotSent(t *testing.T) {
	closed := NewTCP("127.0.0.1:1", Options{})
	closed.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, reply := range map[string]rpc.Reply{
		"no TCP server":      NewTCP(unused(t), Options{}).Do(t.Context(), rpc.Call{Method: "x"})[0],
		"no HTTP server":     NewHTTP("http://"+unused(t), Options{}).Do(t.Context(), rpc.Call{Method: "x"})[0],
		"no datagram server": NewDatagram("unixgram", t.TempDir()+"/none", Options{}).Do(t.Context(), rpc.Call{Method: "x"})[0],
		"a closed client":    closed.Do(t.Context(), rpc.Call{Method: "x"})[0],
		"a bad argument":     NewTCP("127.0.0.1:1", Options{}).Do(t.Context(), rpc.Call{Method: "x", Args: []any{func() {}}})[0],
		"no time":            NewTCP("127.0.0.1:1", Options{}).Do(cancelled, rpc.Call{Method: "x"})[0],
	} {
		if reply.Err == nil || !reply.NotSent {
			t.Errorf("%s: got %+v", name, reply)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	if reply := NewHTTP(server.URL, Options{}).Do(t.Context(), rpc.Call{Method: "x"})[0]; reply.Err == nil || reply.NotSent {
		t.Errorf("a server that hangs up: got %+v", reply)
	}
}

// TestPartOfRequestIsSent has a TCP server that reads only the start of a request.
func TestPartOfRequestIsSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { conn.Close() })
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(1 << 16)
		}
		_, _ = conn.Read(make([]byte, 1))
	}()
	client := NewTCP(listener.Addr().String(), Options{})
	defer client.Close()
	large := strings.Repeat("x", 8<<20) // more than the buffers of both sockets
	reply := client.Do(ctx, rpc.Call{Method: "x", Args: []any{large}})[0]
	if !errors.Is(reply.Err, context.Canceled) || reply.NotSent {
		t.Errorf("got %+v, want a canceled call of which a part was sent", reply)
	}
}

// unused returns an address on which no server listens.
func unused(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// TestFaultsCountTowardsBatchLimits has two faults whose texts together exceed the limit
// of a batch.
func TestFaultsCountTowardsBatchLimits(t *testing.T) {
	const size = 100_000
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ ID int }
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","error":{"code":500,"message":%q},"id":%d}`, strings.Repeat("x", size), call.ID)
	}))
	defer server.Close()
	client := NewHTTP(server.URL, Options{Limits: rpc.Limits{Size: size + 1000, TotalSize: size * 3 / 2}})
	defer client.Close()
	replies := client.Do(t.Context(), rpc.Call{Method: "a"}, rpc.Call{Method: "b"})
	if _, ok := errors.AsType[*rpc.Fault](replies[0].Err); !ok {
		t.Errorf("first reply: got %v, want a fault", replies[0].Err)
	}
	if _, ok := errors.AsType[*rpc.LimitError](replies[1].Err); !ok {
		t.Errorf("second reply: got %.100v, want a LimitError", replies[1].Err)
	}
}

func TestBatchLimits(t *testing.T) {
	const size = 100_000
	large := strings.Repeat("x", size)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Method string
			ID     int
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		result := map[string]string{"large": `"` + large + `"`, "small": "1", "many": "[1" + strings.Repeat(",1", 899) + "]"}[call.Method]
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","result":%s,"id":%d}`, result, call.ID)
	}))
	defer server.Close()
	client := NewHTTP(server.URL, Options{Limits: rpc.Limits{Size: size + 1000, Values: 1000, TotalSize: size * 3 / 2, TotalValues: 1500}})
	defer client.Close()
	for range 2 { // the second batch starts with its full limits
		var calls []rpc.Call
		for _, method := range []string{"large", "large", "small", "many", "many", "small"} {
			calls = append(calls, rpc.Call{Method: method})
		}
		for i, reply := range client.Do(t.Context(), calls...) {
			want := map[int]string{1: "bytes in all replies of a batch", 4: "values in all replies of a batch"}[i]
			limit, _ := errors.AsType[*rpc.LimitError](reply.Err)
			if want == "" && reply.Err != nil || want != "" && (limit == nil || limit.What != want) {
				t.Errorf("reply %d: error %v, want %q", i, reply.Err, want)
			}
		}
	}
}

// TestLateNameServer has a name server that does not reply.
func TestLateNameServer(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", silent.LocalAddr().String())
	}}
	transport := &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext}
	client := NewHTTP("http://kamailio.invalid/RPC?token=secret", Options{HTTP: &http.Client{Transport: transport}})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	reply := client.Do(ctx, rpc.Call{Method: "core.uptime"})[0]
	lookup, ok := errors.AsType[*net.DNSError](reply.Err)
	if !ok || !lookup.IsTimeout || lookup.Name != "kamailio.invalid" || !errors.Is(reply.Err, context.DeadlineExceeded) || !reply.NotSent || strings.Contains(reply.Err.Error(), "secret") {
		t.Errorf("got %+v, want a net.DNSError", reply)
	}
}

// TestTimeoutAfterLookup has a server that does not reply, and whose name is resolved: the error must not be about the name.
func TestTimeoutAfterLookup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // otherwise the server does not notice that the client has gone
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	client := NewHTTP(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), Options{})
	defer client.Close()
	_, err := rpc.One(ctx, client, "core.uptime")
	if _, ok := errors.AsType[*net.DNSError](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
