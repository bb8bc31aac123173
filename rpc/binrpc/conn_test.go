package binrpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
)

// unlimited is what a reply may cost by default.
var unlimited = budget.ForOne(rpc.Limits{}.WithDefaults())

// patience is how long a test waits for what should happen at once.
const patience = 10 * time.Second

// peer is the server's end of a connection, played by a test step by step.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// newPeer connects a Stream to a peer through memory.
func newPeer(t testing.TB, options Options) (*Conn, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	s := NewConn(ours, options)
	t.Cleanup(func() {
		_ = theirs.Close()
		_ = s.Close()
	})
	return s, &peer{t, theirs, bufio.NewReader(theirs)}
}

// newSocketPeer is like newPeer with a socket between the two.
func newSocketPeer(t testing.TB) (*Conn, *peer) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := Dial(deadline(t), "unix", listener.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = s.Close()
	})
	return s, &peer{t, conn, bufio.NewReader(conn)}
}

// request reads one request. It is for the peer's goroutine, so it does not end
// the test.
func (p *peer) request() (uint32, rpc.Call) {
	packet, err := readPacket(p.r, &unlimited, firstChunk, notWaiting)
	if err != nil || packet.wrong != nil {
		p.t.Errorf("read a request: %v, %v", err, packet.wrong)
		return 0, rpc.Call{}
	}
	call, err := Message{packet.kind, packet.cookie, packet.value}.Call()
	if err != nil {
		p.t.Errorf("read a request: %v", err)
	}
	return packet.cookie, call
}

func (p *peer) send(b []byte) {
	if _, err := p.conn.Write(b); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

func reply(t testing.TB, cookie uint32, records ...any) []byte {
	packet, err := AppendReply(nil, cookie, records...)
	if err != nil {
		t.Error(err)
	}
	return packet
}

// echo answers a request with the name of its method.
func (p *peer) echo() {
	cookie, call := p.request()
	p.send(reply(p.t, cookie, call.Method))
}

// play runs the peer's part of a test beside it, and waits for its end.
func play(t testing.TB, part func()) {
	var done sync.WaitGroup
	done.Go(part)
	t.Cleanup(done.Wait)
}

func calls(methods ...string) []rpc.Call {
	var all []rpc.Call
	for _, method := range methods {
		all = append(all, rpc.Call{Method: method})
	}
	return all
}

func ask(ctx context.Context, client rpc.Client, methods ...string) []rpc.Reply {
	return client.Do(ctx, calls(methods...)...)
}

// wantTexts checks that every call was answered with its text.
func wantTexts(t *testing.T, replies []rpc.Reply, want ...string) {
	t.Helper()
	for i, reply := range replies {
		if reply.Err != nil || reply.Value.Text() != want[i] {
			t.Errorf("reply %d: got %v, %v; want %q", i, reply.Value, reply.Err, want[i])
		}
	}
	if len(replies) != len(want) {
		t.Errorf("%d replies, want %d", len(replies), len(want))
	}
}

// wantError checks that none of the calls was answered, for that reason.
func wantError(t *testing.T, replies []rpc.Reply, want error) {
	t.Helper()
	for i, reply := range replies {
		if !errors.Is(reply.Err, want) || reply.Value.Exists() {
			t.Errorf("reply %d: got %v, %v; want the error %v", i, reply.Value, reply.Err, want)
		}
	}
}

func wantUsable(t *testing.T, client interface{ Usable() bool }, want bool) {
	t.Helper()
	if client.Usable() != want {
		t.Errorf("usable is %v, want %v", !want, want)
	}
}

// deadline is a context that ends a test that hangs.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// waitFor waits for a channel to be closed.
func waitFor(t testing.TB, what string, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatalf("%s: it did not happen", what)
	}
}

func TestConnSendsAllRequestsFirst(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, func() {
		var replies []byte
		for range 3 {
			cookie, call := p.request()
			replies = append(replies, reply(t, cookie, call.Method)...)
		}
		p.send(replies)
	})
	wantTexts(t, ask(deadline(t), s, "a", "b", "c"), "a", "b", "c")
	wantUsable(t, s, true)
}

