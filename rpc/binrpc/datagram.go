package binrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/batch"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/datagram"
)

// DatagramClient is a client of ctl over a datagram socket: unix datagram or
// UDP. It is a [rpc.Client], and may be used concurrently. It opens its own socket
// at the first call, and a new one after each failure, since what may still
// arrive must not be taken for the reply to another call.
//
// It makes one call after another, since ctl drops replies that do not fit the
// reader's queue. A reply may come in several datagrams, of which only the first
// has a header; one that is too large for the socket never comes (ctl sends
// pieces of at most 65,535 bytes, a unix socket takes about 200 KB at once), so
// streams are the better choice where a server offers both. Each call but the last
// may take half of the time that is left, so that one without a reply leaves time
// for the others.
type DatagramClient struct {
	network, address string
	options          Options
	turn             chan struct{} // holds a token while a batch is under way
	cookie           uint32        // owned, like buf, by the batch that has the turn
	buf              []byte

	mu     sync.Mutex
	socket net.Conn // nil if none is open
	closed bool
}

// largestDatagram is as large as any that ctl sends (DGRAM_BUF_SIZE in its
// io_listener.c).
const largestDatagram = 65535

// NewDatagram makes a client for a datagram socket of ctl; network is "unixgram"
// or "udp". It does not look whether a server is there.
func NewDatagram(network, address string, options Options) *DatagramClient {
	return &DatagramClient{
		network: network,
		address: address,
		options: options.withDefaults(),
		turn:    make(chan struct{}, 1),
		cookie:  rand.Uint32(),
		buf:     make([]byte, largestDatagram+1),
	}
}

// Usable reports whether the client can make calls: it can until Close.
func (d *DatagramClient) Usable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

// Close closes the socket. A call under way fails with [rpc.ErrClosed], and so do
// those that wait for it. It may be called again.
func (d *DatagramClient) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.closeSocket()
}

// closeSocket closes the socket, if one is open. The caller holds mu.
func (d *DatagramClient) closeSocket() error {
	if d.socket == nil {
		return nil
	}
	err := d.socket.Close()
	d.socket = nil
	return err
}

// Do implements [rpc.Client].
func (d *DatagramClient) Do(ctx context.Context, calls ...rpc.Call) []rpc.Reply {
	return batch.Collect(d.Stream(ctx, calls...), len(calls))
}

// Stream implements [rpc.Client].
func (d *DatagramClient) Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	return func(yield func(int, rpc.Reply) bool) {
		select {
		case d.turn <- struct{}{}:
			defer func() { <-d.turn }()
		case <-ctx.Done():
			batch.Unsent(yield, len(calls), ctx.Err())
			return
		}
		b := budget.Of(ctx, d.options.Limits)
		for i, call := range calls {
			if !yield(i, d.one(ctx, call, len(calls)-i, b)) {
				return
			}
		}
	}
}

// one makes one call, the first of those that are left of its batch.
func (d *DatagramClient) one(ctx context.Context, call rpc.Call, left int, b *budget.Budget) rpc.Reply {
	d.cookie++
	request, err := AppendRequest(nil, d.cookie, call)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	socket, err := d.open(ctx)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	reply := d.exchange(ctx, socket, request, left, b)
	if reply.Received.IsZero() {
		reply.Err = d.abandon(ctx, reply)
	}
	return reply
}

// open returns the open socket, a new one if there is none.
func (d *DatagramClient) open(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	socket, closed := d.socket, d.closed
	d.mu.Unlock()
	if closed {
		return nil, rpc.ErrClosed
	}
	if socket != nil {
		return socket, nil
	}
	socket, err := datagram.Dial(ctx, d.network, d.address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = socket.Close()
		return nil, rpc.ErrClosed
	}
	d.socket = socket
	return socket, nil
}

// abandon closes the socket after a call that got no reply, and returns the error
// to report.
func (d *DatagramClient) abandon(ctx context.Context, reply rpc.Reply) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.closeSocket()
	switch {
	case d.closed && ctx.Err() == nil:
		return rpc.ErrClosed
	case ctx.Err() != nil && reply.NotSent:
		return ctx.Err()
	case ctx.Err() != nil:
		return datagram.Timeout(ctx.Err())
	default:
		return reply.Err
	}
}

// exchange sends a request and reads its reply.
func (d *DatagramClient) exchange(ctx context.Context, socket net.Conn, request []byte, left int, b *budget.Budget) rpc.Reply {
	deadline := time.Time{}
	if end, ok := ctx.Deadline(); ok {
		deadline = end
		if left > 1 {
			deadline = time.Now().Add(time.Until(end) / 2)
		}
	}
	if err := socket.SetDeadline(deadline); err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends what waits below
	if _, err := socket.Write(request); err != nil {              // a datagram is written as a whole or not at all
		stop()
		return rpc.Reply{Err: err, NotSent: true}
	}
	allowed := b.Next()
	h, records, err := d.readReply(socket, deadline, &allowed)
	if !stop() { // the socket is closed, or will be
		return rpc.Reply{Err: ctx.Err()}
	}
	if err != nil {
		return rpc.Reply{Err: err}
	}
	p := packet{header: h}
	p.value, p.values, err = parseRecords(records, &allowed)
	if err == nil {
		b.Spend(h.length, p.values)
	}
	p.wrong = behindHeader(h, err)
	reply := p.reply(time.Now())
	if spoiled(reply.Err) {
		return rpc.Reply{Err: reply.Err}
	}
	return reply
}

// readReply reads the reply to the last request: datagrams until one starts
// with its header, then as many as the header says.
func (d *DatagramClient) readReply(socket net.Conn, deadline time.Time, allowed *budget.Allowance) (header, []byte, error) {
	h, first, err := d.readFirst(socket)
	if err != nil {
		return h, nil, err
	}
	if h.length > allowed.Size {
		return h, nil, allowed.SizeError()
	}
	var records bytes.Buffer
	records.Write(first)
	for records.Len() < h.length {
		stall := d.options.Stall
		if !deadline.IsZero() { // a reply that dribbles must end too
			stall = max(min(stall, time.Until(deadline)), 0)
		}
		if err := socket.SetReadDeadline(time.Now().Add(stall)); err != nil {
			return h, nil, err
		}
		n, err := socket.Read(d.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = &StallError{h.size + records.Len(), h.size + h.length, stall}
		}
		if err != nil {
			return h, nil, err
		}
		records.Write(d.buf[:n])
	}
	if records.Len() > h.length {
		return h, nil, &SyntaxError{h.size + h.length, fmt.Sprintf("%d bytes behind the packet", records.Len()-h.length)}
	}
	return h, records.Bytes(), nil
}

// readFirst reads the datagram that starts with the header of the reply to the
// last request, and returns what is behind the header. Replies to an earlier owner
// of this address are ignored, up to a number.
func (d *DatagramClient) readFirst(socket net.Conn) (header, []byte, error) {
	for range datagram.MaxForeign {
		n, err := socket.Read(d.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = datagram.Timeout(err)
		}
		if err != nil {
			return header{}, nil, err
		}
		h, err := parseHeader(d.buf[:n])
		if err != nil {
			return h, nil, err
		}
		if h.cookie == d.cookie {
			return h, d.buf[h.size:n], nil
		}
	}
	return header{}, nil, datagram.ErrForeign
}
