// Package dial provides a client for the URI of a Kamailio. The client keeps its
// connection, and connects again after it was closed.
package dial

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/batch"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// Options are the settings of a client. The zero value of each field is its default.
type Options struct {
	// Limits limits the size of replies.
	Limits rpc.Limits
	// Stall is the maximum pause within a reply over BINRPC. Zero and negative
	// durations mean 1 s; see [binrpc.Options].
	Stall time.Duration
	// HTTP is the HTTP client for http and https targets; set certificates and
	// credentials there. Nil means a client without certificates and credentials.
	// Several clients may share it, so its connections are not closed by IdleTimeout
	// and [Client.Close]; set IdleConnTimeout of its transport.
	HTTP *http.Client
	// IdleTimeout is the time after the end of a batch after which the client closes
	// the connection, if no other batch has used it. The next batch connects again.
	// Zero and negative durations mean that an unused connection is kept.
	IdleTimeout time.Duration
}

// Client is an [rpc.Client] for one target. It may be used concurrently. It connects at
// the first call and keeps the connection. It connects again after the server closed
// the connection, which ctl may do after 120 s without a request, after an error that
// closed it, and after [Options.IdleTimeout]. A call without a reply is sent once more,
// on a new connection and with the same context, if no byte of it was written or if it
// is Idempotent. It is not sent again if ctx is done, after a fault, or if its reply
// exceeds the limits.
type Client struct {
	target  Target
	options Options
	turn    chan struct{} // contains a token while a batch is in progress

	mu      sync.Mutex
	conn    conn
	dialed  uint64      // number of connections that were made
	methods []string    // of the server at conn; nil if unknown
	used    time.Time   // end of the last batch
	idle    *time.Timer // calls closeIdle; nil before the first batch with an IdleTimeout
	closed  bool
}

// conn is a connection that may become unusable.
type conn interface {
	rpc.Client
	Usable() bool
}

// New returns a client for the target with that URI, with default Options. It does not
// connect yet, so the only errors are those of [ParseTarget].
func New(uri string) (*Client, error) {
	target, err := ParseTarget(uri)
	if err != nil {
		return nil, err
	}
	return NewTarget(target, Options{}), nil
}

// NewTarget returns a client for a target. It does not connect yet.
func NewTarget(target Target, options Options) *Client {
	return &Client{target: target, options: options, turn: make(chan struct{}, 1)}
}

// Target returns the target that the client connects to.
func (c *Client) Target() Target { return c.target }

// Close closes the connection, if there is one, except those of [Options.HTTP]. Later
// calls, and calls that wait for their reply, fail with [rpc.ErrClosed]. Close may be
// called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// endBatch lets the next batch begin and starts the idle timeout. The caller must have
// the turn.
func (c *Client) endBatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = time.Now()
	<-c.turn
	switch {
	case c.options.IdleTimeout <= 0 || c.conn == nil || c.closed:
	case c.idle == nil:
		c.idle = time.AfterFunc(c.options.IdleTimeout, c.closeIdle)
	default:
		c.idle.Reset(c.options.IdleTimeout)
	}
}

// closeIdle closes the connection if no batch has used it for the idle timeout. It does
// nothing during a batch, whose end starts the timeout again.
func (c *Client) closeIdle() {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// A batch may have ended since the timer called this function.
	if c.conn == nil || time.Since(c.used) < c.options.IdleTimeout {
		return
	}
	_ = c.conn.Close() // it is not used any more
	c.conn, c.methods = nil, nil
}

// connect returns the connection, and makes a new one if it is not usable. The caller
// must have the turn.
func (c *Client) connect(ctx context.Context) (conn, error) {
	c.mu.Lock()
	current, closed := c.conn, c.closed
	c.mu.Unlock()
	if closed {
		return nil, rpc.ErrClosed
	}
	if current != nil && current.Usable() {
		return current, nil
	}
	if current != nil {
		_ = current.Close() // it is unusable in any case
	}
	fresh, err := c.dial(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.methods = nil, nil
	if err != nil {
		return nil, err
	}
	if c.closed {
		_ = fresh.Close()
		return nil, rpc.ErrClosed
	}
	c.conn = fresh
	c.dialed++
	return fresh, nil
}

// Connection returns a number that identifies the current connection; it increases with
// each new one. Kamailio has not restarted while the number is the same. It is 0 if
// there is no connection that could show a restart: before the first call, after the
// connection was closed, also by [Options.IdleTimeout], and over datagrams and JSON-RPC.
func (c *Client) Connection() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, stream := c.conn.(*binrpc.Conn); !stream || !c.conn.Usable() {
		return 0
	}
	return c.dialed
}

// PeerPID returns the PID of the server's process that called listen for the socket of
// the current connection; see [binrpc.Conn.PeerPID]. It is 0 if there is no connection,
// and for targets whose URI does not begin with unix:.
func (c *Client) PeerPID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream, ok := c.conn.(*binrpc.Conn); ok {
		return stream.PeerPID()
	}
	return 0
}

