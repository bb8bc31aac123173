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
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/batch"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
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
// but the last may take half of the time that is left, so that one without a reply
// leaves time for the others.
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
type exchange func(ctx context.Context, request []byte, id uint64, allowed budget.Allowance) (reply []byte, sent bool, err error)

func newClient(options Options, exchange exchange, end func()) *Client {
	return &Client{exchange: exchange, limits: options.Limits.WithDefaults(), turn: make(chan struct{}, 1), end: end}
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
		b := budget.Of(ctx, c.limits)
		for i, call := range calls {
			if !yield(i, c.one(ctx, call, len(calls)-i, b)) {
				return
			}
		}
	}
}

// one makes one call, the first of those that are left.
func (c *Client) one(ctx context.Context, call rpc.Call, left int, b *budget.Budget) rpc.Reply {
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
	allowed := b.Next()
	body, sent, err := c.exchange(share, request, id, allowed)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: !sent}
	}
	received := time.Now()
	message, values, err := parseReply(body, id, allowed)
	b.Spend(len(body), values) // a fault and what cannot be read cost memory too
	_, syntax := errors.AsType[*SyntaxError](err)
	switch {
	case syntax: // whatever sent this, it is no reply of Kamailio's
		return rpc.Reply{Err: err}
	case err != nil:
		return rpc.Reply{Err: err, Received: received}
	case message.Fault != nil:
		return rpc.Reply{Err: message.Fault, Received: received}
	default:
		return rpc.Reply{Value: message.Value, Received: received}
	}
}

// parseReply decodes the reply to the request with that id. Kamailio copies the id
// into faults too, so that a body without it is no reply of Kamailio's.
func parseReply(body []byte, id uint64, allowed budget.Allowance) (Message, int, error) {
	message, values, err := parse(body, allowed)
	if err == nil && message.ID != id {
		err = &SyntaxError{"the reply is to another request"}
	}
	return message, values, err
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

// omitEmpty returns the zero Value, which is left out, if there are no parameters.
func omitEmpty(params rpc.Value) rpc.Value {
	if params.Len() == 0 {
		return rpc.Value{}
	}
	return params
}

// NewHTTP makes a client for the URL of a Kamailio whose xhttp module hands
// requests to jsonrpc_dispatch(), such as http://127.0.0.1:5060/RPC. It connects
// when it is used. Redirects are never followed, whatever the http.Client says: a
// call must not reach a server that was not named.
func NewHTTP(url string, options Options) *Client {
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	if options.HTTP != nil {
		client = *options.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := &httpClient{client: &client, url: url}
	return newClient(options, h.exchange, client.CloseIdleConnections)
}

// httpClient sends requests to a URL.
type httpClient struct {
	client *http.Client
	url    string
}

func (h *httpClient) exchange(ctx context.Context, body []byte, id uint64, allowed budget.Allowance) (reply []byte, sent bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent = true },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, false, withoutURL(err)
	}
	request.Header.Set("Content-Type", "application/json")
	where := withoutQuery(request.URL)
	response, err := h.client.Do(request)
	if err != nil {
		return nil, sent, fmt.Errorf("ask %s: %w", where, withoutURL(err))
	}
	defer response.Body.Close()
	reply, err = readAll(response.Body, allowed)
	if err != nil {
		return nil, sent, fmt.Errorf("read the answer of %s: %w", where, err)
	}
	if response.StatusCode == http.StatusOK {
		return reply, sent, nil
	}
	// A fault's code is the status too, so only the body shows whether it is one.
	_, _, err = parseReply(reply, id, allowed)
	if _, syntax := errors.AsType[*SyntaxError](err); syntax {
		return nil, sent, newStatusError(where, response)
	}
	return reply, sent, nil
}

// withoutURL is an error of package http without the URL, whose query may have a
// password.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*neturl.Error](err); ok {
		return failed.Err
	}
	return err
}