func TestConnYieldsRepliesAsTheyArrive(t *testing.T) {
	s, p := newPeer(t, Options{})
	first := make(chan struct{})
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, "a"))
		waitFor(t, "the first reply", first)
		p.echo()
	})
	var got []int
	for i := range s.Stream(deadline(t), calls("a", "b")...) {
		if i == 0 {
			close(first)
		}
		got = append(got, i)
	}
	if !slices.Equal(got, []int{0, 1}) {
		t.Errorf("yielded %v", got)
	}
}

func TestConnReadsWhileNobodyListens(t *testing.T) {
	s, p := newPeer(t, Options{})
	sent := make(chan struct{})
	play(t, func() {
		p.echo()
		cookie, _ := p.request()
		p.send(reply(t, cookie, strings.Repeat("x", 1<<20))) // a pipe has no buffer
		close(sent)
	})
	for i, reply := range s.Stream(deadline(t), calls("a", "large")...) {
		waitFor(t, "the second reply is taken in", sent)
		if reply.Err != nil || i == 1 && len(reply.Value.Text()) != 1<<20 {
			t.Errorf("reply %d: %v", i, reply.Err)
		}
	}
}

func TestConnReplySplitAtEveryByte(t *testing.T) {
	s, p := newPeer(t, Options{})
	records := []any{rpc.Members{{Name: "a", Value: -1}, {Name: "b", Value: 1.5}}, "text of more than eight bytes"}
	size := len(reply(t, math.MaxUint32, records...))
	s.cookie = math.MaxUint32 / 2 // so that all cookies have four bytes
	play(t, func() {
		for i := range size {
			cookie, _ := p.request()
			packet := reply(t, cookie, records...)
			p.send(packet[:i])
			p.send(packet[i:])
		}
		cookie, _ := p.request()
		for _, c := range reply(t, cookie, records...) {
			p.send([]byte{c})
		}
	})
	want := value(t, records...)
	for range size + 1 {
		got, err := rpc.One(deadline(t), s, "m")
		if err != nil || !sameValue(got, want) {
			t.Fatalf("got %v, %v; want %v", got, err, want)
		}
	}
}

func TestConnCookies(t *testing.T) {
	// The counter wraps, and cookies have one to four bytes.
	for _, start := range []uint32{math.MaxUint32 - 1, math.MaxUint32, 0xfe, 0xfffe, 0xfffffe} {
		s, p := newPeer(t, Options{})
		s.cookie = start
		play(t, func() {
			for range 4 {
				p.echo()
			}
		})
		wantTexts(t, ask(deadline(t), s, "a", "b", "c", "d"), "a", "b", "c", "d")
	}
}

func TestConnComparesCookiesAsNumbers(t *testing.T) {
	s, p := newPeer(t, Options{})
	s.cookie = 6
	play(t, func() {
		p.request()
		p.send([]byte{0xa1, 0x13, 2, 0, 0, 0, 7, 0x10, 5}) // 7 in four bytes
	})
	if got, err := rpc.One(deadline(t), s, "m"); err != nil || got.String() != "5" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestConnFaultsAndEmptyReplies(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, func() {
		cookie, _ := p.request()
		fault, err := AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: "command a not found"})
		if err != nil {
			t.Error(err)
		}
		p.send(fault)
		cookie, _ = p.request()
		p.send(reply(t, cookie))
		p.echo()
	})
	replies := ask(deadline(t), s, "a", "b", "c")
	fault, ok := errors.AsType[*rpc.Fault](replies[0].Err)
	if !ok || fault.Code != 500 || !fault.NoSuchMethod() {
		t.Errorf("got %v, want a fault", replies[0].Err)
	}
	if replies[1].Err != nil || replies[1].Value.Kind() != rpc.KindArray || replies[1].Value.Len() != 0 {
		t.Errorf("got %v, %v; want an empty array", replies[1].Value, replies[1].Err)
	}
	for i, reply := range replies {
		if time.Since(reply.Received) > patience {
			t.Errorf("reply %d was received at %v", i, reply.Received)
		}
	}
	wantTexts(t, replies[2:], "c")
	wantUsable(t, s, true)
}

func TestConnReplyThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			p.echo()
			p.request()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		replies := ask(ctx, s, "a", "b")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v, want 3 s", took)
		}
		wantTexts(t, replies[:1], "a")
		wantError(t, replies[1:], context.DeadlineExceeded)
		wantUsable(t, s, false)
		wantError(t, ask(t.Context(), s, "c"), rpc.ErrClosed)
	})
}

