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

// Conn is a connection to ctl over a stream socket: unix or TCP. It is a
// [rpc.Client] that lives as long as its connection does; package dial has one
// that connects again. Batches are pipelined: all requests are written at once,
// and replies are read as they arrive.
//
// A goroutine reads the socket from Dial to Close, whatever else goes on, because
// ctl does not wait for a slow reader: it drops the rest of the reply.
type Conn struct {
	conn     net.Conn
	options  Options
	turn     chan struct{} // holds a token while a batch is under way
	cookie   uint32        // of the last request; owned by the batch that has the turn
	largest  int           // bytes of the largest reply; owned by the reader
	answered atomic.Bool   // whether any reply has come
	ended    chan struct{} // closed when the reader has ended, after err is set

	mu    sync.Mutex
	batch *pending
	err   error // why the connection can't be used any more
}

// pending is what the reader knows of the batch that is under way.
type pending struct {
	answers chan answer // has room for all, so the reader never waits
	left    int
	stall   time.Duration // how long a reply may pause
	budget  *budget.Budget
}

// answer is a reply with the cookie of the request that it answers.
type answer struct {
	cookie uint32
	reply  rpc.Reply
}

// Dial connects to a stream socket of ctl; network is "unix" or "tcp". If ctx has
// no deadline, it may block for as long as the operating system waits for a
// connection.
func Dial(ctx context.Context, network, address string, options Options) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewConn(conn, options), nil
}

// NewConn speaks BINRPC over a connection that exists. It owns conn from now
// on.
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

// Usable reports whether the connection can take a batch, as far as is known. It
// becomes false as soon as the server closes the connection, and stays so.
func (s *Conn) Usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// Close closes the connection and waits for its reader. Calls under way fail
// with rpc.ErrClosed. It may be called again.
func (s *Conn) Close() error {
	s.fail(rpc.ErrClosed)
	<-s.ended
	return nil
}

// fail marks the connection as unusable, for the first reason given, and closes
// it.
func (s *Conn) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		_ = s.conn.Close() // nothing could be done about an error
	}
}

func (s *Conn) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// read takes in packets until the connection ends.
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
	if err != nil { // between two replies: as long as it takes
		return s.closedByServer(err)
	}
	b := s.expected()
	if b == nil {
		if _, err := parseHeader(first); spoiled(err) { // a server that sends first may not speak BINRPC at all
			return fmt.Errorf("%w: %w", ErrOutOfStep, err)
		}
		return fmt.Errorf("%w: a reply came to no request", ErrOutOfStep)
	}
	timed := false
	waiting := func() error {
		timed = true
		return s.conn.SetReadDeadline(time.Now().Add(b.stall))
	}
	// A server that sent a large reply may well send another one.
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
	s.answered.Store(true)
	s.deliver(answer{p.cookie, p.reply(time.Now())})
	return nil
}

// closedByServer says of an error in reading or writing that the server closed the
// connection, if that is the cause.
func (s *Conn) closedByServer(err error) error {
	closed := errors.Is(err, io.EOF)
	reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case !closed && !reset:
		return err
	case closed && s.answered.Load():
		return fmt.Errorf("%w by the server", rpc.ErrClosed)
	case closed:
		return ErrClosedUnanswered
	case s.answered.Load():
		return fmt.Errorf("%w by the server: %w", rpc.ErrClosed, err)
	default:
		return fmt.Errorf("%w: %w", ErrClosedUnanswered, err)
	}
}

// expected returns the batch to which a reply is due, nil if there is none.
func (s *Conn) expected() *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == nil || s.batch.left == 0 {
		return nil
	}
	return s.batch
}

// deliver hands an answer to the batch under way, if that still is.
func (s *Conn) deliver(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == nil {
		return
	}
	s.batch.left--
	s.batch.answers <- a
}

