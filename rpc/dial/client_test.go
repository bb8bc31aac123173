package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// patience is how long a test waits for an event that normally happens at once.
const patience = 10 * time.Second

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func echo(_ context.Context, call rpc.Call) ([]any, error) {
	return []any{call.Method}, nil
}

// server is a binrpctest.Server that counts its connections.
type server struct {
	*binrpctest.Server
	path        string
	connections atomic.Int32
}

// serve starts a server on a unix socket.
func serve(t testing.TB, path string, handler binrpctest.Handler) *server {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: binrpctest.NewUnstartedServer(handler), path: path}
	go func() {
		if err := s.Serve(countingListener{listener, &s.connections}); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

type countingListener struct {
	net.Listener
	connections *atomic.Int32
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.connections.Add(1)
	}
	return conn, err
}

func newClient(t testing.TB, uri string, options Options) *Client {
	t.Helper()
	target, err := ParseTarget(uri)
	if err != nil {
		t.Fatal(err)
	}
	c := NewTarget(target, options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func socketPath(t testing.TB) string { return filepath.Join(t.TempDir(), "ctl") }

// ask makes idempotent calls.
func ask(ctx context.Context, client rpc.Client, methods ...string) []rpc.Reply {
	var calls []rpc.Call
	for _, method := range methods {
		calls = append(calls, rpc.Call{Method: method, Idempotent: true})
	}
	return client.Do(ctx, calls...)
}

func wantTexts(t *testing.T, replies []rpc.Reply, want ...string) {
	t.Helper()
	for i, reply := range replies {
		if reply.Err != nil || reply.Value.Text() != want[i] {
			t.Errorf("reply %d: got %v, %v; want %q", i, reply.Value, reply.Err, want[i])
		}
	}
}

func wantError(t *testing.T, replies []rpc.Reply, want error) {
	t.Helper()
	for i, reply := range replies {
		if !errors.Is(reply.Err, want) || reply.Value.Exists() {
			t.Errorf("reply %d: got %v, %v; want the error %v", i, reply.Value, reply.Err, want)
		}
	}
}

func TestNew(t *testing.T) {
	c, err := New("unixd:///run/kamailio_ctl")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Target(); got != (Target{BINRPC, "unixgram", "/run/kamailio_ctl"}) {
		t.Errorf("got %+v", got)
	}
	if err := c.Close(); err != nil { // it has not connected
		t.Error(err)
	}
	if _, err := New("ftp://localhost"); err == nil {
		t.Error("New accepted an FTP URI")
	}
}

func TestClientKeepsItsConnection(t *testing.T) {
	s := serve(t, socketPath(t), echo)
	c := newClient(t, "unix:"+s.path, Options{})
	for range 3 {
		wantTexts(t, ask(deadline(t), c, "a", "b"), "a", "b")
	}
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestClientConnection(t *testing.T) {
	path := socketPath(t)
	s := serve(t, path, echo)
	c := newClient(t, "unix:"+path, Options{})
	if got := c.Connection(); got != 0 {
		t.Errorf("connection %d before the first call, want 0", got)
	}
	ask(deadline(t), c, "a")
	first := c.Connection()
	ask(deadline(t), c, "a")
	if got := c.Connection(); got != first || first == 0 {
		t.Errorf("connections %d and %d, want the same and not 0", first, got)
	}
	_ = s.Close()
	ask(deadline(t), c, "a")
	if got := c.Connection(); got != 0 {
		t.Errorf("connection %d without a server, want 0", got)
	}
	serve(t, path, echo)
	ask(deadline(t), c, "a")
	if got := c.Connection(); got == first || got == 0 {
		t.Errorf("connection %d after a restart of the server, %d before", got, first)
	}
	datagrams := newClient(t, "udp://127.0.0.1:9", Options{})
	if got := datagrams.Connection(); got != 0 {
		t.Errorf("connection %d over datagrams, want 0", got)
	}
}

func TestClientOverEveryNetwork(t *testing.T) {
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := socketPath(t)
	unixgram, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	s := binrpctest.NewUnstartedServer(echo)
	var serving sync.WaitGroup
	for _, serve := range []func() error{
		func() error { return s.Serve(stream) },
		func() error { return s.ServePacket(udp) },
		func() error { return s.ServePacket(unixgram) },
	} {
		serving.Go(func() {
			if err := serve(); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	for _, uri := range []string{
		"tcp://" + stream.Addr().String(), "udp://" + udp.LocalAddr().String(), "unixd:" + path,
	} {
		wantTexts(t, ask(deadline(t), newClient(t, uri, Options{}), "a", "b"), "a", "b")
	}
	_ = s.Close()
	serving.Wait()
}

func TestClientConnectsAgain(t *testing.T) {
	path := socketPath(t)
	s := serve(t, path, echo)
	c := newClient(t, "unix:"+path, Options{})
	wantTexts(t, ask(deadline(t), c, "a"), "a")
	_ = s.Close()
	for _, reply := range ask(deadline(t), c, "b", "c") {
		if reply.Err == nil || errors.Is(reply.Err, rpc.ErrClosed) {
			t.Errorf("got %v, want the error of the connection attempt", reply.Err)
		}
	}
	serve(t, path, echo)
	wantTexts(t, ask(deadline(t), c, "d", "e"), "d", "e")
}

// scripted starts a server that calls one function per connection, in order, and returns
// the path of its socket.
func scripted(t testing.TB, plays ...func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("unix", socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for i, play := range plays {
			conn, err := listener.Accept()
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			play(conn)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
	})
	return listener.Addr().String()
}

// requests reads all requests of a batch. They must arrive in one piece, as a Conn
// writes them.
func requests(t testing.TB, conn net.Conn) []binrpc.Message {
	buf := make([]byte, 65536)
	n, err := conn.Read(buf)
	if err != nil {
		t.Errorf("read requests: %v", err)
	}
	var all []binrpc.Message
	for rest := buf[:n]; len(rest) > 0; {
		size := len(rest)
		message, err := binrpc.Parse(rest[:size], rpc.Limits{})
		for err != nil && size > 4 {
			size--
			message, err = binrpc.Parse(rest[:size], rpc.Limits{})
		}
		if err != nil {
			t.Errorf("requests: %v", err)
			return all
		}
		all = append(all, message)
		rest = rest[size:]
	}
	return all
}

// reply replies to requests with the names of their methods.
func reply(t testing.TB, conn net.Conn, messages []binrpc.Message) {
	for _, message := range messages {
		call, err := message.Call()
		if err != nil {
			t.Error(err)
		}
		packet, err := binrpc.AppendReply(nil, message.Cookie, call.Method)
		if err != nil {
			t.Error(err)
		}
		if _, err := conn.Write(packet); err != nil {
			t.Error(err)
		}
	}
}

func replyToAll(t testing.TB) func(net.Conn) {
	return func(conn net.Conn) { reply(t, conn, requests(t, conn)) }
}

func TestClientRetriesCallsWithoutReply(t *testing.T) {
	send := func(b []byte) func(net.Conn) {
		return func(conn net.Conn) {
			messages := requests(t, conn)
			reply(t, conn, messages[:1])
			_, _ = conn.Write(b)
		}
	}
	var retried []string
	second := func(conn net.Conn) {
		messages := requests(t, conn)
		for _, message := range messages {
			call, _ := message.Call()
			retried = append(retried, call.Method)
		}
		reply(t, conn, messages)
	}
	for name, first := range map[string]func(net.Conn){
		"the server closed":  send(nil),
		"out of step":        send([]byte{0xa1, 0x10, 0, 0}),
		"garbage":            send([]byte("garbage")),
		"a reply is cut off": send([]byte{0xa1, 0x10}),
	} {
		t.Run(name, func(t *testing.T) {
			retried = nil
			c := newClient(t, "unix:"+scripted(t, first, second), Options{})
			wantTexts(t, ask(deadline(t), c, "a", "b", "c"), "a", "b", "c")
			// b may be the cause of the failure, so it is sent last.
			if !slices.Equal(retried, []string{"c", "b"}) {
				t.Errorf("retried %v, want c and b", retried)
			}
		})
	}
}

func TestClientRetriesAfterAStall(t *testing.T) {
	release := make(chan struct{})
	stall := func(conn net.Conn) {
		requests(t, conn)
		_, _ = conn.Write([]byte{0xa1})
		buf := make([]byte, 1)
		_, _ = conn.Read(buf) // until the client closes the connection
		close(release)
	}
	c := newClient(t, "unix:"+scripted(t, stall, replyToAll(t)), Options{Stall: 20 * time.Millisecond})
	wantTexts(t, ask(deadline(t), c, "a"), "a")
	<-release
}

func TestClientRetriesOnce(t *testing.T) {
	hangUp := func(conn net.Conn) { requests(t, conn) }
	c := newClient(t, "unix:"+scripted(t, hangUp, hangUp), Options{})
	wantError(t, ask(deadline(t), c, "a", "b"), rpc.ErrClosed)
}

func TestClientDoesNotRetryAfterReply(t *testing.T) {
	s := serve(t, socketPath(t), func(_ context.Context, call rpc.Call) ([]any, error) {
		switch call.Method {
		case "fault":
			return nil, &rpc.Fault{Code: 500, Reason: "no"}
		case "large":
			return []any{strings.Repeat("x", 1000)}, nil
		default:
			return []any{call.Method}, nil
		}
	})
	options := Options{Limits: rpc.Limits{Size: 500}}
	c := newClient(t, "unix:"+s.path, options)
	replies := ask(deadline(t), c, "a", "fault", "large", "b", "c")
	if fault, ok := errors.AsType[*rpc.Fault](replies[1].Err); !ok || fault.Reason != "no" {
		t.Errorf("got %v, want a fault", replies[1].Err)
	}
	// The other calls of the batch succeed on a new connection.
	if _, ok := errors.AsType[*rpc.LimitError](replies[2].Err); !ok {
		t.Errorf("got %v, want a LimitError", replies[2].Err)
	}
	wantTexts(t, []rpc.Reply{replies[0], replies[3], replies[4]}, "a", "b", "c")
	if got := s.connections.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

func TestClientDoesNotRetryAfterDeadline(t *testing.T) {
	gone := make(chan struct{})
	silent := func(conn net.Conn) {
		requests(t, conn)
		buf := make([]byte, 1)
		_, _ = conn.Read(buf)
		close(gone)
	}
	c := newClient(t, "unix:"+scripted(t, silent, replyToAll(t)), Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	wantError(t, ask(ctx, c, "a"), context.DeadlineExceeded)
	<-gone // the client has closed the connection
	wantTexts(t, ask(deadline(t), c, "b"), "b")
}

func TestClientBreakFromLoop(t *testing.T) {
	s := serve(t, socketPath(t), echo)
	c := newClient(t, "unix:"+s.path, Options{})
	for range c.Stream(deadline(t), rpc.Call{Method: "a"}, rpc.Call{Method: "b"}) {
		break
	}
	wantTexts(t, ask(deadline(t), c, "c"), "c")
}

func TestClientCanceledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := newClient(t, "unix:"+socketPath(t), Options{})
	wantError(t, ask(ctx, c, "a", "b"), context.Canceled)
}

func TestClientCancelWhileWaitingForAnotherBatch(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := serve(t, socketPath(t), func(_ context.Context, call rpc.Call) ([]any, error) {
		close(entered)
		<-release
		return []any{call.Method}, nil
	})
	c := newClient(t, "unix:"+s.path, Options{})
	var first []rpc.Reply
	var done sync.WaitGroup
	done.Go(func() { first = ask(deadline(t), c, "a") })
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, ask(ctx, c, "b"), context.Canceled)
	close(release)
	done.Wait()
	wantTexts(t, first, "a")
}

func TestClientConcurrentBatches(t *testing.T) {
	s := serve(t, socketPath(t), echo)
	c := newClient(t, "unix:"+s.path, Options{})
	var done sync.WaitGroup
	for g := range 10 {
		done.Go(func() {
			for n := range 20 {
				name := fmt.Sprint(g, n)
				wantTexts(t, ask(deadline(t), c, name, "b"), name, "b")
			}
		})
	}
	done.Wait()
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestClientClose(t *testing.T) {
	t.Run("between batches", func(t *testing.T) {
		s := serve(t, socketPath(t), echo)
		c := newClient(t, "unix:"+s.path, Options{})
		wantTexts(t, ask(deadline(t), c, "a"), "a")
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		wantError(t, ask(deadline(t), c, "b", "c"), rpc.ErrClosed)
		_ = s.Close() // a connection attempt would fail with another error
		wantError(t, ask(deadline(t), c, "d"), rpc.ErrClosed)
		if got := s.connections.Load(); got != 1 {
			t.Errorf("%d connections, want 1", got)
		}
	})
	for _, scheme := range []string{"unix:", "unixd:"} {
		t.Run("during a call over "+scheme, func(t *testing.T) {
			path := socketPath(t)
			entered := make(chan struct{})
			handler := func(ctx context.Context, _ rpc.Call) ([]any, error) {
				close(entered)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if scheme == "unix:" {
				serve(t, path, handler)
			} else {
				conn, err := net.ListenPacket("unixgram", path)
				if err != nil {
					t.Fatal(err)
				}
				s := binrpctest.NewUnstartedServer(handler)
				go func() { _ = s.ServePacket(conn) }()
				t.Cleanup(func() { _ = s.Close() })
			}
			c := newClient(t, scheme+path, Options{})
			go func() {
				<-entered
				_ = c.Close()
			}()
			wantError(t, ask(context.Background(), c, "a", "b"), rpc.ErrClosed)
		})
	}
}

func TestClientMethods(t *testing.T) {
	var calls atomic.Int32
	list := []string{"core.uptime", "system.listMethods"}
	handler := func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method != "system.listMethods" {
			return []any{call.Method}, nil
		}
		calls.Add(1)
		var records []any
		for _, name := range list {
			records = append(records, name)
		}
		return records, nil
	}
	path := socketPath(t)
	s := serve(t, path, handler)
	c := newClient(t, "unix:"+path, Options{})
	for i := range 3 {
		got, asked, err := c.Methods(deadline(t))
		if err != nil || !slices.Equal(got, list) || asked != (i == 0) {
			t.Fatalf("got %v, %v; want %v", got, err, list)
		}
		got[0] = "overwritten" // must not change what the client stores
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("%d calls over one connection, want 1", got)
	}
	_ = s.Close()
	list = []string{"core.uptime", "system.listMethods", "new.method"}
	serve(t, path, handler)
	wantTexts(t, ask(deadline(t), c, "a"), "a") // after it, the client uses the new connection
	if got, _, err := c.Methods(deadline(t)); err != nil || !slices.Equal(got, list) {
		t.Errorf("after a restart: got %v, %v; want %v", got, err, list)
	}
}

func TestClientMethodsOverDatagrams(t *testing.T) {
	var calls atomic.Int32
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := binrpctest.NewUnstartedServer(func(context.Context, rpc.Call) ([]any, error) {
		if calls.Add(1) == 3 {
			return nil, &rpc.Fault{Code: 500, Reason: "the body buffer is too small"}
		}
		return []any{"system.listMethods"}, nil
	})
	go func() { _ = s.ServePacket(conn) }()
	t.Cleanup(func() { _ = s.Close() })
	c := newClient(t, "udp:"+conn.LocalAddr().String(), Options{})
	for range 2 {
		if got, asked, err := c.Methods(deadline(t)); err != nil || len(got) != 1 || !asked {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if _, asked, err := c.Methods(deadline(t)); err == nil || !asked {
		t.Errorf("third call: asked is %t, error %v; want true and a fault", asked, err)
	}
}

// TestClientMethodsWithoutNames has servers whose replies to system.listMethods contain
// no names.
func TestClientMethodsWithoutNames(t *testing.T) {
	for _, records := range [][]any{nil, {4}, {""}, {rpc.Members{{Name: "x", Value: 1}}}} {
		s := serve(t, socketPath(t), func(context.Context, rpc.Call) ([]any, error) { return records, nil })
		methods, asked, err := newClient(t, "unix:"+s.path, Options{}).Methods(deadline(t))
		if len(methods) > 0 || !asked || !errors.Is(err, ErrNoMethods) {
			t.Errorf("%v: got %v, %t, %v", records, methods, asked, err)
		}
	}
}

func TestMayRetry(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&rpc.Fault{Code: 500}, false},
		{&rpc.LimitError{}, false},
		{context.Canceled, false},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), false},
		{rpc.ErrClosed, true},
		{binrpc.ErrOutOfStep, true},
		{&binrpc.StallError{}, true},
		{&binrpc.SyntaxError{}, true},
		{io.ErrUnexpectedEOF, true},
		{fmt.Errorf("%w: %w", rpc.ErrNoDatagram, os.ErrDeadlineExceeded), false}, // it may be too large for a datagram
	} {
		if got := mayRetry(rpc.Call{Idempotent: true}, rpc.Reply{Err: test.err}); got != test.want {
			t.Errorf("%v: got %v", test.err, got)
		}
		if got := mayRetry(rpc.Call{}, rpc.Reply{Err: test.err, NotSent: true}); got != test.want {
			t.Errorf("%v, not sent: got %v", test.err, got)
		}
		if mayRetry(rpc.Call{}, rpc.Reply{Err: test.err}) {
			t.Errorf("%v: a call that is not idempotent would be sent again", test.err)
		}
	}
}

// TestClientJSONRPC calls JSON-RPC servers over HTTP, UDP and unix datagrams.
func TestClientJSONRPC(t *testing.T) {
	const reply = `{"jsonrpc":"2.0","result":["a.b","c.d"],"id":1}`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/RPC" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, reply)
	}))
	defer web.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := socketPath(t)
	unixgram, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.PacketConn{udp, unixgram} {
		defer conn.Close()
		go func() {
			buf := make([]byte, 1000)
			for _, from, err := conn.ReadFrom(buf); err == nil; _, from, err = conn.ReadFrom(buf) {
				_, _ = conn.WriteTo([]byte(reply), from)
			}
		}()
	}
	for _, uri := range []string{web.URL + "/RPC", "jsonrpc+udp://" + udp.LocalAddr().String(), "jsonrpc+unixgram:" + path} {
		methods, _, err := newClient(t, uri, Options{}).Methods(deadline(t))
		if err != nil || !slices.Equal(methods, []string{"a.b", "c.d"}) {
			t.Errorf("%s: %v, %v", uri, methods, err)
		}
	}
}

// TestClientRepeatsOnlyIdempotentCalls has servers that read a call and close the
// connection, as a Kamailio that crashes in dlg.end_dlg does.
func TestClientRepeatsOnlyIdempotentCalls(t *testing.T) {
	for _, idempotent := range []bool{false, true} {
		var sent atomic.Int32
		hangUp := func(conn net.Conn) { sent.Add(int32(len(requests(t, conn)))) }
		path := scripted(t, slices.Repeat([]func(net.Conn){hangUp}, map[bool]int{false: 1, true: 2}[idempotent])...)
		c := newClient(t, "unix:"+path, Options{})
		reply := c.Do(deadline(t), rpc.Call{Method: "dlg.end_dlg", Idempotent: idempotent})[0]
		if !errors.Is(reply.Err, rpc.ErrClosed) || reply.NotSent {
			t.Errorf("got %+v", reply)
		}
		if want := map[bool]int32{false: 1, true: 2}[idempotent]; sent.Load() != want {
			t.Errorf("with Idempotent %t the call was sent %d times, want %d", idempotent, sent.Load(), want)
		}
	}
}

// TestClientSendsUnsentCallOnNewConnection has a server that closes an idle connection,
// as ctl does after two minutes. A call of which no byte was written is sent on a new
// connection, even if it is not idempotent.
func TestClientSendsUnsentCallOnNewConnection(t *testing.T) {
	path := socketPath(t)
	s := serve(t, path, echo)
	c := newClient(t, "unix:"+path, Options{})
	wantTexts(t, ask(deadline(t), c, "a"), "a")
	_ = s.Close()
	s = serve(t, path, echo)
	for c.conn.Usable() { // until the client has read the end of the connection
		runtime.Gosched()
	}
	if got, err := rpc.One(deadline(t), c, "dlg.end_dlg"); err != nil || got.Text() != "dlg.end_dlg" {
		t.Errorf("got %v, %v", got, err)
	}
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestStreamSendsNothingBeforeTheLoop(t *testing.T) {
	var calls atomic.Int32
	s := serve(t, socketPath(t), func(context.Context, rpc.Call) ([]any, error) {
		calls.Add(1)
		return nil, nil
	})
	c := newClient(t, "unix:"+s.path, Options{})
	replies := c.Stream(deadline(t), rpc.Call{Method: "a"})
	if got := s.connections.Load(); got != 0 {
		t.Errorf("%d connections before the loop", got)
	}
	for want := int32(1); want <= 2; want++ {
		for _, reply := range replies {
			if reply.Err != nil {
				t.Error(reply.Err)
			}
		}
		if got := calls.Load(); got != want {
			t.Errorf("%d calls after %d loops", got, want)
		}
	}
}

// TestClientBatchLimitsIncludeRetries has a server that closes the first connection after
// a large reply. The calls that are sent again count towards the limits of the same
// batch.
func TestClientBatchLimitsIncludeRetries(t *testing.T) {
	send := func(conn net.Conn, cookie uint32, size int) {
		packet, err := binrpc.AppendReply(nil, cookie, strings.Repeat("x", size))
		if err != nil {
			t.Error(err)
		}
		_, _ = conn.Write(packet)
	}
	first := func(conn net.Conn) { send(conn, requests(t, conn)[0].Cookie, 700) }
	second := func(conn net.Conn) {
		for _, message := range requests(t, conn) {
			send(conn, message.Cookie, 200)
		}
	}
	c := newClient(t, "unix:"+scripted(t, first, second), Options{Limits: rpc.Limits{TotalSize: 1000}})
	replies := ask(deadline(t), c, "a", "b", "c")
	failed := 0
	for _, reply := range replies {
		if limit, ok := errors.AsType[*rpc.LimitError](reply.Err); ok && limit.Limit == 1000 {
			failed++
		} else if reply.Err != nil {
			t.Error(reply.Err)
		}
	}
	if failed != 1 {
		t.Errorf("%d replies of 700, 200 and 200 bytes exceed a total of 1000 bytes, want 1", failed)
	}
}

func TestClientReportsSentIfRetryWasNotSent(t *testing.T) {
	hangUp := func(conn net.Conn) { requests(t, conn) }
	path := scripted(t, hangUp)
	c := newClient(t, "unix:"+path, Options{})
	if _, err := c.connect(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // the retry finds no server
		t.Fatal(err)
	}
	reply := c.Do(deadline(t), rpc.Call{Method: "a", Idempotent: true})[0]
	if !errors.Is(reply.Err, os.ErrNotExist) || reply.NotSent {
		t.Errorf("got %+v, want NotSent false, because the first attempt sent the call", reply)
	}
}
