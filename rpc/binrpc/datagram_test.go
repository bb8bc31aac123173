package binrpc

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/datagram"
)

// datagramPeer is the datagram socket of a server, which a test controls.
type datagramPeer struct {
	t    testing.TB
	conn net.PacketConn
	from net.Addr // of the last request
}

func newDatagramPeer(t testing.TB, network string, options Options) (*DatagramClient, *datagramPeer) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unixgram" {
		address = filepath.Join(t.TempDir(), "ctl")
	}
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	d := NewDatagram(network, conn.LocalAddr().String(), options)
	t.Cleanup(func() {
		_ = d.Close()
		_ = conn.Close()
	})
	return d, &datagramPeer{t: t, conn: conn}
}

func (p *datagramPeer) request() (uint32, rpc.Call) {
	buf := make([]byte, maxRequest)
	n, from, err := p.conn.ReadFrom(buf)
	if err != nil {
		p.t.Errorf("read a request: %v", err)
		return 0, rpc.Call{}
	}
	p.from = from
	message, err := Parse(buf[:n], rpc.Limits{})
	if err != nil {
		p.t.Errorf("read a request: %v", err)
	}
	call, err := message.Call()
	if err != nil {
		p.t.Errorf("read a request: %v", err)
	}
	return message.Cookie, call
}

func (p *datagramPeer) send(b []byte) {
	if p.from == nil {
		return // request has reported an error
	}
	if _, err := p.conn.WriteTo(b, p.from); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

func (p *datagramPeer) echo() {
	cookie, call := p.request()
	p.send(reply(p.t, cookie, call.Method))
}

// overBoth runs a test over both kinds of datagram sockets.
func overBoth(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{"unixgram", "udp"} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

func TestDatagramCalls(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		d.cookie = math.MaxUint32 - 1
		play(t, func() {
			p.echo()
			cookie, _ := p.request()
			fault, err := AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: "no"})
			if err != nil {
				t.Error(err)
			}
			p.send(fault)
			p.echo()
		})
		replies := ask(deadline(t), d, "a", "b", "c")
		if fault, ok := errors.AsType[*rpc.Fault](replies[1].Err); !ok || fault.Reason != "no" {
			t.Errorf("got %v, want a fault", replies[1].Err)
		}
		wantTexts(t, []rpc.Reply{replies[0], replies[2]}, "a", "c")
		wantUsable(t, d, true)
	})
}

func TestDatagramReplyInPieces(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		text := strings.Repeat("0123456789", 30)
		play(t, func() {
			for _, size := range []int{7, 30, 100, 1000} {
				cookie, _ := p.request()
				packet := reply(t, cookie, text)
				h, err := parseHeader(packet)
				if err != nil {
					t.Error(err)
				}
				first := h.size + size/2 // the first piece contains the whole header
				p.send(packet[:min(first, len(packet))])
				for at := first; at < len(packet); at += size {
					p.send(packet[at:min(at+size, len(packet))])
				}
			}
		})
		wantTexts(t, ask(deadline(t), d, "a", "b", "c", "d"), text, text, text, text)
	})
}

func TestDatagramStaleReplies(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		play(t, func() {
			cookie, _ := p.request()
			p.send(reply(t, cookie-1, "earlier reply"))
			p.send(reply(t, cookie+1, "later reply"))
			p.send(reply(t, cookie, "a"))
		})
		wantTexts(t, ask(deadline(t), d, "a"), "a")
	})
}

func TestDatagramMissingReply(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		play(t, func() {
			p.echo()
			late, _ := p.request()
			old := p.from
			p.echo()
			if p.from.String() == old.String() {
				t.Error("the client reused its address after a call without a reply")
			}
			p.send(reply(t, late, "too late"))
			p.echo()
		})
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		replies := ask(ctx, d, "a", "b", "c", "d")
		wantTexts(t, []rpc.Reply{replies[0], replies[2], replies[3]}, "a", "c", "d")
		wantError(t, replies[1:2], os.ErrDeadlineExceeded)
		wantUsable(t, d, true)
	})
}

// recorder is a connection that records how it is used.
type recorder struct {
	net.Conn
	deadlines []time.Time
	closed    int // number of calls of Close
}

