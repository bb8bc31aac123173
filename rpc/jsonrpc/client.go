package jsonrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptrace"
	neturl "net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/batch"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/datagram"
)

// Options are the settings of a client. The zero Options are good.
type Options struct {
	// Limits bound what a reply may cost.
	Limits rpc.Limits
	// HTTP is used by [NewHTTP] alone: certificates and credentials belong to it.
	// Nil means one without either.
	HTTP *http.Client
}

// Client calls methods by JSON-RPC, one after another: Kamailio does not support
// batches of them. It is a [rpc.Client], and may be used concurrently. Each call
// may take half of the time that is left, so that one without a reply leaves
// time for the others.
type Client struct {
	exchange exchange
	limits   rpc.Limits
	ids      atomic.Uint64
	closed   atomic.Bool
	turn     chan struct{} // holds a token while a batch is under way
	end      func()
}

// exchange sends a request and returns the whole reply to it. If it fails, sent
// reports whether a byte of the request may have been written.
type exchange func(ctx context.Context, request []byte, id uint64) (reply []byte, sent bool, err error)

func newClient(limits rpc.Limits, exchange exchange, end func()) *Client {
	return &Client{exchange: exchange, limits: limits.WithDefaults(), turn: make(chan struct{}, 1), end: end}
}

// Usable reports whether the client can make calls: it can until Close.
func (c *Client) Usable() bool { return !c.closed.Load() }

// Close closes the connections. Calls after it fail with [rpc.ErrClosed]. It may
// be called again.
func (c *Client) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.end()
	}
	return nil
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
		for i, call := range calls {
			if !yield(i, c.one(ctx, call, len(calls)-i)) {
				return
			}
		}
	}
}

// one makes one call, the first of those that are left.
func (c *Client) one(ctx context.Context, call rpc.Call, left int) rpc.Reply {
	if err := ctx.Err(); err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	if !c.Usable() {
		return rpc.Reply{Err: rpc.ErrClosed, NotSent: true}
	}
	id := c.ids.Add(1)
	request, err := appendRequest(id, call)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	share, cancel := withShare(ctx, left)
	defer cancel()
	body, sent, err := c.exchange(share, request, id)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return rpc.Reply{Err: err, NotSent: !sent}
	}
	return c.reply(body, id)
}

// reply is what the body of a reply says to the call with that id.
func (c *Client) reply(body []byte, id uint64) rpc.Reply {
	received := time.Now()
	message, err := Parse(body, c.limits)
	_, syntax := errors.AsType[*SyntaxError](err)
	switch {
	case syntax: // whatever sent this, it is no reply
		return rpc.Reply{Err: err}
	case err != nil:
		return rpc.Reply{Err: err, Received: received}
	case message.Fault != nil:
		return rpc.Reply{Err: message.Fault, Received: received}
	case message.ID != id:
		return rpc.Reply{Err: &SyntaxError{"the reply is to another request"}}
	default:
		return rpc.Reply{Value: message.Value, Received: received}
	}
}

func withShare(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || left == 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// appendRequest makes a request.
func appendRequest(id uint64, call rpc.Call) ([]byte, error) {
	params, err := rpc.ValueOf(call.Args)
	if err != nil {
		return nil, fmt.Errorf("the request %s: %w", call.Method, err)
	}
	return json.Marshal(struct {
		Version string    `json:"jsonrpc"`
		Method  string    `json:"method"`
		Params  rpc.Value `json:"params,omitzero"`
		ID      uint64    `json:"id"`
	}{"2.0", call.Method, omitEmpty(params), id})
}

// omitEmpty is the zero Value, which is left out, where there are no parameters.
func omitEmpty(params rpc.Value) rpc.Value {
	if params.Len() == 0 {
		return rpc.Value{}
	}
	return params
}

// NewHTTP makes a client for the URL of a Kamailio whose xhttp module hands
// requests to jsonrpc_dispatch(), such as http://127.0.0.1:5060/RPC. It connects
// when it is used.
func NewHTTP(url string, options Options) *Client {
	client := options.HTTP
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	}
	limits := options.Limits.WithDefaults()
	return newClient(limits, func(ctx context.Context, request []byte, _ uint64) ([]byte, bool, error) {
		connected := false
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotConn: func(httptrace.GotConnInfo) { connected = true },
		})
		reply, err := post(traced, client, url, request, limits)
		return reply, connected, err
	}, client.CloseIdleConnections)
}

