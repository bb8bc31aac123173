package binrpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Handler answers one call with the records of its reply, Go values of the kinds
// that [rpc.ValueOf] takes; none is an empty reply. An error that is a
// [*rpc.Fault] is sent as it is, any other as a fault with code 500 and the
// error's text. ctx ends when the server is closed. A Handler is called for
// several connections at the same time.
type Handler func(ctx context.Context, call rpc.Call) ([]any, error)

// Server answers calls as ctl does, for tests and simulators: a connection's
// requests in their order, and a request that is not one with fault 400 and the
// end of the connection. Unlike ctl, it waits for a slow reader.
type Server struct {
	handler Handler
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	open map[io.Closer]bool // listeners and connections; nil once closed
}

// NewServer makes a server. It serves nothing until Serve or ServePacket.
func NewServer(handler Handler) *Server {
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

func (s *Server) serveConn(conn net.Conn) {
	defer s.end(conn)
	r := bufio.NewReaderSize(conn, maxRequest)
	for {
		p, err := readPacket(r, rpc.Limits{Size: maxRequest}.WithDefaults(), firstChunk, func() error { return nil })
		if err != nil && !refused(err) {
			return
		}
		answer, good := s.answer(p, err)
		if _, err := conn.Write(answer); err != nil || !good {
			return
		}
	}
}

// refused tells whether an error is about what a peer sent. Any other means that
// there is nobody left to answer.
func refused(err error) bool {
	_, limit := errors.AsType[*rpc.LimitError](err)
	_, syntax := errors.AsType[*SyntaxError](err)
	return limit || syntax
}

// answer makes the packet that answers a request, or what should have been one
// and is err instead. It returns false after a bad request.
func (s *Server) answer(p packet, err error) ([]byte, bool) {
	if err == nil {
		err = p.wrong
	}
	if err == nil && p.size+p.length > maxRequest {
		err = &rpc.LimitError{What: "bytes", Limit: maxRequest}
	}
	var call rpc.Call
	if err == nil {
		call, err = Message{p.kind, p.cookie, p.value}.Call()
	}
	if err != nil {
		return faultPacket(p.cookie, &rpc.Fault{Code: 400, Reason: err.Error()}), false
	}
	values, err := s.handler(s.ctx, call)
	if err == nil {
		var packet []byte
		if packet, err = AppendReply(nil, p.cookie, values...); err == nil {
			return packet, true
		}
	}
	fault, ok := errors.AsType[*rpc.Fault](err)
	if !ok {
		fault = &rpc.Fault{Code: 500, Reason: err.Error()}
	}
	return faultPacket(p.cookie, fault), true
}

func faultPacket(cookie uint32, fault *rpc.Fault) []byte {
	packet, err := AppendFault(nil, cookie, fault)
	if err != nil { // a code beyond 32 bits
		packet, _ = AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: fault.Reason})
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
	buf := make([]byte, maxRequest+1)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return s.whyEnded(err)
		}
		s.answerDatagram(conn, from, buf[:n])
	}
}

// answerDatagram answers one datagram, if its sender can be answered at all.
func (s *Server) answerDatagram(conn net.PacketConn, from net.Addr, request []byte) {
	h, err := parseHeader(request)
	p := packet{header: h}
	if err == nil && len(request)-h.size != h.length {
		err = &SyntaxError{len(request), "the end of the datagram, but not of the request,"}
	}
	if err == nil {
		p.value, err = parseRecords(request[h.size:], rpc.Limits{}.WithDefaults())
		p.wrong, err = behindHeader(h, err), nil
	}
	answer, _ := s.answer(p, err)
	for len(answer) > 0 {
		n := min(len(answer), largestPiece)
		if _, err := conn.WriteTo(answer[:n], from); err != nil {
			return
		}
		answer = answer[n:]
	}
}