func (r *recorder) SetDeadline(end time.Time) error {
	r.deadlines = append(r.deadlines, end)
	return r.Conn.SetDeadline(end)
}

func (r *recorder) Close() error {
	r.closed++
	return r.Conn.Close()
}

// TestDatagramShares checks that the last call of a batch may take all of the time, and earlier ones half of the rest.
func TestDatagramShares(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	socket, err := datagram.Dial(deadline(t), "unixgram", d.address)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Conn: socket}
	d.socket = r
	play(t, func() {
		for range 3 {
			p.echo()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	wantTexts(t, ask(ctx, d, "a", "b", "c"), "a", "b", "c")
	var shares []time.Duration
	for _, end := range r.deadlines {
		shares = append(shares, time.Until(end).Round(time.Minute))
	}
	if want := []time.Duration{time.Hour / 2, time.Hour / 2, time.Hour}; !slices.Equal(shares, want) {
		t.Errorf("the calls may take %v, want %v", shares, want)
	}
}

// TestDatagramFailedWriteLeavesNothing checks that a call that cannot be sent does not close its socket again when the context ends.
func TestDatagramFailedWriteLeavesNothing(t *testing.T) {
	socket, err := datagram.Dial(deadline(t), "udp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := NewDatagram("udp", "127.0.0.1:1", Options{})
		r := &recorder{Conn: socket}
		d.socket = r
		ctx, cancel := context.WithCancel(t.Context())
		large := rpc.Call{Method: "beyond UDP", Args: []any{strings.Repeat("x", 65500)}}
		wantError(t, d.Do(ctx, large), syscall.EMSGSIZE)
		cancel()
		synctest.Wait()
		if r.closed != 1 {
			t.Errorf("the socket was closed %d times, want 1", r.closed)
		}
	})
}

func TestDatagramStall(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{Stall: 50 * time.Millisecond})
	d.cookie = 5
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, "half of it")[:9])
		p.echo()
	})
	replies := ask(deadline(t), d, "a", "b")
	stall, ok := errors.AsType[*StallError](replies[0].Err)
	if !ok || *stall != (StallError{9, 17, 50 * time.Millisecond}) {
		t.Errorf("got %v, want a StallError", replies[0].Err)
	}
	wantTexts(t, replies[1:], "b")
}

func TestDatagramSlowReplyEndsAtDeadline(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{Stall: time.Minute})
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, "complete"))
		cookie, _ = p.request()
		p.send(appendHeader(nil, KindReply, 60000, cookie))
		for ctx.Err() == nil { // until the client closes its socket
			time.Sleep(10 * time.Millisecond)
			if _, err := p.conn.WriteTo([]byte{0}, p.from); err != nil {
				break
			}
		}
		p.echo()
	})
	replies := ask(ctx, d, "a", "b", "c")
	if _, ok := errors.AsType[*StallError](replies[1].Err); !ok {
		t.Errorf("got %v, want a StallError", replies[1].Err)
	}
	wantTexts(t, replies[2:], "c")
}

func TestDatagramBadReplies(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(p *datagramPeer, cookie uint32)
		want string
	}{
		{"garbage", func(p *datagramPeer, _ uint32) { p.send([]byte("garbage")) }, "0x67 instead of 0xa1"},
		{"an empty datagram", func(p *datagramPeer, _ uint32) { p.send(nil) }, "EOF"},
		{"half a header", func(p *datagramPeer, _ uint32) { p.send([]byte{0xa1, 0x10}) }, "EOF"},
		{"more than its length", func(p *datagramPeer, cookie uint32) { p.send(append(reply(p.t, cookie, "x"), 0)) }, "1 bytes after the packet at byte 7"},
		{"bad records", func(p *datagramPeer, cookie uint32) {
			p.send(append(appendHeader(nil, KindReply, 1, cookie), 0x83))
		}, "the end of a struct"},
		{"over the limit", func(p *datagramPeer, cookie uint32) { p.send(appendHeader(nil, KindReply, 101, cookie)) }, "limit of 100 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, p := newDatagramPeer(t, "unixgram", Options{Limits: rpc.Limits{Size: 100}})
			d.cookie = 5 // the next one has one byte
			play(t, func() {
				cookie, _ := p.request()
				test.send(p, cookie)
				old := p.from
				p.echo()
				if p.from.String() == old.String() {
					t.Error("the client reused its address after an invalid reply")
				}
			})
			replies := ask(deadline(t), d, "a", "b")
			if err := replies[0].Err; err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			wantTexts(t, replies[1:], "b")
		})
	}
}