func TestConnStall(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		timeout time.Duration
		sent    int
		want    StallError
	}{
		{"in the records", Options{}, time.Minute, 20, StallError{20, 36, time.Second}},
		{"in the header", Options{}, time.Minute, 2, StallError{2, 4, time.Second}},
		{"in a header that is longer", Options{}, time.Minute, 5, StallError{5, 7, time.Second}},
		{"after the header", Options{}, time.Minute, 7, StallError{7, 36, time.Second}},
		{"with a choice of one's own", Options{Stall: 3 * time.Second}, time.Minute, 20, StallError{20, 36, 3 * time.Second}},
		{"with little time left", Options{}, time.Second, 20, StallError{20, 36, time.Second / 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newPeer(t, test.options)
				s.cookie = math.MaxUint32 - 5
				play(t, func() {
					p.echo() // leaves a buffer in the pool
					p.request()
					p.request()
					p.send(reply(t, math.MaxUint32-3, "text of twenty-six bytes..")[:test.sent])
				})
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				start := time.Now()
				replies := ask(ctx, s, "a", "b", "c")
				if took := time.Since(start); took != test.want.After {
					t.Errorf("it took %v, want %v", took, test.want.After)
				}
				wantTexts(t, replies[:1], "a")
				for _, reply := range replies[1:] {
					stall, ok := errors.AsType[*StallError](reply.Err)
					if !ok || *stall != test.want {
						t.Errorf("got %v, want %+v", reply.Err, test.want)
					}
				}
				wantUsable(t, s, false)
			})
		})
	}
}

func TestConnPausesThatAreNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			time.Sleep(time.Hour) // before the first byte: as long as ctx lets it
			cookie, _ := p.request()
			for _, c := range reply(t, cookie, "slow but going on") {
				time.Sleep(900 * time.Millisecond)
				p.send([]byte{c})
			}
			time.Sleep(time.Hour) // a deadline that was left would end this
			p.echo()
		})
		wantTexts(t, ask(t.Context(), s, "a", "b"), "slow but going on", "b")
	})
}

func TestConnCancelWhileWaitingForTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		var first []rpc.Reply
		play(t, func() { first = ask(t.Context(), s, "a") })
		cookie, _ := p.request() // now the other batch is under way
		ctx, cancel := context.WithCancel(t.Context())
		play(t, func() {
			synctest.Wait()
			cancel()
		})
		wantError(t, ask(ctx, s, "b", "c"), context.Canceled)
		p.send(reply(t, cookie, "a"))
		synctest.Wait()
		wantTexts(t, first, "a")
		wantUsable(t, s, true)
	})
}

func TestConnContextThatIsOver(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, p.echo)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 { // a select with two ways open takes either
		wantError(t, ask(ctx, s, "a", "b"), context.Canceled)
	}
	wantUsable(t, s, true)
	wantTexts(t, ask(deadline(t), s, "c"), "c")
}

func TestConnCancelWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newPeer(t, Options{}) // the peer does not read
		ctx, cancel := context.WithCancel(t.Context())
		play(t, func() {
			synctest.Wait()
			cancel()
		})
		wantError(t, ask(ctx, s, "a", "b"), context.Canceled)
		wantUsable(t, s, false)
		replies := ask(t.Context(), s, "c")
		wantError(t, replies, rpc.ErrClosed)
		if errors.Is(replies[0].Err, context.Canceled) {
			t.Errorf("another batch has the error of one that was canceled: %v", replies[0].Err)
		}
	})
}

func TestConnCancelWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		play(t, func() {
			p.echo()
			cookie, _ := p.request()
			p.send(reply(t, cookie, "half of it")[:9])
			synctest.Wait()
			cancel()
		})
		replies := ask(ctx, s, "a", "b", "c")
		wantTexts(t, replies[:1], "a")
		wantError(t, replies[1:], context.Canceled)
		wantUsable(t, s, false)
	})
}

