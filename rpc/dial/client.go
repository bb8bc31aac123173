// Package dial turns the URI of a Kamailio into a client, which keeps one
// connection and makes a new one when it must.
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

// Options are the settings of a client. The zero Options are good.
type Options struct {
	// Limits bound what a reply may cost.
	Limits rpc.Limits
	// Stall is how long a reply over BINRPC may pause; see [binrpc.Options].
	Stall time.Duration
	// HTTP is used for http and https targets: certificates and credentials belong
	// to it. Nil means one without either.
	HTTP *http.Client
}

// Client is a [rpc.Client] for one target. It connects at the first call and keeps
// the connection. It connects again when the server closed the connection, which ctl
// may do after 120 s without a request, or when a reply was not the one that was due.
// A call that got no reply is sent once more, on a new connection and within the same
// context, if no byte of it was written, or if it is Idempotent.
type Client struct {
	target  Target
	options Options
	turn    chan struct{} // holds a token while a batch is under way

	mu      sync.Mutex
	conn    conn
	dialed  uint64   // how many connections were made
	methods []string // of conn; nil if not asked yet
	closed  bool
}

// conn is a connection that can wear out.
type conn interface {
	rpc.Client
	Usable() bool
}

// New makes a client for the target that uri names; see [ParseTarget]. It does
// not connect yet, so the only error is a bad URI.
func New(uri string) (*Client, error) {
	target, err := ParseTarget(uri)
	if err != nil {
		return nil, err
	}
	return NewTarget(target, Options{}), nil
}

// NewTarget makes a client for a target. It does not connect yet.
func NewTarget(target Target, options Options) *Client {
	return &Client{target: target, options: options, turn: make(chan struct{}, 1)}
}

// Target returns what the client connects to.
func (c *Client) Target() Target { return c.target }

// Close closes the connection. Calls after it, and calls that wait for their reply,
// fail with [rpc.ErrClosed]. It may be called again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// connect returns the connection, a new one if there is none that is usable. The
// caller has the turn.
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
		_ = current.Close() // it has failed already
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

// Connection returns a number that changes whenever the client makes a new connection. As long as it is the same, Kamailio has
// not restarted. It returns 0 if there is no connection that would show that: before the first call, after the connection was
// closed, and over datagrams and JSON-RPC.
func (c *Client) Connection() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, stream := c.conn.(*binrpc.Conn); !stream || !c.conn.Usable() {
		return 0
	}
	return c.dialed
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
			defer func() { <-c.turn }()
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
			// The first one may be why the others got no reply: it goes last.
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
	sent  []bool // by an earlier attempt
	yield func(int, rpc.Reply) bool
}

// reply yields the reply to a call.
func (b *attempts) reply(i int, reply rpc.Reply) bool {
	reply.NotSent = reply.NotSent && !b.sent[i]
	return b.yield(i, reply)
}

// attempt makes the calls with these indices, and yields the replies. The calls
// that another attempt may still get a reply to are returned instead, unless this
// is the last; with an error if no connection could be made. After yield returned
// false there is nothing left to do.
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

// mayRetry reports whether a call got no reply, might get one on a new connection,
// and may be sent again.
func mayRetry(call rpc.Call, reply rpc.Reply) bool {
	if reply.Err == nil || !call.Idempotent && !reply.NotSent {
		return false
	}
	_, fault := errors.AsType[*rpc.Fault](reply.Err)
	_, limit := errors.AsType[*rpc.LimitError](reply.Err)
	over := errors.Is(reply.Err, context.Canceled) || errors.Is(reply.Err, context.DeadlineExceeded)
	// A reply that is too large for a datagram would be as large again.
	late := errors.Is(reply.Err, rpc.ErrNoDatagram)
	return !fault && !limit && !over && !late
}

// ErrNoMethods says that a server answered system.listMethods without any names.
var ErrNoMethods = errors.New("system.listMethods named no methods")

// Methods returns the names of the RPC methods that the server has, from
// system.listMethods. They are fixed until Kamailio restarts, so over a stream of
// BINRPC the server is asked once for each connection; over other transports, which
// do not show a restart, each time. asked reports whether the server replied just
// now, a fault included. If ctx has no deadline, Methods may block for as long as
// Kamailio does not reply.
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

// remember keeps the methods as long as the connection lives.
func (c *Client) remember(methods []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, stream := c.conn.(*binrpc.Conn); stream {
		c.methods = slices.Clone(methods)
	}
}

func (c *Client) knownMethods() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || !c.conn.Usable() {
		return nil
	}
	return c.methods
}