// start announces a batch to the reader.
func (s *Conn) start(ctx context.Context, n int) (*pending, error) {
	b := &pending{
		answers: make(chan answer, n),
		left:    n,
		stall:   s.options.Stall,
		budget:  budget.Of(ctx, s.options.Limits),
	}
	if deadline, ok := ctx.Deadline(); ok {
		b.stall = max(min(b.stall, time.Until(deadline)/2), time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(s.err, rpc.ErrClosed):
		return nil, s.err
	case spoiled(s.err): // it was never BINRPC, which this batch should know
		return nil, fmt.Errorf("%w after an earlier failure: %w", rpc.ErrClosed, s.err)
	case s.err != nil: // what another batch met is told, but is not this one's error
		return nil, fmt.Errorf("%w after an earlier failure: %s", rpc.ErrClosed, s.err.Error())
	}
	s.batch = b
	return b, nil
}

var errGivenUp = fmt.Errorf("%w: an earlier batch was given up", rpc.ErrClosed)

// finish ends a batch. If replies are missing, they may come later and would be taken
// for those of the next batch, so the connection ends too.
func (s *Conn) finish(b *pending) {
	s.mu.Lock()
	left := b.left
	s.batch = nil
	s.mu.Unlock()
	if left > 0 {
		s.fail(errGivenUp)
	}
}

// Do implements [rpc.Client]. When a batch ends without all its replies, for
// whatever reason, the connection is closed.
func (s *Conn) Do(ctx context.Context, calls ...rpc.Call) []rpc.Reply {
	return batch.Collect(s.Stream(ctx, calls...), len(calls))
}

// Stream implements [rpc.Client]. When a batch ends without all its replies, for
// whatever reason, the connection is closed.
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

// request is a call that was encoded.
type request struct {
	index int // of the call in the batch
	start int // of the request in the bytes of all requests
}

// yieldError yields the error for each of these requests, of which so many bytes
// were written.
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
		a, err := s.next(ctx, b)
		if err != nil {
			yieldEnd(yield, due, written, err)
			return
		}
		// ctl answers a connection's requests in their order.
		i := due[0].index
		if a.cookie != first+uint32(i) {
			s.fail(fmt.Errorf("%w: the reply has cookie %#x, that of %s has %#x", ErrOutOfStep, a.cookie, calls[i].Method, first+uint32(i)))
			yieldError(yield, due, written, s.failure())
			return
		}
		outOfStep := spoiled(a.reply.Err)
		if outOfStep {
			s.fail(fmt.Errorf("%w: %w", ErrOutOfStep, a.reply.Err))
		}
		due = due[1:]
		if !yield(i, a.reply) {
			return
		}
		if outOfStep { // what follows is not to be trusted, even if it looks right
			yieldError(yield, due, written, s.failure())
			return
		}
	}
}

// encode makes one buffer of all requests, each with its index in the batch
// added to the cookie, and yields the error of those that have no form. It
// returns the others, and false if the caller wants no more.
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

// write sends the requests and returns how many bytes were written. Replies are
// read meanwhile, by the reader.
func (s *Conn) write(ctx context.Context, requests []byte) (int, error) {
	stop := context.AfterFunc(ctx, func() { s.fail(errGivenUp) })
	defer stop()
	return s.conn.Write(requests)
}

// next waits for an answer, for the end of the connection, or for ctx.
func (s *Conn) next(ctx context.Context, b *pending) (answer, error) {
	select { // what has come counts, also when the connection ended after it
	case a := <-b.answers:
		return a, nil
	default:
	}
	select {
	case a := <-b.answers:
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-s.ended:
	}
	select {
	case a := <-b.answers:
		return a, nil
	default:
	}
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	return answer{}, s.failure()
}

// yieldEnd yields the error that ended a connection. A reply that is too large
// is the fault of the call it answers alone.
func yieldEnd(yield func(int, rpc.Reply) bool, due []request, written int, err error) {
	if _, ok := errors.AsType[*rpc.LimitError](err); ok {
		if !yield(due[0].index, rpc.Reply{Err: err}) {
			return
		}
		due, err = due[1:], fmt.Errorf("%w after a reply beyond the limits", rpc.ErrClosed)
	}
	yieldError(yield, due, written, err)
}

// reply is what a packet says that answers a request.
func (p packet) reply(received time.Time) rpc.Reply {
	switch {
	case p.wrong != nil:
		return rpc.Reply{Err: p.wrong, Received: received}
	case p.kind == KindReply:
		return rpc.Reply{Value: p.value, Received: received}
	case p.kind == KindFault:
		return rpc.Reply{Err: Message{Kind: KindFault, Value: p.value}.Fault(), Received: received}
	default:
		return rpc.Reply{Err: &SyntaxError{1, "a request where a reply was due"}, Received: received}
	}
}

// spoiled reports whether a reply's content shows that the connection is out of
// step, though its header looked right.
func spoiled(err error) bool {
	_, syntax := errors.AsType[*SyntaxError](err)
	return syntax
}
