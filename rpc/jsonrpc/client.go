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
	"net/textproto"
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

// Options are the settings of a client. The zero value of each field is its default.
type Options struct {
	// Limits limits the size of replies.
	Limits rpc.Limits
	// HTTP is the HTTP client that [NewHTTP] uses; set certificates and credentials
	// there. Nil means a client without certificates and credentials. Several clients
	// may share it, so [Client.Close] does not close its connections; set
	// IdleConnTimeout of its transport. Other transports ignore it.
	HTTP *http.Client
}

// Client is a client of the Kamailio module jsonrpcs. It is an [rpc.Client], and may
// be used concurrently. It makes one call after another, because Kamailio does not
// support JSON-RPC batches. Each call except the last may take half of the remaining
// time, so that a missing reply leaves time for the other calls.
type Client struct {
	exchange exchange
	limits   rpc.Limits
	ids      atomic.Uint64
	closed   atomic.Bool
	turn     chan struct{} // contains a token while a batch is in progress
	end      func()
}

// exchange sends a request and returns the body of its reply. If it fails, sent
// reports whether a byte of the request may have been written.
type exchange func(ctx context.Context, request []byte, id uint64, allowed budget.Allowance) (reply []byte, sent bool, err error)

func newClient(options Options, exchange exchange, end func()) *Client {
	return &Client{exchange: exchange, limits: options.Limits.WithDefaults(), turn: make(chan struct{}, 1), end: end}
}

// Usable reports whether the client accepts calls, which it does until [Client.Close].
func (c *Client) Usable() bool { return !c.closed.Load() }

// Close closes the connections, except those of [Options.HTTP]. Later calls fail with
// [rpc.ErrClosed]. Close may be called more than once, and always returns nil.
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

// one makes one call, the first of the remaining calls of its batch.
func (c *Client) one(ctx context.Context, call rpc.Call, remaining int, b *budget.Budget) rpc.Reply {
	if err := ctx.Err(); err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	if !c.Usable() {
		return rpc.Reply{Err: rpc.ErrClosed, NotSent: true}
	}
	id := c.ids.Add(1)
	request, err := encodeRequest(id, call)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	share, cancel := withShare(ctx, remaining)
	defer cancel()
	allowed := b.Next()
	body, sent, err := c.exchange(share, request, id, allowed)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: !sent}
	}
	received := time.Now()
	message, values, err := parseReply(body, id, allowed)
	b.Spend(len(body), values) // faults and invalid replies take memory too
	reply := rpc.Reply{Received: received, Size: len(body)}
	_, syntax := errors.AsType[*SyntaxError](err)
	switch {
	case syntax: // not a reply from Kamailio, so Received and Size stay zero
		return rpc.Reply{Err: err}
	case err != nil:
		reply.Err = err
	case message.Fault != nil:
		reply.Err = message.Fault
	default:
		reply.Value = message.Value
	}
	return reply
}

// parseReply decodes the reply to the request with that id. Kamailio copies the id into
// faults too, so a body without it does not come from Kamailio.
func parseReply(body []byte, id uint64, allowed budget.Allowance) (Message, int, error) {
	message, values, err := parse(body, allowed)
	if err == nil && message.ID != id {
		err = &SyntaxError{"the reply is to another request"}
	}
	return message, values, err
}

// withShare returns a context for the first of the remaining calls: it ends after half
// of the time, or with ctx for the last call.
func withShare(ctx context.Context, remaining int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || remaining == 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// encodeRequest returns the JSON of a request.
func encodeRequest(id uint64, call rpc.Call) ([]byte, error) {
	params, err := rpc.ValueOf(call.Args)
	if err != nil {
		return nil, fmt.Errorf("encode the request %s: %w", call.Method, err)
	}
	return json.Marshal(struct {
		Version string    `json:"jsonrpc"`
		Method  string    `json:"method"`
		Params  rpc.Value `json:"params,omitzero"`
		ID      uint64    `json:"id"`
	}{"2.0", call.Method, omitEmpty(params), id})
}

// omitEmpty returns the zero Value, which omitzero omits, if there are no parameters.
func omitEmpty(params rpc.Value) rpc.Value {
	if params.Len() == 0 {
		return rpc.Value{}
	}
	return params
}

// NewHTTP returns a client for a URL at which Kamailio's configuration calls
// jsonrpc_dispatch() for requests to the Kamailio module xhttp, for example
// http://127.0.0.1:5060/RPC. It connects at the first call. It never follows
// redirects, regardless of CheckRedirect in Options.HTTP: a call must not reach
// another server than the one in the URL.
func NewHTTP(url string, options Options) *Client {
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	end := client.CloseIdleConnections
	if options.HTTP != nil {
		client = *options.HTTP
		end = func() {}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := &httpClient{client: &client, url: url}
	return newClient(options, h.exchange, end)
}

// maxInformational is the number of responses with status 1xx that a server may send
// before the reply. Kamailio sends none. Package http limits only their size, which a
// server can use to keep a CPU busy.
const maxInformational = 5

// httpClient sends requests to a URL.
type httpClient struct {
	client *http.Client
	url    string
}

func (h *httpClient) exchange(ctx context.Context, body []byte, id uint64, allowed budget.Allowance) (reply []byte, sent bool, err error) {
	var resolving atomic.Bool // other goroutines use these
	var informational atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:  func(httptrace.GotConnInfo) { sent = true },
		DNSStart: func(httptrace.DNSStartInfo) { resolving.Store(true) },
		DNSDone:  func(done httptrace.DNSDoneInfo) { resolving.Store(done.Err != nil) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			if informational.Add(1) > maxInformational {
				return &SyntaxError{fmt.Sprintf("the server sent more than %d informational responses (1xx)", maxInformational)}
			}
			return nil
		},
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, false, withoutURL(err)
	}
	request.Header.Set("Content-Type", "application/json")
	where := withoutQuery(request.URL)
	response, err := h.client.Do(request)
	if err != nil && ctx.Err() != nil && resolving.Load() {
		return nil, sent, fmt.Errorf("call %s: %w", where, lookupError(request.URL.Hostname(), ctx.Err()))
	}
	if err != nil {
		return nil, sent, fmt.Errorf("call %s: %w", where, withoutURL(err))
	}
	defer response.Body.Close()
	reply, err = readAll(response.Body, allowed)
	if err != nil {
		return nil, sent, fmt.Errorf("read the reply from %s: %w", where, err)
	}
	if response.StatusCode == http.StatusOK {
		return reply, sent, nil
	}
	// Kamailio uses the code of a fault as the HTTP status, so the body decides whether this is a fault.
	_, _, err = parseReply(reply, id, allowed)
	if _, syntax := errors.AsType[*SyntaxError](err); syntax {
		return nil, sent, newStatusError(where, response)
	}
	return reply, sent, nil
}

// lookupError returns the error of a context that ended before the name of a host was resolved. Package http returns only the
// context's error then.
func lookupError(host string, err error) error {
	return &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: host, IsTimeout: errors.Is(err, context.DeadlineExceeded)}
}