func (c *Client) dial(ctx context.Context) (conn, error) {
	network, address := c.target.Network, c.target.Address
	overJSON := jsonrpc.Options{Limits: c.options.Limits, HTTP: c.options.HTTP}
	overBINRPC := binrpc.Options{Limits: c.options.Limits, Stall: c.options.Stall}
	switch {
	case network == "http":
		return jsonrpc.NewHTTP(address, overJSON), nil
	case c.target.Protocol == JSONRPC && network == "tcp":
		return jsonrpc.NewTCP(address, overJSON), nil
	case c.target.Protocol == JSONRPC:
		return jsonrpc.NewDatagram(network, address, overJSON), nil
	case network == "unixgram" || network == "udp":
		return binrpc.NewDatagram(network, address, overBINRPC), nil
	default:
		return binrpc.Dial(ctx, network, address, overBINRPC)
	}
}

// Do implements [rpc.Client].
func (c *Client) Do(ctx context.Context, calls ...rpc.Call) []rpc.Reply {
	return batch.Collect(c.Stream(ctx, calls...), len(calls))
}

// Stream implements [rpc.Client].
func (c *Client) Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	return func(yield func(int, rpc.Reply) bool) {
		select {
		case c.turn <- struct{}{}:
			defer c.endBatch()
		case <-ctx.Done():
			batch.Unsent(yield, len(calls), ctx.Err())
			return
		}
		ctx = budget.With(ctx, budget.New(c.options.Limits.WithDefaults()))
		b := &attempts{calls: calls, sent: make([]bool, len(calls)), yield: yield}
		all := make([]int, len(calls))
		for i := range all {
			all[i] = i
		}
		again, err := c.attempt(ctx, b, all, false)
		if err == nil && len(again) > 0 {
			// The first call may be the cause of the failure, so it is sent last.
			again = append(again[1:], again[0])
			again, err = c.attempt(ctx, b, again, true)
		}
		for _, i := range again {
			if !b.reply(i, rpc.Reply{Err: err, NotSent: true}) {
				return
			}
		}
	}
}

// attempts is a batch whose calls may be sent twice.
type attempts struct {
	calls []rpc.Call
	sent  []bool // whether the first attempt sent the call
	yield func(int, rpc.Reply) bool
}

// reply yields the reply to a call. It returns false if the loop ended.
func (b *attempts) reply(i int, reply rpc.Reply) bool {
	reply.NotSent = reply.NotSent && !b.sent[i]
	return b.yield(i, reply)
}

// attempt makes the calls with these indices and yields the replies. If it is not the
// last attempt, it returns the calls that may be sent again instead of yielding their
// errors. If no connection can be made, it returns all calls and the error. It returns
// no calls after yield returned false.
func (c *Client) attempt(ctx context.Context, b *attempts, indices []int, last bool) ([]int, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return indices, err
	}
	now := make([]rpc.Call, len(indices))
	for i, index := range indices {
		now[i] = b.calls[index]
	}
	var again []int
	for i, reply := range conn.Stream(ctx, now...) {
		if !last && mayRetry(now[i], reply) {
			again = append(again, indices[i])
			b.sent[indices[i]] = !reply.NotSent
			continue
		}
		if !b.reply(indices[i], reply) {
			return nil, nil
		}
	}
	return again, nil
}

// mayRetry reports whether a call got no reply, may get one on a new connection, and is
// allowed to be sent again.
func mayRetry(call rpc.Call, reply rpc.Reply) bool {
	if reply.Err == nil || !call.Idempotent && !reply.NotSent {
		return false
	}
	_, fault := errors.AsType[*rpc.Fault](reply.Err)
	_, limit := errors.AsType[*rpc.LimitError](reply.Err)
	done := errors.Is(reply.Err, context.Canceled) || errors.Is(reply.Err, context.DeadlineExceeded)
	// A reply that is too large for a datagram would be too large again.
	noDatagram := errors.Is(reply.Err, rpc.ErrNoDatagram)
	return !fault && !limit && !done && !noDatagram
}

// ErrNoMethods is the error of [Client.Methods] if the reply to system.listMethods
// contains no names.
var ErrNoMethods = errors.New("system.listMethods returned no method names")

// Methods returns the names of the server's RPC methods, from system.listMethods. They
// do not change until Kamailio restarts, so over a BINRPC stream Methods calls
// system.listMethods once per connection. Over other transports, which do not show a
// restart, it does so each time. asked reports whether it called the server and got a
// reply, which may be a fault. The error is that of the reply, or [ErrNoMethods]. If ctx
// has no deadline, Methods may block until Kamailio replies or the connection is closed.
// The caller may change the slice.
func (c *Client) Methods(ctx context.Context) (methods []string, asked bool, err error) {
	if known := c.knownMethods(); known != nil {
		return slices.Clone(known), false, nil
	}
	for _, reply := range c.Stream(ctx, rpc.Call{Method: "system.listMethods", Idempotent: true}) {
		asked, err = !reply.Received.IsZero(), reply.Err
		for name := range reply.Value.Rows() {
			if name.Text() != "" {
				methods = append(methods, name.Text())
			}
		}
	}
	if err == nil && len(methods) == 0 {
		err = ErrNoMethods
	}
	if err == nil {
		c.remember(methods)
	}
	return methods, asked, err
}

// remember stores the methods until the connection is closed, if it is a BINRPC stream.
func (c *Client) remember(methods []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, stream := c.conn.(*binrpc.Conn); stream {
		c.methods = slices.Clone(methods)
	}
}

// knownMethods returns the stored methods, nil if there are none.
func (c *Client) knownMethods() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || !c.conn.Usable() {
		return nil
	}
	return c.methods
}
