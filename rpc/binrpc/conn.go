package binrpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/batch"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
)

// Conn is a connection to ctl over a stream socket: unix or TCP. It is an
// [rpc.Client] for one connection, and may be used concurrently; the client of
// package dial connects again. Batches are pipelined: all requests are written at
// once, and replies are read as they arrive.
//
// A goroutine reads the socket from Dial to Close, even if no batch is in progress,
// because ctl does not wait for a slow reader: it drops the rest of the reply.
type Conn struct {
	conn    net.Conn
	options Options
	turn    chan struct{} // contains a token while a batch is in progress
	cookie  uint32        // of the last request; owned by the batch in progress
	largest int           // bytes of the largest reply; owned by the reader
	replied atomic.Bool   // whether a reply has arrived
	ended   chan struct{} // closed when the reader has ended, after err is set

	mu    sync.Mutex
	batch *pending
	err   error // why the connection is not usable
}

// pending is the part of the batch in progress that the reader uses.
type pending struct {
	replies   chan cookieReply // has capacity for all, so the reader never waits
	remaining int
	stall     time.Duration // maximum pause within a reply
	budget    *budget.Budget
}

// cookieReply is a reply and the cookie of its packet.
type cookieReply struct {
	cookie uint32
	reply  rpc.Reply
}

// Dial connects to a stream socket of ctl; network is "unix" or "tcp". If ctx has
// no deadline, it may block until the operating system's timeout. The error is that
// of [net.Dialer.DialContext].
func Dial(ctx context.Context, network, address string, options Options) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewConn(conn, options), nil
}

// NewConn returns a client that uses an existing connection, which it closes in
// [Conn.Close] and after errors. The caller must not use conn afterwards.
func NewConn(conn net.Conn, options Options) *Conn {
	s := &Conn{
		conn:    conn,
		options: options.withDefaults(),
		turn:    make(chan struct{}, 1),
		cookie:  rand.Uint32(),
		ended:   make(chan struct{}),
	}
	go s.read()
	return s
}

// Usable reports whether the connection accepts further batches. It becomes false
// when the server closes the connection, after an error, and after [Conn.Close], and
// does not become true again.
func (s *Conn) Usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// PeerPID returns the PID of the server's process that called listen for the socket, in
// the PID namespace of this program. For ctl this is Kamailio's main process, although
// another process replies. It is 0 if the process is in another PID namespace, if the
// connection is closed, over TCP, and on systems other than Linux. The process may have
// ended, and its PID may be that of another process then.
func (s *Conn) PeerPID() int { return peerPID(s.conn) }

// Close closes the connection and waits for its reader. Calls that wait for their
// reply fail with [rpc.ErrClosed]. Close may be called more than once, and always
// returns nil.
func (s *Conn) Close() error {
	s.fail(rpc.ErrClosed)
	<-s.ended
	return nil
}

// fail closes the connection and marks it as unusable. The first error is kept.
func (s *Conn) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		_ = s.conn.Close() // the connection is unusable in any case
	}
}

func (s *Conn) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// read reads packets until the connection ends.
func (s *Conn) read() {
	defer close(s.ended)
	r := bufio.NewReaderSize(s.conn, firstChunk)
	for {
		if err := s.readOne(r); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *Conn) readOne(r *bufio.Reader) error {
	first, err := r.Peek(1)
	if err != nil { // a wait between replies has no time limit
		return s.closedByServer(err)
	}
	b := s.expected()
	if b == nil {
		if _, err := parseHeader(first); isSyntaxError(err) { // a server that sends before a request may use another protocol
			return fmt.Errorf("%w: %w", ErrOutOfStep, err)
		}
		return fmt.Errorf("%w: a reply arrived without a request", ErrOutOfStep)
	}
	timed := false
	waiting := func() error {
		timed = true
		return s.conn.SetReadDeadline(time.Now().Add(b.stall))
	}
	// A server that sent a large reply often sends another one.
	allowed := b.budget.Next()
	p, err := readPacket(r, &allowed, max(s.largest, firstChunk), waiting)
	if err != nil {
		cut, ok := errors.AsType[*cutError](err)
		if ok && errors.Is(err, os.ErrDeadlineExceeded) {
			return &StallError{cut.have, cut.want, b.stall}
		}
		return err
	}
	if p.wrong == nil {
		s.largest = max(s.largest, p.length)
		b.budget.Spend(p.length, p.values)
	}
	if timed {
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
	s.replied.Store(true)
	s.deliver(cookieReply{p.cookie, p.reply(time.Now())})
	return nil
}

// closedByServer returns a read or write error as one that wraps rpc.ErrClosed if the
// cause is that the server closed the connection, and unchanged otherwise.
func (s *Conn) closedByServer(err error) error {
	closed := errors.Is(err, io.EOF)
	reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case !closed && !reset:
		return err
	case closed && s.replied.Load():
		return fmt.Errorf("%w by the server", rpc.ErrClosed)
	case closed:
		return ErrClosedUnanswered
	case s.replied.Load():
		return fmt.Errorf("%w by the server: %w", rpc.ErrClosed, err)
	default:
		return fmt.Errorf("%w: %w", ErrClosedUnanswered, err)
	}
}

// expected returns the batch that waits for a reply, nil if there is none.
func (s *Conn) expected() *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == nil || s.batch.remaining == 0 {
		return nil
	}
	return s.batch
}

