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

// DatagramClient is a client of ctl over a datagram socket: unix datagram or UDP. It
// is an [rpc.Client], and may be used concurrently. It opens a socket at the first
// call, and a new one after each failure, so that a late reply is not taken for the
// reply to another call.
//
// It makes one call after another, because ctl drops replies that do not fit the
// socket's queue. A reply may consist of several datagrams, of which only the first
// has a header. ctl sends pieces of at most 65,535 bytes, and a unix socket holds
// about 200 KB, so a larger reply may not arrive. Prefer a stream socket if the
// server has one. Each call except the last may take half of the remaining time, so
// that a missing reply leaves time for the other calls.
type DatagramClient struct {
	network, address string
	options          Options
	turn             chan struct{} // contains a token while a batch is in progress
	cookie           uint32        // owned by the batch in progress, like buf
	buf              []byte

	mu     sync.Mutex
	socket net.Conn // nil if none is open
	closed bool
}

// largestDatagram is the maximum size in bytes of a datagram from ctl (DGRAM_BUF_SIZE
// in its io_listener.c).
const largestDatagram = 65535

// NewDatagram returns a client for a datagram socket of ctl; network is "unixgram" or
// "udp". It opens no socket, so it does not report whether a server exists.
func NewDatagram(network, address string, options Options) *DatagramClient {
	return &DatagramClient{
		network: network,
		address: address,
		options: options.withDefaults(),
		turn:    make(chan struct{}, 1),
		cookie:  rand.Uint32(),
		buf:     make([]byte, largestDatagram),
	}
}

// Usable reports whether the client accepts calls, which it does until
// [DatagramClient.Close].
func (d *DatagramClient) Usable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

// Close closes the socket. Later calls, and calls that wait for their reply, fail with
// [rpc.ErrClosed]. Close may be called more than once.
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

// one makes one call, the first of the remaining calls of its batch.
func (d *DatagramClient) one(ctx context.Context, call rpc.Call, remaining int, b *budget.Budget) rpc.Reply {
	d.cookie++
	request, err := AppendRequest(nil, d.cookie, call)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	socket, err := d.open(ctx)
	if err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	reply := d.exchange(ctx, socket, request, remaining, b)
	if reply.Received.IsZero() {
		reply.Err = d.abandon(ctx, reply)
	}
	return reply
}

// open returns the open socket, and opens one if there is none.
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

// abandon closes the socket after a call without a reply, and returns the error of the
// call.
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
func (d *DatagramClient) exchange(ctx context.Context, socket net.Conn, request []byte, remaining int, b *budget.Budget) rpc.Reply {
	deadline := time.Time{}
	if end, ok := ctx.Deadline(); ok {
		deadline = end
		if remaining > 1 {
			deadline = time.Now().Add(time.Until(end) / 2)
		}
	}
	if err := socket.SetDeadline(deadline); err != nil {
		return rpc.Reply{Err: err, NotSent: true}
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends the reads and writes below
	if _, err := socket.Write(request); err != nil {              // no part of the datagram was sent
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
	if isSyntaxError(reply.Err) {
		return rpc.Reply{Err: reply.Err}
	}
	return reply
}

// readReply reads the reply to the last request: it ignores datagrams until one starts
// with the header of the reply, and then reads until it has as many bytes as the
// header specifies.
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
		if !deadline.IsZero() { // the deadline applies to a slow reply too
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
		return h, nil, &SyntaxError{h.size + h.length, fmt.Sprintf("%d bytes after the packet", records.Len()-h.length)}
	}
	return h, records.Bytes(), nil
}

// readFirst reads the datagram that starts with the header of the reply to the last
// request, and returns the header and the bytes after it. It ignores up to
// datagram.MaxUnrelated other replies, which are for an earlier owner of the address.
func (d *DatagramClient) readFirst(socket net.Conn) (header, []byte, error) {
	for range datagram.MaxUnrelated {
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
	return header{}, nil, datagram.ErrUnrelated
}