func post(ctx context.Context, client *http.Client, url string, body []byte, limits rpc.Limits) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if failed, ok := errors.AsType[*neturl.Error](err); ok {
		return nil, fmt.Errorf("ask %s: %w", withoutQuery(request.URL), failed.Err)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	reply, err := readAll(response.Body, limits)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", withoutQuery(request.URL), err)
	}
	// A fault's code is the status too, so only the body tells what it is.
	if response.StatusCode != http.StatusOK && !json.Valid(reply) {
		return nil, &StatusError{withoutQuery(request.URL), response.Status, response.StatusCode}
	}
	return reply, nil
}

// withoutQuery is a URL that can be shown: a query may be a password.
func withoutQuery(u *neturl.URL) string {
	return (&neturl.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// StatusError is an answer over HTTP that is no JSON-RPC.
type StatusError struct {
	// URL is what was asked, without its query, Status the answer's, Code the number in it.
	URL, Status string
	Code        int
}

// Error says what was answered.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %s, and not by JSON-RPC", e.URL, e.Status)
}

func readAll(r io.Reader, limits rpc.Limits) ([]byte, error) {
	reply, err := io.ReadAll(io.LimitReader(r, int64(limits.Size)+1))
	if err == nil && len(reply) > limits.Size {
		err = &rpc.LimitError{What: "bytes", Limit: limits.Size}
	}
	return reply, err
}

// NewTCP makes a client for jsonrpcs' TCP socket (its parameter tcp_socket,
// Kamailio 6.0 and newer). Kamailio closes each connection after one reply, so
// there is one for each call.
func NewTCP(address string, options Options) *Client {
	limits := options.Limits.WithDefaults()
	return newClient(limits, func(ctx context.Context, request []byte, _ uint64) ([]byte, bool, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, false, err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		if written, err := conn.Write(request); err != nil {
			return nil, written > 0, err
		}
		reply, err := readAll(conn, limits)
		return reply, true, err
	}, func() {})
}

// NewDatagram makes a client for jsonrpcs' datagram socket (its parameter
// dgram_socket); network is "unixgram" or "udp". A reply is one datagram: one
// that is too large for the socket never comes.
func NewDatagram(network, address string, options Options) *Client {
	d := &datagrams{network: network, address: address}
	return newClient(options.Limits, d.exchange, d.close)
}

// datagrams is a datagram socket, made anew after each failure, since what may
// still come must not be taken for the answer to another call.
type datagrams struct {
	network, address string

	mu   sync.Mutex
	conn net.Conn
}

// largestDatagram is beyond what a unix datagram socket takes by default.
const largestDatagram = 1 << 20

func (d *datagrams) exchange(ctx context.Context, request []byte, id uint64) (reply []byte, sent bool, err error) {
	conn, err := d.open(ctx)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err = conn.Write(request); err == nil { // a datagram is written as a whole or not at all
		sent = true
		reply, err = receive(conn, id)
	}
	if err != nil {
		d.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return reply, sent, err
}

// receive reads the reply with that id.
func receive(conn net.Conn, id uint64) ([]byte, error) {
	buf := make([]byte, largestDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		var reply struct {
			ID uint64 `json:"id"`
		}
		// A reply to somebody who had this address before is not ours.
		if err := json.Unmarshal(buf[:n], &reply); err != nil || reply.ID == id {
			return buf[:n], nil //nolint:nilerr // Parse will say it better
		}
	}
}

func (d *datagrams) open(ctx context.Context) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		return d.conn, nil
	}
	conn, err := datagram.Dial(ctx, d.network, d.address)
	d.conn = conn
	return conn, err
}

func (d *datagrams) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}