// deliver passes a reply to the batch in progress, if there still is one.
func (s *Conn) deliver(r cookieReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == nil {
		return
	}
	s.batch.remaining--
	s.batch.replies <- r
}

// start registers a batch of n requests with the reader.
func (s *Conn) start(ctx context.Context, n int) (*pending, error) {
	b := &pending{
		replies:   make(chan cookieReply, n),
		remaining: n,
		stall:     s.options.Stall,
		budget:    budget.Of(ctx, s.options.Limits),
	}
	if deadline, ok := ctx.Deadline(); ok {
		b.stall = max(min(b.stall, time.Until(deadline)/2), time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(s.err, rpc.ErrClosed):
		return nil, s.err
	case isSyntaxError(s.err): // wrapped: the server uses another protocol, which concerns every batch
		return nil, fmt.Errorf("%w after an earlier failure: %w", rpc.ErrClosed, s.err)
	case s.err != nil: // not wrapped: it is the error of another batch
		return nil, fmt.Errorf("%w after an earlier failure: %s", rpc.ErrClosed, s.err.Error())
	}
	s.batch = b
	return b, nil
}

var errAbandoned = fmt.Errorf("%w: an earlier batch ended before all its replies", rpc.ErrClosed)

// finish ends a batch. If replies are missing, it closes the connection, because they
// may still arrive and would be taken for replies to the next batch.
func (s *Conn) finish(b *pending) {
	s.mu.Lock()
	remaining := b.remaining
	s.batch = nil
	s.mu.Unlock()
	if remaining > 0 {
		s.fail(errAbandoned)
	}
}

// Do implements [rpc.Client]. If a batch ends before all its replies have arrived, the
// connection is closed.
func (s *Conn) Do(ctx context.Context, calls ...rpc.Call) []rpc.Reply {
	return batch.Collect(s.Stream(ctx, calls...), len(calls))
}

// Stream implements [rpc.Client]. If a batch ends before all its replies have arrived,
// the connection is closed.
func (s *Conn) Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	return func(yield func(int, rpc.Reply) bool) {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done():
			batch.Unsent(yield, len(calls), ctx.Err())
			return
		}
		if err := ctx.Err(); err != nil { // the connection stays usable
			batch.Unsent(yield, len(calls), err)
			return
		}
		s.call(ctx, calls, yield)
	}
}

// request is an encoded call.
type request struct {
	index int // of the call in the batch
	start int // offset in the bytes of all requests
}

// yieldError yields err for each of these requests; written is the number of bytes of
// the batch that were written.
func yieldError(yield func(int, rpc.Reply) bool, due []request, written int, err error) {
	for _, r := range due {
		if !yield(r.index, rpc.Reply{Err: err, NotSent: r.start >= written}) {
			return
		}
	}
}