// withoutQuery is a URL that can be shown: a query may have a password.
func withoutQuery(u *neturl.URL) string {
	return (&neturl.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// StatusError is an answer over HTTP that is no JSON-RPC.
type StatusError struct {
	// URL is what was asked, without its query, Status the status line of the answer
	// without its protocol, for example "404 Not Found", and Code the number in it.
	URL, Status string
	Code        int
	// Location is where a redirect leads, without its query; "" if the answer is no
	// redirect.
	Location string
}

func newStatusError(where string, response *http.Response) *StatusError {
	e := &StatusError{URL: where, Status: printable(response.Status), Code: response.StatusCode}
	if location, err := response.Location(); err == nil && e.Code/100 == 3 {
		e.Location = withoutQuery(location)
	}
	return e
}

// printable replaces what a terminal would not show as text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Error says what was answered.
func (e *StatusError) Error() string {
	if e.Location != "" {
		return fmt.Sprintf("%s answered %s, a redirect to %s; redirects are not followed, so the URL must be that of Kamailio itself", e.URL, e.Status, e.Location)
	}
	return fmt.Sprintf("%s answered %s, and not by JSON-RPC", e.URL, e.Status)
}

func readAll(r io.Reader, allowed budget.Allowance) ([]byte, error) {
	reply, err := io.ReadAll(io.LimitReader(r, int64(allowed.Size)+1))
	if err == nil && len(reply) > allowed.Size {
		err = allowed.SizeError()
	}
	return reply, err
}

// NewTCP makes a client for jsonrpcs' TCP socket (its parameter tcp_socket,
// Kamailio 6.0 and newer). Kamailio closes each connection after one reply, so
// there is one for each call.
func NewTCP(address string, options Options) *Client {
	exchange := func(ctx context.Context, request []byte, _ uint64, allowed budget.Allowance) ([]byte, bool, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, false, err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		written, err := conn.Write(request)
		if err != nil {
			return nil, written > 0, contextError(ctx, err)
		}
		reply, err := readAll(conn, allowed)
		return reply, true, contextError(ctx, err)
	}
	return newClient(options, exchange, func() {})
}

// contextError is ctx's error if there is an error and ctx is done, which then is
// the cause.
func contextError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// NewDatagram makes a client for jsonrpcs' datagram socket (its parameter
// dgram_socket); network is "unixgram" or "udp". A reply is one datagram: one that
// is larger than the server's socket takes is never sent, and the call ends with
// [rpc.ErrNoDatagram].
func NewDatagram(network, address string, options Options) *Client {
	d := &datagrams{network: network, address: address}
	return newClient(options, d.exchange, d.close)
}

// datagrams is a datagram socket, made anew after each failure, since what may
// still come must not be taken for the answer to another call.
type datagrams struct {
	network, address string

	mu   sync.Mutex
	conn net.Conn
}

// buffers have room for a datagram: more than a unix socket takes by default, some
// 200 KB.
var buffers = sync.Pool{New: func() any { return make([]byte, 1<<20) }}

func (d *datagrams) exchange(ctx context.Context, request []byte, id uint64, _ budget.Allowance) (reply []byte, sent bool, err error) {
	conn, err := d.open(ctx)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err = conn.Write(request); err != nil { // a datagram is written as a whole or not at all
		d.close()
		return nil, false, contextError(ctx, err)
	}
	reply, err = receive(conn, id)
	if err != nil {
		d.close()
		if err = contextError(ctx, err); errors.Is(err, context.DeadlineExceeded) {
			err = datagram.Timeout(err)
		}
	}
	return reply, true, err
}

// receive reads the reply with that id. Replies to an earlier owner of this address
// are ignored, up to a number.
func receive(conn net.Conn, id uint64) ([]byte, error) {
	buf := buffers.Get().([]byte) //nolint:errcheck // nothing else is in it
	defer buffers.Put(buf)        //nolint:staticcheck // the slice header is small
	for range datagram.MaxForeign {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		var reply struct {
			ID uint64 `json:"id"`
		}
		notJSON := json.Unmarshal(buf[:n], &reply) != nil // the parser says what is wrong
		if notJSON || reply.ID == id {
			return bytes.Clone(buf[:n]), nil
		}
	}
	return nil, datagram.ErrForeign
}

func (d *datagrams) open(ctx context.Context) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		return d.conn, nil
	}
	conn, err := datagram.Dial(ctx, d.network, d.address)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	return conn, nil
}

func (d *datagrams) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}