func TestConnOutOfStep(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(cookie uint32) []byte
		want string
	}{
		{"unknown cookie", func(cookie uint32) []byte { return reply(t, cookie+7, "x") }, "out of step"},
		{"the next call's cookie", func(cookie uint32) []byte { return reply(t, cookie+1, "x") }, "out of step"},
		{"garbage", func(uint32) []byte { return []byte("garbage\r\n") }, "0x67 where a packet starts"},
		{"magic and garbage", func(uint32) []byte { return bytes.Repeat([]byte{0xa1}, 50) }, "unknown packet flags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, p := newPeer(t, Options{})
			play(t, func() {
				p.echo()
				cookie, _ := p.request()
				p.request()
				p.send(test.send(cookie))
			})
			replies := ask(deadline(t), s, "a", "b", "c")
			wantTexts(t, replies[:1], "a")
			for _, reply := range replies[1:] {
				if reply.Err == nil || !strings.Contains(reply.Err.Error(), test.want) {
					t.Errorf("got %v, want %q", reply.Err, test.want)
				}
			}
			wantUsable(t, s, false)
			wantError(t, ask(deadline(t), s, "d"), rpc.ErrClosed)
		})
	}
}

func TestConnBadContent(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(cookie uint32) []byte
	}{
		{"records that are none", func(cookie uint32) []byte {
			return append(appendHeader(nil, KindReply, 2, cookie), 0x03, 0x10)
		}},
		{"a request where a reply is due", func(cookie uint32) []byte {
			packet, err := AppendRequest(nil, cookie, rpc.Call{Method: "m"})
			if err != nil {
				t.Error(err)
			}
			return packet
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, p := newPeer(t, Options{})
			play(t, func() {
				cookie, _ := p.request()
				p.send(test.send(cookie))
			})
			_, err := rpc.One(deadline(t), s, "a")
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Errorf("got %v, want a SyntaxError", err)
			}
			wantUsable(t, s, false)
		})
	}
}

// TestConnGoodReplyBehindBadOne does not take it.
func TestConnGoodReplyBehindBadOne(t *testing.T) {
	s, p := newSocketPeer(t)
	play(t, func() {
		first, _ := p.request()
		second, _ := p.request()
		p.send(append(append(appendHeader(nil, KindReply, 2, first), 0x03, 0x10), reply(t, second, 5)...))
	})
	replies := s.Do(deadline(t), rpc.Call{Method: "a"}, rpc.Call{Method: "b"})
	if syntax, ok := errors.AsType[*SyntaxError](replies[0].Err); !ok || syntax.Offset < 4 {
		t.Errorf("the bad reply: %v", replies[0].Err)
	}
	if !errors.Is(replies[1].Err, ErrOutOfStep) {
		t.Errorf("the reply behind it: %v, %v", replies[1].Value, replies[1].Err)
	}
}

func TestConnUnaskedBytes(t *testing.T) {
	s, p := newPeer(t, Options{})
	p.send(reply(t, 1, "nobody asked"))
	waitFor(t, "the reader ends", s.ended)
	wantUsable(t, s, false)
	if err := s.failure(); !errors.Is(err, ErrOutOfStep) {
		t.Errorf("got %v, want %v", err, ErrOutOfStep)
	}
}

// TestConnAnotherProtocol has a server that speaks first, and not BINRPC. A
// batch that comes later is told so.
func TestConnAnotherProtocol(t *testing.T) {
	s, p := newPeer(t, Options{})
	p.send([]byte("220 mail.example.org ESMTP\r\n"))
	waitFor(t, "the reader ends", s.ended)
	for _, r := range ask(deadline(t), s, "a", "b") {
		if _, ok := errors.AsType[*SyntaxError](r.Err); !ok {
			t.Errorf("got %v, want a SyntaxError", r.Err)
		}
	}
}

func TestConnMoreRepliesThanCalls(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, func() {
		cookie, _ := p.request()
		packet := reply(t, cookie, "a")
		p.send(append(packet, packet...))
	})
	wantTexts(t, ask(deadline(t), s, "a"), "a")
	waitFor(t, "the reader ends", s.ended)
	wantUsable(t, s, false)
}