func (s *Conn) call(ctx context.Context, calls []rpc.Call, yield func(int, rpc.Reply) bool) {
	first := s.cookie + 1
	requests, due, ok := s.encode(calls, yield)
	if !ok || len(due) == 0 {
		return
	}
	b, err := s.start(ctx, len(due))
	if err != nil {
		yieldError(yield, due, 0, err)
		return
	}
	defer s.finish(b)
	written, err := s.write(ctx, requests)
	if err != nil {
		s.fail(s.closedByServer(err))
	}
	for len(due) > 0 {
		r, err := s.next(ctx, b)
		if err != nil {
			yieldEnd(yield, due, written, err)
			return
		}
		// ctl replies to the requests of a connection in their order.
		i := due[0].index
		if r.cookie != first+uint32(i) {
			s.fail(fmt.Errorf("%w: the reply has cookie %#x, the request %s has %#x", ErrOutOfStep, r.cookie, calls[i].Method, first+uint32(i)))
			yieldError(yield, due, written, s.failure())
			return
		}
		outOfStep := isSyntaxError(r.reply.Err)
		if outOfStep {
			s.fail(fmt.Errorf("%w: %w", ErrOutOfStep, r.reply.Err))
		}
		due = due[1:]
		if !yield(i, r.reply) {
			return
		}
		if outOfStep { // packets after an invalid one may be parts of it, even if they are valid
			yieldError(yield, due, written, s.failure())
			return
		}
	}
}

// encode encodes all requests into one buffer, with consecutive cookies, and yields the
// error of each call that cannot be encoded. It returns the buffer and the encoded
// requests, and false if yield returned false.
func (s *Conn) encode(calls []rpc.Call, yield func(int, rpc.Reply) bool) ([]byte, []request, bool) {
	var requests []byte
	due := make([]request, 0, len(calls))
	for i, call := range calls {
		s.cookie++
		longer, err := AppendRequest(requests, s.cookie, call)
		if err != nil {
			if !yield(i, rpc.Reply{Err: err, NotSent: true}) {
				return nil, nil, false
			}
			continue
		}
		due = append(due, request{i, len(requests)})
		requests = longer
	}
	return requests, due, true
}

// write sends the requests and returns the number of bytes that were written.
// Meanwhile the reader reads replies.
func (s *Conn) write(ctx context.Context, requests []byte) (int, error) {
	stop := context.AfterFunc(ctx, func() { s.fail(errAbandoned) })
	defer stop()
	return s.conn.Write(requests)
}

// next waits for a reply, the end of the connection, or the end of ctx.
func (s *Conn) next(ctx context.Context, b *pending) (cookieReply, error) {
	select { // a reply that has arrived is returned even if the connection or ctx ended after it
	case r := <-b.replies:
		return r, nil
	default:
	}
	select {
	case r := <-b.replies:
		return r, nil
	case <-ctx.Done():
		return cookieReply{}, ctx.Err()
	case <-s.ended:
	}
	select {
	case r := <-b.replies:
		return r, nil
	default:
	}
	if err := ctx.Err(); err != nil {
		return cookieReply{}, err
	}
	return cookieReply{}, s.failure()
}

// yieldEnd yields the error that ended a connection for each request without a reply.
// A LimitError is yielded only for the first, whose reply exceeds the limit.
func yieldEnd(yield func(int, rpc.Reply) bool, due []request, written int, err error) {
	if _, ok := errors.AsType[*rpc.LimitError](err); ok {
		if !yield(due[0].index, rpc.Reply{Err: err}) {
			return
		}
		due, err = due[1:], fmt.Errorf("%w after a reply that exceeds the limits", rpc.ErrClosed)
	}
	yieldError(yield, due, written, err)
}

// reply converts a packet to the reply to a call.
func (p packet) reply(received time.Time) rpc.Reply {
	reply := rpc.Reply{Received: received, Size: p.size + p.length}
	switch {
	case p.wrong != nil:
		reply.Err = p.wrong
	case p.kind == KindReply:
		reply.Value = p.value
	case p.kind == KindFault:
		reply.Err = Message{Kind: KindFault, Value: p.value}.Fault()
	default:
		reply.Err = &SyntaxError{1, "a request instead of a reply"}
	}
	return reply
}

// isSyntaxError reports whether err is a SyntaxError. After one, the connection may be
// out of step even if the header of the packet is valid.
func isSyntaxError(err error) bool {
	_, syntax := errors.AsType[*SyntaxError](err)
	return syntax
}