func TestDatagramReplyExceedsValuesLimit(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{Limits: rpc.Limits{Values: 1}})
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, 1, 2))
		old := p.from
		p.echo()
		if p.from.String() != old.String() {
			t.Error("the client changed its address after a complete reply")
		}
	})
	replies := ask(deadline(t), d, "a", "b")
	if _, ok := errors.AsType[*rpc.LimitError](replies[0].Err); !ok {
		t.Errorf("got %v, want a rpc.LimitError", replies[0].Err)
	}
	wantTexts(t, replies[1:], "b")
}

func TestDatagramConnectionRefused(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		_ = p.conn.Close()
		start := time.Now()
		replies := ask(deadline(t), d, "a")
		if time.Since(start) > patience/4 {
			t.Error("the call waited for its deadline instead of failing at once")
		}
		if network == "udp" { // reported by ICMP
			wantError(t, replies, syscall.ECONNREFUSED)
			return
		}
		if replies[0].Err == nil {
			t.Error("got a reply from a closed socket")
		}
	})
}

func TestDatagramServerRestarts(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	path := p.conn.LocalAddr().String()
	play(t, p.echo)
	wantTexts(t, ask(deadline(t), d, "a"), "a")
	_ = p.conn.Close()
	_ = os.Remove(path)
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fresh := &datagramPeer{t: t, conn: conn}
	var done sync.WaitGroup
	done.Go(fresh.echo)
	replies := ask(deadline(t), d, "b", "c")
	done.Wait()
	if replies[0].Err == nil {
		t.Error("got a reply from a server that has ended")
	}
	wantTexts(t, replies[1:], "c")
}

func TestDatagramCancel(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	ctx, cancel := context.WithCancel(context.Background())
	play(t, func() {
		p.echo()
		p.request()
		old := p.from
		cancel()
		p.echo()
		if p.from.String() == old.String() {
			t.Error("the client reused its address after a canceled call")
		}
	})
	replies := ask(ctx, d, "a", "b", "c")
	wantTexts(t, replies[:1], "a")
	wantError(t, replies[1:], context.Canceled)
	for i, sent := range map[int]bool{1: true, 2: false} {
		if errors.Is(replies[i].Err, rpc.ErrNoDatagram) != sent || replies[i].NotSent == sent {
			t.Errorf("call %d: got %+v, sent: %t", i, replies[i], sent)
		}
	}
	wantTexts(t, ask(deadline(t), d, "d"), "d")
}

func TestDatagramCancelWhileWaitingForAnotherBatch(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	var first []rpc.Reply
	var done sync.WaitGroup
	done.Go(func() { first = ask(deadline(t), d, "a") })
	cookie, _ := p.request() // the other batch is in progress
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, ask(ctx, d, "b", "c"), context.Canceled)
	p.send(reply(t, cookie, "a"))
	done.Wait()
	wantTexts(t, first, "a")
	wantUsable(t, d, true)
}

func TestDatagramCanceledContext(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, ask(ctx, d, "a"), context.Canceled)
	wantUsable(t, d, true)
	play(t, p.echo)
	wantTexts(t, ask(deadline(t), d, "b"), "b")
}

func TestDatagramBreakFromLoop(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	play(t, func() {
		p.echo()
		p.echo()
	})
	for range d.Stream(deadline(t), calls("a", "b")...) {
		break
	}
	wantUsable(t, d, true)
	wantTexts(t, ask(deadline(t), d, "c"), "c") // b was never sent
}