// withoutURL returns an error of package http without the URL, because its query may
// contain a password.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*neturl.Error](err); ok {
		return failed.Err
	}
	return err
}

// withoutQuery returns a URL without user and query, which may contain a password.
func withoutQuery(u *neturl.URL) string {
	return (&neturl.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// StatusError is the error of a call whose HTTP response has another status than 200
// and a body that is not JSON-RPC.
type StatusError struct {
	// URL is the URL of the request without its query. Status is the status line of
	// the response without the protocol, for example "404 Not Found"; characters that
	// are not printable are replaced.
	URL, Status string
	// Code is the status code of the response, for example 404.
	Code int
	// Location is the target of a redirect without its query. It is "" if the response
	// is not a redirect.
	Location string
}

func newStatusError(where string, response *http.Response) *StatusError {
	e := &StatusError{URL: where, Status: printable(response.Status), Code: response.StatusCode}
	if location, err := response.Location(); err == nil && e.Code/100 == 3 {
		e.Location = withoutQuery(location)
	}
	return e
}

// printable replaces characters that are not printable, because a terminal could act on
// them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Error returns the URL, the status, and the target of a redirect.
func (e *StatusError) Error() string {
	if e.Location != "" {
		return fmt.Sprintf("%s answered %s, a redirect to %s; redirects are not followed, so use the URL of Kamailio itself", e.URL, e.Status, e.Location)
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

// NewTCP returns a client for the TCP socket of the Kamailio module jsonrpcs (its
// parameter tcp_socket, Kamailio 6.0 and newer); address is host:port. It makes a
// connection for each call, because Kamailio closes it after one reply.
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

// contextError returns ctx's error instead of err if ctx is done and err is not nil,
// because then ctx is the cause of err.
func contextError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// NewDatagram returns a client for the datagram socket of the Kamailio module jsonrpcs
// (its parameter dgram_socket); network is "unixgram" or "udp". It opens a socket at
// the first call. Kamailio sends a reply as one datagram. If the reply is larger than
// its socket accepts, it is not sent, and the call fails with [rpc.ErrNoDatagram].
func NewDatagram(network, address string, options Options) *Client {
	d := &datagrams{network: network, address: address}
	return newClient(options, d.exchange, d.close)
}

// datagrams is a datagram socket. It is replaced after each failure, so that a late
// reply is not taken for the reply to another call.
type datagrams struct {
	network, address string

	mu   sync.Mutex
	conn net.Conn
}

// buffers contains buffers for one datagram. They are larger than a datagram on a unix
// socket, which is at most about 200 KB by default.
var buffers = sync.Pool{New: func() any { return make([]byte, 1<<20) }}

func (d *datagrams) exchange(ctx context.Context, request []byte, id uint64, _ budget.Allowance) (reply []byte, sent bool, err error) {
	conn, err := d.open(ctx)
	if err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err = conn.Write(request); err != nil { // no part of the datagram was sent
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

// receive reads the reply with that id. It ignores up to datagram.MaxUnrelated other
// replies, which are for an earlier owner of the address.
func receive(conn net.Conn, id uint64) ([]byte, error) {
	buf := buffers.Get().([]byte) //nolint:errcheck // all values in the pool have this type
	defer buffers.Put(buf)        //nolint:staticcheck // the slice header is small
	for range datagram.MaxUnrelated {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		var reply struct {
			ID uint64 `json:"id"`
		}
		notJSON := json.Unmarshal(buf[:n], &reply) != nil // the caller's parser reports the error
		if notJSON || reply.ID == id {
			return bytes.Clone(buf[:n]), nil
		}
	}
	return nil, datagram.ErrUnrelated
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