func TestConnServerCloses(t *testing.T) {
	t.Run("between batches", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, p.echo)
		wantTexts(t, ask(deadline(t), s, "a"), "a")
		_ = p.conn.Close()
		waitFor(t, "the reader ends", s.ended)
		wantUsable(t, s, false) // without a call
		wantError(t, ask(deadline(t), s, "b"), rpc.ErrClosed)
	})
	t.Run("between replies", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			p.echo()
			p.request()
			_ = p.conn.Close()
		})
		replies := ask(deadline(t), s, "a", "b")
		wantTexts(t, replies[:1], "a")
		wantError(t, replies[1:], rpc.ErrClosed)
	})
	for cut := range 12 {
		t.Run(fmt.Sprintf("after %d bytes of a reply", cut+1), func(t *testing.T) {
			s, p := newSocketPeer(t)
			s.cookie = 6
			play(t, func() {
				p.request()
				p.send(reply(t, 7, "half of it")[:cut+1])
				_ = p.conn.Close()
			})
			wantError(t, ask(deadline(t), s, "a"), io.ErrUnexpectedEOF)
		})
	}
	t.Run("before it read the requests", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() { _ = p.conn.Close() })
		for _, reply := range ask(deadline(t), s, "a", "b") {
			if reply.Err == nil {
				t.Error("an answer from nowhere")
			}
		}
	})
}

func TestConnClose(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		s, _ := newPeer(t, Options{})
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			select {
			case <-s.ended:
			default:
				t.Error("the reader outlived Close")
			}
		}
		wantUsable(t, s, false)
		wantError(t, ask(deadline(t), s, "a"), rpc.ErrClosed)
	})
	t.Run("with a call under way", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			p.request()
			_ = s.Close()
		})
		wantError(t, ask(deadline(t), s, "a"), rpc.ErrClosed)
	})
	t.Run("in the loop", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			p.echo()
			p.request()
		})
		var last rpc.Reply
		for _, last = range s.Stream(deadline(t), calls("a", "b")...) {
			_ = s.Close()
		}
		wantError(t, []rpc.Reply{last}, rpc.ErrClosed)
	})
}

func TestConnLeavingTheLoop(t *testing.T) {
	t.Run("with nothing missing", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		both := make(chan struct{})
		play(t, func() {
			p.echo()
			p.echo()
			close(both)
			p.echo()
		})
		for range s.Stream(deadline(t), calls("a", "b")...) {
			// A pipe's write returns when it was read; the reader may still
			// be about to hand it over.
			waitFor(t, "both replies", both)
			waitUntil(t, func() bool { return s.missing() == 0 })
			break
		}
		wantUsable(t, s, true)
		wantTexts(t, ask(deadline(t), s, "c"), "c")
	})
	t.Run("with replies missing", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			p.echo()
			p.request()
		})
		for range s.Stream(deadline(t), calls("a", "b")...) {
			break
		}
		wantUsable(t, s, false)
		wantError(t, ask(deadline(t), s, "c"), rpc.ErrClosed)
	})
	t.Run("at a call that was not sent", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, p.echo)
		bad := rpc.Call{Method: "bad", Args: []any{make(chan int)}}
		for range s.Stream(deadline(t), bad, rpc.Call{Method: "a"}) {
			break
		}
		wantUsable(t, s, true)
		wantTexts(t, ask(deadline(t), s, "b"), "b")
	})
}

// missing is the number of replies that have not arrived.
func (s *Conn) missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batch.left
}

// waitUntil waits for a condition that nothing announces.
func waitUntil(t testing.TB, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestConnCallsThatCannotBeSent(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, func() {
		p.echo()
		p.echo()
	})
	replies := s.Do(deadline(t),
		rpc.Call{Method: "bad", Args: []any{make(chan int)}},
		rpc.Call{Method: "a"},
		rpc.Call{Method: "large", Args: []any{strings.Repeat("x", 65535)}},
		rpc.Call{Method: "b"},
		rpc.Call{Method: "double", Args: []any{math.NaN()}},
	)
	for i, want := range map[int]string{
		0: "the request bad: a value of Go type chan int has no RPC form",
		2: "the request large has 65556 bytes, ctl takes at most 65535",
		4: "the request double: the number NaN does not fit",
	} {
		if err := replies[i].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reply %d: got %v, want %q", i, err, want)
		}
	}
	wantTexts(t, []rpc.Reply{replies[1], replies[3]}, "a", "b")
	wantUsable(t, s, true)
}

