//go:build linux

package torture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

const listMethods = "system.listMethods"

// peer is a server that a script replaces: as long as there is a script, it replies to all calls, and afterwards the peer replies
// like a healthy Kamailio. It speaks BINRPC over a stream or over datagrams, or JSON-RPC over HTTP.
type peer struct {
	uri     string
	healthy map[string]rpc.Value // the replies by method

	mu      sync.Mutex
	script  script
	methods map[string]int // how often each was called
	n       int            // number of calls with the script
	closers map[io.Closer]bool
	healed  chan struct{} // closed when the script ends
}

// exchange is a call and the way to reply to it.
type exchange struct {
	n      int // number of the call, from 0
	method string
	cookie uint32        // of BINRPC, or the id of JSON-RPC
	reply  rpc.Value     // of a healthy server
	healed chan struct{} // closed when the script must end

	out io.Writer // a BINRPC stream, or datagrams
	// held are packets that the script sends later, on this connection or to this address.
	held *[][]byte

	http    http.ResponseWriter
	request *http.Request
}

// script replies to a call. The connection is closed if it returns an error.
type script func(e *exchange) error

func newPeer(s script) *peer {
	return &peer{script: s, healthy: healthyReplies, methods: map[string]int{}, closers: map[io.Closer]bool{}, healed: make(chan struct{})}
}

// heal ends the script and closes all connections.
func (p *peer) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = nil
	close(p.healed)
	for closer := range p.closers {
		_ = closer.Close()
	}
}

// called returns the methods that were called.
func (p *peer) called() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.methods {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// exchange returns the exchange of a call, and the script for it.
func (p *peer) exchange(method string, id uint32) (*exchange, script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.methods[method]++
	e := &exchange{n: p.n, method: method, cookie: id, reply: p.healthy[method], healed: p.healed}
	if p.script == nil {
		return e, reply
	}
	p.n++
	return e, p.script
}

// reply is the script of a healthy Kamailio.
func reply(e *exchange) error { return e.send(e.packet()) }

// packet returns the reply of a healthy Kamailio.
func (e *exchange) packet() []byte {
	if e.reply.Kind() == rpc.KindNull {
		return e.fault(500, "command "+e.method+" not found")
	}
	return e.packetOf(e.reply)
}

// packetOf returns a reply with a value.
func (e *exchange) packetOf(value any) []byte {
	if e.http == nil {
		packet, err := binrpc.AppendReply(nil, e.cookie, value)
		if err != nil {
			panic(err)
		}
		return packet
	}
	tree, err := rpc.ValueOf(value)
	if err != nil {
		panic(err)
	}
	text, err := tree.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return e.result(string(text))
}

// result returns a JSON-RPC reply.
func (e *exchange) result(text string) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","result":%s,"id":%d}`, text, e.cookie)
}

func (e *exchange) fault(code int, reason string) []byte {
	if e.http == nil {
		packet, err := binrpc.AppendFault(nil, e.cookie, &rpc.Fault{Code: code, Reason: reason})
		if err != nil {
			panic(err)
		}
		return packet
	}
	text, err := json.Marshal(reason)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","error":{"code":%d,"message":%s},"id":%d}`, code, text, e.cookie)
}

// largestDatagram is the maximum size in bytes of the peer's datagrams.
const largestDatagram = 60_000

// send sends bytes, in several datagrams if they do not fit in one. Over HTTP they are a part of the body, which is sent at once.
func (e *exchange) send(packet []byte) error {
	if e.http != nil {
		if _, err := e.http.Write(packet); err != nil {
			return err
		}
		return http.NewResponseController(e.http).Flush()
	}
	if _, isDatagram := e.out.(datagrams); !isDatagram {
		_, err := e.out.Write(packet)
		return err
	}
	for piece := range slices.Chunk(packet, largestDatagram) {
		if _, err := e.out.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// datagrams writes datagrams to an address.
type datagrams struct {
	conn net.PacketConn
	to   net.Addr
}

// Write implements io.Writer.
func (d datagrams) Write(packet []byte) (int, error) { return d.conn.WriteTo(packet, d.to) }

// serve starts a peer over stream, datagram or overHTTP. It ends with the test.
func (p *peer) serve(t *testing.T, transport string) {
	t.Helper()
	switch transport {
	case stream:
		p.serveStream(t)
	case datagram:
		p.serveDatagrams(t)
	case overHTTP:
		server := httptest.NewServer(http.HandlerFunc(p.serveHTTP))
		t.Cleanup(server.Close)
		p.uri = server.URL + "/RPC"
	}
}

// socketPath returns the path of a new unix socket, which is removed at the end of the test.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kt") // shorter than that of the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "ctl")
}

func (p *peer) serveStream(t *testing.T) {
	t.Helper()
	path := socketPath(t)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p.uri = "unix:" + path
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.track(conn, true)
			running.Go(func() {
				defer p.track(conn, false)
				p.serveConn(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for closer := range p.closers {
			_ = closer.Close()
		}
		p.mu.Unlock()
		running.Wait()
	})
}

// track adds a connection to those that heal closes, or closes and removes it.
func (p *peer) track(closer io.Closer, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.closers[closer] = true
		return
	}
	delete(p.closers, closer)
	_ = closer.Close()
}

func (p *peer) serveConn(conn net.Conn) {
	r, held := bufio.NewReader(conn), [][]byte(nil)
	for {
		message, err := binrpc.Read(r, rpc.Limits{})
		if err != nil {
			return
		}
		call, err := message.Call()
		if err != nil {
			return
		}
		e, s := p.exchange(call.Method, message.Cookie)
		e.out, e.held = conn, &held
		if err := s(e); err != nil {
			return
		}
	}
}

func (p *peer) serveDatagrams(t *testing.T) {
	t.Helper()
	path := socketPath(t)
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	p.uri = "unixd:" + path
	var running sync.WaitGroup
	running.Go(func() {
		buffer, held := make([]byte, 65536), [][]byte(nil)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			message, err := binrpc.Parse(buffer[:n], rpc.Limits{})
			if err != nil {
				continue
			}
			call, err := message.Call()
			if err != nil {
				continue
			}
			e, s := p.exchange(call.Method, message.Cookie)
			e.out, e.held = datagrams{conn, from}, &held
			_ = s(e) // a datagram socket has no connection to close
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		running.Wait()
	})
}

func (p *peer) serveHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Method string `json:"method"`
		ID     uint32 `json:"id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&request) // an invalid request is a call of the method ""
	e, s := p.exchange(request.Method, request.ID)
	e.http, e.request, e.held = w, r, new([][]byte)
	if err := s(e); err != nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
}
