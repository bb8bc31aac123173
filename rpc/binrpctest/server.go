// Package binrpctest provides a BINRPC server for tests of programs that call a
// Kamailio.
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

// Handler returns the records of the reply to one call: Go values of the types that
// [rpc.ValueOf] accepts, none for an empty reply. An error that is a [*rpc.Fault] is
// sent as it is, any other error as a fault with code 500 and the error's text. ctx is
// canceled when the server is closed. A Handler is called concurrently for several
// connections, but for one call of each connection at a time.
type Handler func(ctx context.Context, call rpc.Call) ([]any, error)

// Server replies to calls as ctl does. It replies to the requests of a connection in
// their order. It replies to an invalid request with fault 400, and then closes the
// connection. Unlike ctl, it waits for a slow reader. Its methods may be called
// concurrently.
type Server struct {
	// URI is the address of the server, in the form that dial.New accepts. It is empty
	// for a server from [NewUnstartedServer].
	URI string

	handler Handler
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	open map[io.Closer]bool // listeners and connections; nil once closed
}

// NewServer starts and returns a server on a free TCP port of the loopback interface.
// The caller must close it. Like httptest.NewServer, it panics if it cannot listen.
func NewServer(handler Handler) *Server {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic("binrpctest: listen: " + err.Error())
	}
	s := NewUnstartedServer(handler)
	s.URI = "tcp://" + listener.Addr().String()
	go func() { _ = s.Serve(listener) }() // after an error, calls fail
	return s
}

// NewUnstartedServer returns a server that does not listen yet. Call [Server.Serve] for
// each stream listener and [Server.ServePacket] for each datagram socket.
func NewUnstartedServer(handler Handler) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{handler: handler, ctx: ctx, cancel: cancel, open: map[io.Closer]bool{}}
}

// Close closes all listeners and connections, cancels the context of calls, and waits
// until their handlers have returned. It must not be called by the Handler. It may be
// called more than once, and always returns nil.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for closer := range open {
		_ = closer.Close() // it is not used any more
	}
	s.running.Wait()
	return nil
}

// begin registers a listener or connection for Close. If the server is closed already,
// it closes the listener or connection and returns false.
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

// whyEnded returns nil if the server was closed, otherwise err.
func (s *Server) whyEnded(err error) error {
	select {
	case <-s.ctx.Done():
		return nil
	default:
		return err
	}
}

// Serve accepts connections from a stream listener and serves each of them. It closes
// the listener before it returns. It returns nil after [Server.Close], otherwise the
// error of the listener. It may be called for several listeners.
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

// limits are the limits of ctl, which reads a request into a buffer of 65,535 bytes.
var limits = rpc.Limits{Size: 65535}

func (s *Server) serveConn(conn net.Conn) {
	defer s.end(conn)
	r := bufio.NewReader(conn)
	for {
		message, err := binrpc.Read(r, limits)
		if err != nil && !isBadRequest(err) {
			return
		}
		reply, valid := s.reply(message, err)
		if _, err := conn.Write(reply); err != nil || !valid {
			return
		}
	}
}

// isBadRequest reports whether an error is about the bytes that a client sent. Other
// errors mean that the connection is closed.
func isBadRequest(err error) bool {
	_, limit := errors.AsType[*rpc.LimitError](err)
	_, syntax := errors.AsType[*binrpc.SyntaxError](err)
	return limit || syntax
}

// reply returns the packet of the reply to a message, and whether the message is a valid
// request. If err is not nil, it is the error of an invalid one.
func (s *Server) reply(message binrpc.Message, err error) (packet []byte, valid bool) {
	var call rpc.Call
	if err == nil {
		call, err = message.Call()
	}
	if err != nil {
		return faultPacket(message.Cookie, &rpc.Fault{Code: 400, Reason: err.Error()}), false
	}
	values, err := s.handler(s.ctx, call)
	if err == nil {
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
	if err != nil { // the code does not fit 32 bits
		packet, _ = binrpc.AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: fault.Reason})
	}
	return packet
}

// largestPiece is the maximum size in bytes of a UDP datagram's payload.
const largestPiece = 65507

// ServePacket replies to the requests that a datagram socket receives. It closes the
// socket before it returns. A reply of more than 65,507 bytes is sent in several
// datagrams, of which only the first has a header. ServePacket returns nil after
// [Server.Close], otherwise the error of the socket. It may be called for several
// sockets.
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
		s.serveDatagram(conn, from, buf[:n])
	}
}

// serveDatagram replies to one datagram, if its sender has an address.
func (s *Server) serveDatagram(conn net.PacketConn, from net.Addr, request []byte) {
	message, err := binrpc.Parse(request, limits)
	reply, _ := s.reply(message, err)
	for len(reply) > 0 {
		n := min(len(reply), largestPiece)
		if _, err := conn.WriteTo(reply[:n], from); err != nil {
			return
		}
		reply = reply[n:]
	}
}