func TestConnNoCalls(t *testing.T) {
	s, _ := newPeer(t, Options{})
	if got := s.Do(deadline(t)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	wantUsable(t, s, true)
}

func TestConnReplyBeyondThePacketLimit(t *testing.T) {
	s, p := newPeer(t, Options{Limits: rpc.Limits{Size: 100}})
	play(t, func() {
		p.echo()
		cookie, _ := p.request()
		p.request()
		p.send(appendHeader(nil, KindReply, 101, cookie))
	})
	replies := ask(deadline(t), s, "a", "large", "c")
	wantTexts(t, replies[:1], "a")
	limit, ok := errors.AsType[*rpc.LimitError](replies[1].Err)
	if !ok || *limit != (rpc.LimitError{What: "bytes", Limit: 100}) {
		t.Errorf("got %v, want a rpc.LimitError", replies[1].Err)
	}
	wantError(t, replies[2:], rpc.ErrClosed)
	if _, ok := errors.AsType[*rpc.LimitError](replies[2].Err); ok {
		t.Errorf("a call has the rpc.LimitError of another: %v", replies[2].Err)
	}
	wantUsable(t, s, false)
	replies = ask(deadline(t), s, "d")
	wantError(t, replies, rpc.ErrClosed)
	if _, ok := errors.AsType[*rpc.LimitError](replies[0].Err); ok {
		t.Errorf("a later batch has the rpc.LimitError of an earlier one: %v", replies[0].Err)
	}
}

func TestConnReplyBeyondTheOtherLimits(t *testing.T) {
	s, p := newPeer(t, Options{Limits: rpc.Limits{Values: 3, Depth: 1}})
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, 1, 2, 3, 4))
		cookie, _ = p.request()
		p.send(reply(t, cookie, []any{[]any{}}))
		p.echo()
	})
	replies := ask(deadline(t), s, "wide", "deep", "c")
	for _, reply := range replies[:2] {
		if _, ok := errors.AsType[*rpc.LimitError](reply.Err); !ok {
			t.Errorf("got %v, want a rpc.LimitError", reply.Err)
		}
	}
	wantTexts(t, replies[2:], "c")
	wantUsable(t, s, true)
}

func TestDialWithNobodyThere(t *testing.T) {
	if _, err := Dial(deadline(t), "unix", t.TempDir()+"/no", Options{}); err == nil {
		t.Error("it connected")
	}
}

// TestConnMakesRoomForWhatArrives has a server announce 16 MB and send nothing of
// them, and then one that sends the same large reply again and again.
func TestConnMakesRoomForWhatArrives(t *testing.T) {
	s, p := newSocketPeer(t)
	go func() {
		cookie, _ := p.request()
		p.send(appendHeader(nil, KindReply, 16<<20, cookie))
		_ = p.conn.Close()
	}()
	got := allocated(func() {
		if _, err := rpc.One(deadline(t), s, "m"); err == nil {
			t.Error("there is a reply")
		}
	})
	if got > 1<<20 {
		t.Errorf("%d bytes allocated for a reply of which nothing came", got)
	}

	again, other := newSocketPeer(t)
	go func() {
		for range 3 {
			cookie, _ := other.request()
			other.send(reply(t, cookie, strings.Repeat("x", 4<<20)))
		}
	}()
	ask := func() {
		if _, err := rpc.One(deadline(t), again, "m"); err != nil {
			t.Error(err)
		}
	}
	first := allocated(ask)
	ask()
	if third := allocated(ask); third > first-(4<<20) {
		t.Errorf("%d bytes allocated for a first large reply, %d for the third", first, third)
	}
}

