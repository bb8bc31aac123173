package dial

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// closing is a listener that reports each connection that is closed.
type closing struct {
	net.Listener
	closed chan<- struct{}
}

type closingConn struct {
	net.Conn
	closed chan<- struct{}
}

func (l closing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return closingConn{conn, l.closed}, nil
}

func (c closingConn) Close() error {
	c.closed <- struct{}{}
	return c.Conn.Close()
}

// TestIdleConnectionIsClosed waits until the server reports the end of the connection.
func TestIdleConnectionIsClosed(t *testing.T) {
	listener, err := net.Listen("unix", socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 10)
	var calls atomic.Int32
	s := binrpctest.NewUnstartedServer(func(context.Context, rpc.Call) ([]any, error) {
		calls.Add(1)
		return []any{"a.b"}, nil
	})
	go func() { _ = s.Serve(closing{listener, closed}) }()
	t.Cleanup(func() { _ = s.Close() })
	c := newClient(t, "unix:"+listener.Addr().String(), Options{IdleTimeout: time.Millisecond})
	for want := int32(1); want <= 3; want++ {
		methods, asked, err := c.Methods(deadline(t))
		if err != nil || !asked || !slices.Equal(methods, []string{"a.b"}) || calls.Load() != want {
			t.Errorf("connection %d: got %v, %t, %v after %d calls; want the methods from a new call", want, methods, asked, err, calls.Load())
		}
		select {
		case <-closed:
		case <-deadline(t).Done():
			t.Fatal("the connection is still open")
		}
		c.turn <- struct{}{} // waits for the end of closeIdle
		<-c.turn
		if got := c.Connection(); got != 0 {
			t.Errorf("connection %d after the idle timeout, want 0", got)
		}
	}
}

func TestIdleHTTPConnectionIsClosed(t *testing.T) {
	closed := make(chan struct{}, 10)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","result":["a.b"],"id":1}`))
	}))
	web.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	web.Start()
	t.Cleanup(web.Close)
	c := newClient(t, web.URL, Options{IdleTimeout: time.Millisecond})
	for range 2 { // a new jsonrpc.Client starts with id 1 again
		wantNoErrors(t, ask(deadline(t), c, "a"))
		select {
		case <-closed:
		case <-deadline(t).Done():
			t.Fatal("the connection is still open")
		}
		c.turn <- struct{}{}
		<-c.turn
	}
}

// TestSharedHTTPClientKeepsConnections has two clients with one HTTP client. The idle timeout of the first, or its Close,
// must not close the connection of the second.
func TestSharedHTTPClientKeepsConnections(t *testing.T) {
	var opened atomic.Int32
	serveHTTP := func() string {
		web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, sizeJSON(request))
		}))
		web.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		web.Start()
		t.Cleanup(web.Close)
		return web.URL
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	shared := &http.Client{Transport: transport}
	for name, end := range map[string]func(*Client){
		"idle timeout": func(c *Client) {
			c.closeIdle()
			if c.conn != nil {
				t.Error("closeIdle did nothing")
			}
		},
		"Close": func(c *Client) { _ = c.Close() },
	} {
		first := newClient(t, serveHTTP(), Options{HTTP: shared})
		second := newClient(t, serveHTTP(), Options{HTTP: shared})
		wantNoErrors(t, ask(deadline(t), first, "none"))
		wantNoErrors(t, ask(deadline(t), second, "none"))
		opened.Store(0)
		end(first)
		wantNoErrors(t, ask(deadline(t), second, "none"))
		if got := opened.Load(); got != 0 {
			t.Errorf("%s: the other client connected %d times more, want none", name, got)
		}
	}
}

func wantNoErrors(t *testing.T, replies []rpc.Reply) {
	t.Helper()
	for _, reply := range replies {
		if reply.Err != nil {
			t.Error(reply.Err)
		}
	}
}

// TestIdleTimeout has a datagram client in a bubble, in which time advances as soon as
// all goroutines wait. The server is outside of it.
func TestIdleTimeout(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := binrpctest.NewUnstartedServer(echo)
	go func() { _ = s.ServePacket(conn) }()
	t.Cleanup(func() { _ = s.Close() })
	target, err := ParseTarget("udp://" + conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		c := NewTarget(target, Options{IdleTimeout: timeout})
		defer c.Close()
		wantConnected := func(want bool) {
			t.Helper()
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if got := c.conn != nil; got != want {
				t.Errorf("connected: %t, want %t", got, want)
			}
		}
		batch := func() {
			t.Helper()
			wantTexts(t, ask(context.Background(), c, "a", "b"), "a", "b")
			wantConnected(true)
		}
		for range 3 {
			batch()
			time.Sleep(timeout - time.Nanosecond)
			wantConnected(true)
		}
		time.Sleep(time.Nanosecond)
		wantConnected(false)
		batch()
		time.Sleep(timeout)
		wantConnected(false)
	})
}

// TestIdleTimeoutDuringBatch has a handler that lets the idle timeout end within a batch.
func TestIdleTimeoutDuringBatch(t *testing.T) {
	var c *Client
	s := serve(t, socketPath(t), func(_ context.Context, call rpc.Call) ([]any, error) {
		c.closeIdle()
		return []any{call.Method}, nil
	})
	c = newClient(t, "unix:"+s.path, Options{IdleTimeout: 1})
	wantTexts(t, c.Do(deadline(t), rpc.Call{Method: "a"}, rpc.Call{Method: "b"}), "a", "b")
}

// TestLateIdleTimer has a timer that has expired before a batch and calls its function
// after it.
func TestLateIdleTimer(t *testing.T) {
	s := serve(t, socketPath(t), echo)
	c := newClient(t, "unix:"+s.path, Options{IdleTimeout: time.Hour})
	for range 3 {
		wantTexts(t, ask(deadline(t), c, "a"), "a")
		c.closeIdle()
	}
	if got := s.connections.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestIdleTimer(t *testing.T) {
	s := serve(t, socketPath(t), echo)
	for _, timeout := range []time.Duration{0, -time.Second} {
		c := newClient(t, "unix:"+s.path, Options{IdleTimeout: timeout})
		wantTexts(t, ask(deadline(t), c, "a"), "a")
		if c.idle != nil {
			t.Errorf("an idle timeout of %v started a timer", timeout)
		}
	}
	c := newClient(t, "unix:"+s.path, Options{IdleTimeout: time.Hour})
	wantTexts(t, ask(deadline(t), c, "a"), "a")
	_ = c.Close()
	if c.idle.Stop() {
		t.Error("the timer runs after Close")
	}
	wantError(t, ask(deadline(t), c, "a"), rpc.ErrClosed)
	if c.idle.Stop() {
		t.Error("a batch after Close started the timer")
	}
}
