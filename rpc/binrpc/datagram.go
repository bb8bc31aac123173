package binrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/datagram"
)

// Datagram is a client of ctl over a datagram socket: unix datagram or UDP. It
// is a [rpc.Client] that lives as long as its socket does.
//
// It asks one call after another, since ctl drops replies that do not fit the
// reader's queue. A reply may come in several datagrams, of which only the first
// has a header; one that is too large for the socket never comes (ctl sends
// pieces of at most 65,535 bytes, a unix socket takes about 200 KB at once), so
// streams are the better choice where a server offers both. Each call may take
// half of the time that is left, so that one that is never answered does not
// cost the others their turn.
type Datagram struct {
	network, address string
	options          Options
	turn             chan struct{} // holds a token while a batch is under way
	cookie           uint32        // owned, like buf, by whoever has the turn
	buf              []byte

	mu     sync.Mutex
	socket net.Conn
	closed bool
}

// largestDatagram is as large as any that ctl sends (DGRAM_BUF_SIZE in its
// io_listener.c).
const largestDatagram = 65535

// DialDatagram opens a socket towards a datagram socket of ctl; network is
// "unixgram" or "udp". It sends nothing, so for UDP it is no sign that a server
// is there.
func DialDatagram(ctx context.Context, network, address string, options Options) (*Datagram, error) {
	socket, err := datagram.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &Datagram{
		network: network,
		address: address,
		options: options.withDefaults(),
		turn:    make(chan struct{}, 1),
		cookie:  rand.Uint32(),
		socket:  socket,
		buf:     make([]byte, largestDatagram+1),
	}, nil
}

// Usable tells whether the socket can take a batch.
func (d *Datagram) Usable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

// Close closes the socket. A call under way fails with rpc.ErrClosed, and so do
// those that wait for it. It may be called again.
func (d *Datagram) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.socket.Close()
}

// Call implements [rpc.Client]. When ctx ends while a call is under way, the
// socket is closed.
func (d *Datagram) Call(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	return func(yield func(int, rpc.Reply) bool) {
		select {
		case d.turn <- struct{}{}:
			defer func() { <-d.turn }()
		case <-ctx.Done():
			yieldError(yield, unanswered(len(calls)), ctx.Err())
			return
		}
		for i, call := range calls {
			if !yield(i, d.one(ctx, call)) {
				return
			}
		}
	}
}

// one makes one call.
func (d *Datagram) one(ctx context.Context, call rpc.Call) rpc.Reply {
	if err := ctx.Err(); err != nil {
		return rpc.Reply{Err: err}
	}
	socket, err := d.current()
	if err != nil {
		return rpc.Reply{Err: err}
	}
	d.cookie++
	request, err := AppendRequest(nil, d.cookie, call)
	if err != nil {
		return rpc.Reply{Err: err}
	}
	reply, err := d.exchange(ctx, socket, request)
	switch {
	case err == nil:
		return reply
	case ctx.Err() != nil:
		_ = d.Close()
		return rpc.Reply{Err: ctx.Err()}
	case !d.Usable():
		return rpc.Reply{Err: rpc.ErrClosed}
	}
	// What may still come must not be taken for the answer to another call.
	if reopenErr := d.reopen(ctx); reopenErr != nil {
		_ = d.Close()
	}
	return rpc.Reply{Err: err}
}

func (d *Datagram) current() (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, rpc.ErrClosed
	}
	return d.socket, nil
}

func (d *Datagram) reopen(ctx context.Context) error {
	socket, err := datagram.Dial(ctx, d.network, d.address)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return socket.Close()
	}
	_ = d.socket.Close()
	d.socket = socket
	return nil
}

// exchange sends a request and reads its reply.
func (d *Datagram) exchange(ctx context.Context, socket net.Conn, request []byte) (rpc.Reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends what waits below
	deadline := time.Time{}
	if end, ok := ctx.Deadline(); ok {
		deadline = time.Now().Add(time.Until(end) / 2)
	}
	h, records, err := d.ask(socket, request, deadline)
	if !stop() { // the socket is closed, or will be
		return rpc.Reply{}, ctx.Err()
	}
	if err != nil {
		return rpc.Reply{}, err
	}
	p := packet{header: h}
	p.value, err = parseRecords(records, d.options.Limits)
	p.wrong = behindHeader(h, err)
	reply := p.reply(time.Now())
	if spoiled(reply.Err) {
		return rpc.Reply{}, reply.Err
	}
	return reply, nil
}

func (d *Datagram) ask(socket net.Conn, request []byte, deadline time.Time) (header, []byte, error) {
	if err := socket.SetDeadline(deadline); err != nil {
		return header{}, nil, err
	}
	if _, err := socket.Write(request); err != nil {
		return header{}, nil, err
	}
	return d.readReply(socket, deadline)
}

// readReply reads the reply to the last request: datagrams until one starts
// with its header, then as many as the header says.
func (d *Datagram) readReply(socket net.Conn, deadline time.Time) (header, []byte, error) {
	var h header
	var records bytes.Buffer
	for {
		n, err := socket.Read(d.buf)
		if err != nil {
			return h, nil, err
		}
		h, err = parseHeader(d.buf[:n])
		if err == nil && h.cookie == d.cookie {
			records.Write(d.buf[h.size:n])
			break
		}
		if _, foreign := errors.AsType[*SyntaxError](err); foreign || errors.Is(err, io.ErrUnexpectedEOF) {
			return h, nil, err
		}
		// A reply to somebody who had this address before: not ours.
	}
	if h.length > d.options.Limits.Size {
		return h, nil, &rpc.LimitError{What: "bytes", Limit: d.options.Limits.Size}
	}
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