func TestDatagramClose(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		d, _ := newDatagramPeer(t, "unixgram", Options{})
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		wantUsable(t, d, false)
		wantError(t, ask(deadline(t), d, "a"), rpc.ErrClosed)
	})
	t.Run("during a call without a deadline", func(t *testing.T) {
		d, p := newDatagramPeer(t, "unixgram", Options{})
		play(t, func() {
			p.request()
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		wantError(t, ask(context.Background(), d, "a", "b"), rpc.ErrClosed)
	})
	t.Run("in the loop", func(t *testing.T) {
		d, p := newDatagramPeer(t, "unixgram", Options{})
		play(t, p.echo)
		var last rpc.Reply
		for _, last = range d.Stream(deadline(t), calls("a", "b")...) {
			_ = d.Close()
		}
		wantError(t, []rpc.Reply{last}, rpc.ErrClosed)
	})
}

func TestDatagramCallsThatCannotBeEncodedOrSent(t *testing.T) {
	d, p := newDatagramPeer(t, "udp", Options{})
	play(t, p.echo)
	replies := d.Do(deadline(t),
		rpc.Call{Method: "bad", Args: []any{make(chan int)}},
		rpc.Call{Method: "large", Args: []any{strings.Repeat("x", 65535)}},
		rpc.Call{Method: "beyond UDP", Args: []any{strings.Repeat("x", 65500)}},
		rpc.Call{Method: "a"},
	)
	for i, reply := range replies[:2] {
		if reply.Err == nil {
			t.Errorf("call %d: got a reply, want an error", i)
		}
	}
	wantError(t, replies[2:3], syscall.EMSGSIZE)
	wantTexts(t, replies[3:], "a")
}

// TestDatagramFloodOfUnrelatedReplies has a server that sends replies to other requests
// until the client closes its socket, which it must do long before the deadline.
func TestDatagramFloodOfUnrelatedReplies(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{})
	sent := make(chan int, 1)
	go func() {
		cookie, _ := p.request()
		unrelated := reply(t, cookie+1000, "unrelated")
		n := 0
		for ; n < 1_000_000; n++ { // until the client closes its socket
			if _, err := p.conn.WriteTo(unrelated, p.from); err != nil {
				break
			}
		}
		sent <- n
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	replies := ask(ctx, d, "a")
	if err := replies[0].Err; !errors.Is(err, datagram.ErrUnrelated) || ctx.Err() != nil {
		t.Errorf("got %v with the context's error %v, want ErrUnrelated", err, ctx.Err())
	}
	if n := <-sent; n == 1_000_000 {
		t.Error("the client did not close its socket")
	}
}

func TestDatagramTimeoutIsErrNoDatagram(t *testing.T) {
	overBoth(t, func(t *testing.T, network string) {
		d, p := newDatagramPeer(t, network, Options{})
		play(t, func() {
			p.request()
			p.request()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for i, reply := range ask(ctx, d, "a", "b") {
			timeout, isTimeout := errors.AsType[net.Error](reply.Err)
			if !errors.Is(reply.Err, rpc.ErrNoDatagram) || !isTimeout || !timeout.Timeout() || reply.NotSent {
				t.Errorf("call %d: got %+v", i, reply)
			}
		}
	})
}

func TestDatagramNotSent(t *testing.T) {
	d := NewDatagram("unixgram", t.TempDir()+"/none", Options{})
	defer d.Close()
	for i, reply := range ask(deadline(t), d, "a", "b") {
		if !errors.Is(reply.Err, fs.ErrNotExist) || !reply.NotSent {
			t.Errorf("call %d: got %+v", i, reply)
		}
	}
}

func TestDatagramBatchLimits(t *testing.T) {
	d, p := newDatagramPeer(t, "unixgram", Options{Limits: rpc.Limits{TotalSize: 1000}})
	rest := strings.Repeat("x", 1000-604-4) // a string of this length takes four bytes more
	play(t, func() {
		for range 3 {
			cookie, call := p.request()
			p.send(reply(t, cookie, map[string]string{"large": strings.Repeat("x", 600), "rest": rest}[call.Method]))
		}
	})
	replies := ask(deadline(t), d, "large", "large", "rest")
	if limit, ok := errors.AsType[*rpc.LimitError](replies[1].Err); !ok || limit.What != "bytes in all replies of a batch" || limit.Limit != 1000 {
		t.Errorf("got %v", replies[1].Err)
	}
	wantTexts(t, replies[2:], rest)
}