func TestConnClosedBeforeAnyReply(t *testing.T) {
	for name, play := range map[string]func(p *peer){
		"at once":             func(p *peer) { _ = p.conn.Close() },
		"with the requests":   func(p *peer) { p.request(); _ = p.conn.Close() },
		"with unread bytes":   func(p *peer) { _, _ = p.r.ReadByte(); _ = p.conn.Close() },
		"in the first header": func(p *peer) { p.request(); p.send([]byte{0xa1}); _ = p.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newSocketPeer(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				play(p)
			}()
			if name == "at once" { // otherwise the request may be written before
				<-done
			}
			for _, reply := range ask(deadline(t), s, "a", "b") {
				unanswered := errors.Is(reply.Err, ErrClosedUnanswered)
				if want := name != "in the first header"; unanswered != want {
					t.Errorf("got %v, ErrClosedUnanswered is %t, want %t", reply.Err, unanswered, want)
				}
				if unanswered && !errors.Is(reply.Err, rpc.ErrClosed) {
					t.Errorf("%v is no ErrClosed", reply.Err)
				}
			}
		})
	}
	t.Run("after a reply", func(t *testing.T) {
		s, p := newSocketPeer(t)
		play(t, func() {
			p.echo()
			_ = p.conn.Close()
		})
		replies := ask(deadline(t), s, "a", "b")
		if err := replies[1].Err; errors.Is(err, ErrClosedUnanswered) || !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// TestConnSaysWhatWasNotSent has a peer take one and a half of three requests.
func TestConnSaysWhatWasNotSent(t *testing.T) {
	s, p := newPeer(t, Options{})
	p.r = bufio.NewReaderSize(io.LimitReader(p.conn, int64(len(requestOf(t, "first"))+5)), 16)
	play(t, func() {
		p.request()
		_ = p.conn.Close()
	})
	replies := ask(deadline(t), s, "first", "second", "third")
	for i, want := range []bool{false, false, true} {
		if replies[i].Err == nil || replies[i].NotSent != want {
			t.Errorf("call %d: got %+v, want NotSent %t", i, replies[i], want)
		}
	}
	for i, reply := range ask(deadline(t), s, "a", "b") {
		if reply.Err == nil || !reply.NotSent {
			t.Errorf("call %d on a connection that is closed: got %+v", i, reply)
		}
	}
}

// requestOf is a request with a cookie of four bytes.
func requestOf(t *testing.T, method string) []byte {
	packet, err := AppendRequest(nil, math.MaxUint32, rpc.Call{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestConnLimitsOfABatch(t *testing.T) {
	limits := rpc.Limits{Size: 10_000, Values: 1000, TotalSize: 15_000, TotalValues: 1500}
	large := strings.Repeat("x", 9000)
	many := make([]any, 900)
	for i := range many {
		many[i] = 1
	}
	s, p := newPeer(t, Options{Limits: limits})
	answers := map[string][]any{"large": {large}, "many": many, "small": {"x"}}
	serve := func(n int) {
		for range n {
			cookie, call := p.request()
			p.send(reply(t, cookie, answers[call.Method]...))
		}
	}
	play(t, func() { serve(12) })
	replies := ask(deadline(t), s, "large", "large", "small", "many", "many", "small")
	for i, want := range []string{
		"", "the reply is beyond the limit of 15000 bytes in all replies of a batch", "",
		"", "the reply is beyond the limit of 1500 values in all replies of a batch", "",
	} {
		got := ""
		if replies[i].Err != nil {
			got = replies[i].Err.Error()
		}
		if _, ok := errors.AsType[*rpc.LimitError](replies[i].Err); got != want || ok != (want != "") {
			t.Errorf("reply %d: got %q, want %q", i, got, want)
		}
	}
	wantUsable(t, s, true)
	// Each batch has its own.
	if again := ask(deadline(t), s, "large", "many", "small", "small", "small", "small"); slices.ContainsFunc(again, func(r rpc.Reply) bool { return r.Err != nil }) {
		t.Errorf("got %v", again)
	}
}

// TestConnMemoryOfABatch has a server answer 45 calls with a million values each.
func TestConnMemoryOfABatch(t *testing.T) {
	record := []byte{0x10, 1} // the integer 1
	records := bytes.Repeat(record, 1_000_000)
	s, p := newSocketPeer(t)
	const calls = 45
	play(t, func() {
		for range calls {
			cookie, _ := p.request()
			p.send(append(appendHeader(nil, KindReply, len(records), cookie), records...))
		}
	})
	methods := slices.Repeat([]string{"m"}, calls)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	replies := ask(deadline(t), s, methods...)
	runtime.GC()
	runtime.ReadMemStats(&after)
	good := 0
	for _, reply := range replies {
		if reply.Err == nil {
			good++
		}
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); good != 1 || kept > 64<<20 {
		t.Errorf("%d replies of %d were decoded, and take %d bytes", good, calls, kept)
	}
	runtime.KeepAlive(replies)
}
