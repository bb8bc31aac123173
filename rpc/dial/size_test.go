package dial

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// The wrappers below count the bytes that a server writes.

type writeCounter struct {
	net.Listener
	written *atomic.Int64
}

type writeCounterConn struct {
	net.Conn
	written *atomic.Int64
}

type writeCounterPacketConn struct {
	net.PacketConn
	written *atomic.Int64
}

func (l writeCounter) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return writeCounterConn{conn, l.written}, err
}

func (c writeCounterConn) Write(b []byte) (int, error) {
	c.written.Add(int64(len(b))) // before the client has the bytes
	return c.Conn.Write(b)
}

func (c writeCounterPacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.written.Add(int64(len(b)))
	return c.PacketConn.WriteTo(b, to)
}

// Both servers of a test have these methods.
var (
	large = strings.Repeat("x", 100_000)
	wide  = []any{1, 2, 3, 4} // more than the client accepts
)

func sizeHandler(_ context.Context, call rpc.Call) ([]any, error) {
	switch call.Method {
	case "large":
		return []any{large}, nil
	case "wide":
		return wide, nil
	case "none":
		return nil, nil
	default:
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	}
}

// sizeJSON returns the reply of a JSON-RPC server to a request.
func sizeJSON(request []byte) string {
	var call struct {
		Method string `json:"method"`
		ID     int    `json:"id"`
	}
	if err := json.Unmarshal(request, &call); err != nil {
		return err.Error()
	}
	switch call.Method {
	case "large":
		return fmt.Sprintf(`{"jsonrpc":"2.0","result":%q,"id":%d}`, large, call.ID)
	case "wide":
		return fmt.Sprintf(`{"jsonrpc":"2.0","result":[1,2,3,4],"id":%d}`, call.ID)
	case "none":
		return fmt.Sprintf(`{"jsonrpc":"2.0","result":[],"id":%d}`, call.ID)
	default:
		return fmt.Sprintf(`{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%d}`, call.ID)
	}
}

// sizeServers starts a server for each transport, all of which count the bytes of
// their replies, and returns their URIs.
func sizeServers(t *testing.T, written *atomic.Int64) []string {
	t.Helper()
	server := binrpctest.NewUnstartedServer(sizeHandler)
	t.Cleanup(func() { _ = server.Close() })
	listen := func(network, address string) net.Listener {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		return writeCounter{listener, written}
	}
	listenPacket := func(network, address string) net.PacketConn {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return writeCounterPacketConn{conn, written}
	}
	unix, tcp := listen("unix", socketPath(t)), listen("tcp", "127.0.0.1:0")
	for _, listener := range []net.Listener{unix, tcp} {
		go func() { _ = server.Serve(listener) }()
	}
	unixgram, udp := listenPacket("unixgram", socketPath(t)), listenPacket("udp", "127.0.0.1:0")
	for _, conn := range []net.PacketConn{unixgram, udp} {
		go func() { _ = server.ServePacket(conn) }()
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body)
		n, _ := io.WriteString(w, sizeJSON(request))
		written.Add(int64(n)) // before the end of the body is sent
	}))
	t.Cleanup(web.Close)
	jsonTCP := listen("tcp", "127.0.0.1:0")
	go func() {
		for conn, err := jsonTCP.Accept(); err == nil; conn, err = jsonTCP.Accept() {
			buf := make([]byte, 1000)
			n, _ := conn.Read(buf)
			_, _ = io.WriteString(conn, sizeJSON(buf[:n]))
			_ = conn.Close()
		}
	}()
	jsonUnixgram, jsonUDP := listenPacket("unixgram", socketPath(t)), listenPacket("udp", "127.0.0.1:0")
	for _, conn := range []net.PacketConn{jsonUnixgram, jsonUDP} {
		go func() {
			buf := make([]byte, 1000)
			for n, from, err := conn.ReadFrom(buf); err == nil; n, from, err = conn.ReadFrom(buf) {
				_, _ = conn.WriteTo([]byte(sizeJSON(buf[:n])), from)
			}
		}()
	}
	return []string{
		"unix:" + unix.Addr().String(),
		"tcp://" + tcp.Addr().String(),
		"unixd:" + unixgram.LocalAddr().String(),
		"udp://" + udp.LocalAddr().String(),
		web.URL,
		"jsonrpc+tcp://" + jsonTCP.Addr().String(),
		"jsonrpc+unixgram:" + jsonUnixgram.LocalAddr().String(),
		"jsonrpc+udp://" + jsonUDP.LocalAddr().String(),
	}
}

func TestReplySize(t *testing.T) {
	var written atomic.Int64
	for _, uri := range sizeServers(t, &written) {
		scheme, _, _ := strings.Cut(uri, ":")
		for _, method := range []string{"none", "nosuch", "large", "wide"} {
			if method == "large" && scheme == "jsonrpc+udp" {
				continue // does not fit in a datagram
			}
			t.Run(scheme+" "+method, func(t *testing.T) {
				c := newClient(t, uri, Options{Limits: rpc.Limits{Values: 3}})
				written.Store(0)
				reply := ask(deadline(t), c, method)[0]
				if (reply.Err != nil) != (method == "nosuch" || method == "wide") {
					t.Fatal(reply.Err)
				}
				if want := written.Load(); int64(reply.Size) != want || want == 0 || reply.Received.IsZero() {
					t.Errorf("size %d, received at %v; the server sent %d bytes", reply.Size, reply.Received, want)
				}
			})
		}
		t.Run(scheme+" without a reply", func(t *testing.T) {
			c := newClient(t, uri, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if reply := ask(ctx, c, "none")[0]; reply.Size != 0 || reply.Err == nil {
				t.Errorf("size %d, error %v; want 0 and an error", reply.Size, reply.Err)
			}
		})
	}
}

// TestSizeOfOtherProtocol has clients of servers with another protocol. What these send
// is not a reply.
func TestSizeOfOtherProtocol(t *testing.T) {
	text := func(conn net.Conn) {
		buf := make([]byte, 1000)
		_, _ = conn.Read(buf)
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") }))
	t.Cleanup(page.Close)
	absent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(absent.Close)
	for _, uri := range []string{"unix:" + scripted(t, text, text), page.URL, absent.URL} {
		reply := ask(deadline(t), newClient(t, uri, Options{}), "a")[0]
		if reply.Size != 0 || !reply.Received.IsZero() || reply.Err == nil {
			t.Errorf("size %d, received at %v, error %v; want 0, no time and an error", reply.Size, reply.Received, reply.Err)
		}
	}
}
