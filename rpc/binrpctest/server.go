// Package binrpctest has a server that speaks BINRPC, for tests and simulators of
// what calls a Kamailio.
package binrpctest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// Handler answers one call with the records of its reply, Go values of the kinds
// that [rpc.ValueOf] takes; none is an empty reply. An error that is a
// [*rpc.Fault] is sent as it is, any other as a fault with code 500 and the
// error's text. ctx ends when the server is closed. A Handler is called
// concurrently, once for each connection at a time.
type Handler func(ctx context.Context, call rpc.Call) ([]any, error)

// Server answers calls as ctl does: a connection's requests in their order, and
// bytes that are no request with fault 400 and the end of the connection. Unlike
// ctl, it waits for a slow reader.
type Server struct {
	// URI is where the server listens, in the form that dial.New takes. It is empty
	// for an unstarted server.
	URI string

	handler Handler
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	open map[io.Closer]bool // listeners and connections; nil once closed
}

// NewServer starts a server on a free TCP port of the loopback interface. The
// caller must close it. It panics if it cannot listen, as httptest.NewServer does.
func NewServer(handler Handler) *Server {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic("binrpctest: listen: " + err.Error())
	}
	s := NewUnstartedServer(handler)
	s.URI = "tcp://" + listener.Addr().String()
	go func() { _ = s.Serve(listener) }() // its callers see what it does not answer
	return s
}

// NewUnstartedServer makes a server for other sockets. It serves nothing until
// [Server.Serve] or [Server.ServePacket] is called.
func NewUnstartedServer(handler Handler) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{handler: handler, ctx: ctx, cancel: cancel, open: map[io.Closer]bool{}}
}

// Close closes all that is being served, and waits until nothing is under way
// any more. It must not be called from the Handler.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for closer := range open {
		_ = closer.Close() // it is given up in any case
	}
	s.running.Wait()
	return nil
}

// begin registers what Close is to close and to wait for. It closes it itself
// where the server is closed already.
func (s *Server) begin(closer io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		_ = closer.Close()
		return false
	}
	s.open[closer] = true
	s.running.Add(1)
	return true
}

func (s *Server) end(closer io.Closer) {
	s.mu.Lock()
	delete(s.open, closer)
	s.mu.Unlock()
	_ = closer.Close()
	s.running.Done()
}

// whyEnded is nil where Close was the reason.
func (s *Server) whyEnded(err error) error {
	select {
	case <-s.ctx.Done():
		return nil
	default:
		return err
	}
}

// Serve accepts connections from a stream listener, which it closes in the end,
// and serves each of them. It returns nil after Close, or else the error that
// ended it. It may be called for several listeners.
func (s *Server) Serve(listener net.Listener) error {
	if !s.begin(listener) {
		return nil
	}
	defer s.end(listener)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return s.whyEnded(err)
		}
		if s.begin(conn) {
			go s.serveConn(conn)
		}
	}
}

// limits are those of ctl, which reads a request into a buffer of 65,535 bytes.
var limits = rpc.Limits{Size: 65535}

func (s *Server) serveConn(conn net.Conn) {
	defer s.end(conn)
	r := bufio.NewReader(conn)
	for {
		message, err := binrpc.Read(r, limits)
		if err != nil && !isBadRequest(err) {
			return
		}
		answer, good := s.answer(message, err)
		if _, err := conn.Write(answer); err != nil || !good {
			return
		}
	}
}

// isBadRequest reports whether an error is about what a client sent. After any
// other there is no client left to answer.
func isBadRequest(err error) bool {
	_, limit := errors.AsType[*rpc.LimitError](err)
	_, syntax := errors.AsType[*binrpc.SyntaxError](err)
	return limit || syntax
}

// answer makes the packet that answers a message, or err if it is a bad request.
// It returns false after a bad request.
func (s *Server) answer(message binrpc.Message, err error) ([]byte, bool) {
	var call rpc.Call
	if err == nil {
		call, err = message.Call()
	}
	if err != nil {
		return faultPacket(message.Cookie, &rpc.Fault{Code: 400, Reason: err.Error()}), false
	}
	values, err := s.handler(s.ctx, call)
	if err == nil {
		var packet []byte
		if packet, err = binrpc.AppendReply(nil, message.Cookie, values...); err == nil {
			return packet, true
		}
	}
	fault, ok := errors.AsType[*rpc.Fault](err)
	if !ok {
		fault = &rpc.Fault{Code: 500, Reason: err.Error()}
	}
	return faultPacket(message.Cookie, fault), true
}

func faultPacket(cookie uint32, fault *rpc.Fault) []byte {
	packet, err := binrpc.AppendFault(nil, cookie, fault)
	if err != nil { // a code beyond 32 bits
		packet, _ = binrpc.AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: fault.Reason})
	}
	return packet
}

// largestPiece is the most that a UDP datagram holds.
const largestPiece = 65507

// ServePacket answers the requests that a datagram socket receives, which it
// closes in the end. A reply that is too large for one datagram is sent in
// several, of which only the first has the header. It returns nil after Close,
// or else the error that ended it.
func (s *Server) ServePacket(conn net.PacketConn) error {
	if !s.begin(conn) {
		return nil
	}
	defer s.end(conn)
	buf := make([]byte, limits.Size+100) // with the header
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return s.whyEnded(err)
		}
		s.answerDatagram(conn, from, buf[:n])
	}
}

// answerDatagram answers one datagram, if its sender has an address.
func (s *Server) answerDatagram(conn net.PacketConn, from net.Addr, request []byte) {
	message, err := binrpc.Parse(request, limits)
	answer, _ := s.answer(message, err)
	for len(answer) > 0 {
		n := min(len(answer), largestPiece)
		if _, err := conn.WriteTo(answer[:n], from); err != nil {
			return
		}
		answer = answer[n:]
	}
}
