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
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
)

// unlimited is the maximum size of a reply by default.
var unlimited = budget.ForOne(rpc.Limits{}.WithDefaults())

// patience is how long a test waits for an event that normally happens at once.
const patience = 10 * time.Second

// peer is the server's end of a connection, which a test controls.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// newPeer returns a Conn and its peer, connected by a pipe in memory.
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

// newSocketPeer is like newPeer, but the two are connected by a unix socket.
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

// request reads one request. It runs in the peer's goroutine, so it must not call
// FailNow.
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

// echo replies to a request with the name of its method.
func (p *peer) echo() {
	cookie, call := p.request()
	p.send(reply(p.t, cookie, call.Method))
}

// play runs the peer's part of a test in a goroutine. The cleanup of the test waits for
// it.
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

// wantTexts checks that the value of each reply is the wanted text.
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

// wantError checks that all replies have that error and no value.
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

// deadline returns a context that ends calls of a test that hangs.
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
		t.Fatalf("timed out waiting for %s", what)
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

func TestConnReadsWhileCallerIsBusy(t *testing.T) {
	s, p := newPeer(t, Options{})
	sent := make(chan struct{})
	play(t, func() {
		p.echo()
		cookie, _ := p.request()
		p.send(reply(t, cookie, strings.Repeat("x", 1<<20))) // a pipe has no buffer
		close(sent)
	})
	for i, reply := range s.Stream(deadline(t), calls("a", "large")...) {
		waitFor(t, "the second reply to be read", sent)
		if reply.Err != nil || i == 1 && len(reply.Value.Text()) != 1<<20 {
			t.Errorf("reply %d: %v", i, reply.Err)
		}
	}
}

func TestConnReplySplitAtEveryByte(t *testing.T) {
	s, p := newPeer(t, Options{})
	records := []any{rpc.Members{{Name: "a", Value: -1}, {Name: "b", Value: 1.5}}, "text of more than eight bytes"}
	size := len(reply(t, math.MaxUint32, records...))
	s.cookie = math.MaxUint32 / 2 // all cookies have four bytes
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
	// The counter overflows, and cookies have one to four bytes.
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
	var sizes []int
	send := func(packet []byte) {
		sizes = append(sizes, len(packet))
		p.send(packet)
	}
	play(t, func() {
		cookie, _ := p.request()
		fault, err := AppendFault(nil, cookie, &rpc.Fault{Code: 500, Reason: "command a not found"})
		if err != nil {
			t.Error(err)
		}
		send(fault)
		cookie, _ = p.request()
		send(reply(t, cookie))
		cookie, call := p.request()
		send(reply(t, cookie, call.Method))
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
		if want := sizes[i]; reply.Size != want {
			t.Errorf("reply %d has %d bytes, want %d", i, reply.Size, want)
		}
	}
	wantTexts(t, replies[2:], "c")
	wantUsable(t, s, true)
}

func TestConnMissingReply(t *testing.T) {
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
			t.Errorf("Do took %v, want 3 s", took)
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
		{"in a longer header", Options{}, time.Minute, 5, StallError{5, 7, time.Second}},
		{"after the header", Options{}, time.Minute, 7, StallError{7, 36, time.Second}},
		{"with an option", Options{Stall: 3 * time.Second}, time.Minute, 20, StallError{20, 36, 3 * time.Second}},
		{"near the deadline", Options{}, time.Second, 20, StallError{20, 36, time.Second / 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newPeer(t, test.options)
				s.cookie = math.MaxUint32 - 5
				play(t, func() {
					p.echo()
					p.request()
					p.request()
					p.send(reply(t, math.MaxUint32-3, "text of twenty-six bytes..")[:test.sent])
				})
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				start := time.Now()
				replies := ask(ctx, s, "a", "b", "c")
				if took := time.Since(start); took != test.want.After {
					t.Errorf("Do took %v, want %v", took, test.want.After)
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

func TestConnSlowReplyIsNotAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, func() {
			time.Sleep(time.Hour) // before the first byte, only ctx limits the time
			cookie, _ := p.request()
			for _, c := range reply(t, cookie, "slow reply") {
				time.Sleep(900 * time.Millisecond)
				p.send([]byte{c})
			}
			time.Sleep(time.Hour) // fails if the read deadline was not reset
			p.echo()
		})
		wantTexts(t, ask(t.Context(), s, "a", "b"), "slow reply", "b")
	})
}

func TestConnCancelWhileWaitingForAnotherBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPeer(t, Options{})
		var first []rpc.Reply
		play(t, func() { first = ask(t.Context(), s, "a") })
		cookie, _ := p.request() // the other batch is in progress
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

func TestConnCanceledContext(t *testing.T) {
	s, p := newPeer(t, Options{})
	play(t, p.echo)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 { // if two cases of a select are ready, either is chosen
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
			t.Errorf("the error of a canceled batch is wrapped in that of another batch: %v", replies[0].Err)
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
		{"unknown cookie", func(cookie uint32) []byte { return reply(t, cookie+7, "x") }, "out of step with the requests: the reply has cookie 0x19, the request b has 0x12"},
		{"the next call's cookie", func(cookie uint32) []byte { return reply(t, cookie+1, "x") }, "out of step"},
		{"garbage", func(uint32) []byte { return []byte("garbage\r\n") }, "0x67 instead of 0xa1"},
		{"magic and garbage", func(uint32) []byte { return bytes.Repeat([]byte{0xa1}, 50) }, "unknown packet flags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, p := newPeer(t, Options{})
			s.cookie = 0x10
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
		{"invalid records", func(cookie uint32) []byte {
			return append(appendHeader(nil, KindReply, 2, cookie), 0x03, 0x10)
		}},
		{"a request instead of a reply", func(cookie uint32) []byte {
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

// TestConnRejectsReplyAfterInvalidReply checks that a valid reply directly after an
// invalid one is not accepted.
func TestConnRejectsReplyAfterInvalidReply(t *testing.T) {
	s, p := newSocketPeer(t)
	play(t, func() {
		first, _ := p.request()
		second, _ := p.request()
		p.send(append(append(appendHeader(nil, KindReply, 2, first), 0x03, 0x10), reply(t, second, 5)...))
	})
	replies := s.Do(deadline(t), rpc.Call{Method: "a"}, rpc.Call{Method: "b"})
	if syntax, ok := errors.AsType[*SyntaxError](replies[0].Err); !ok || syntax.Offset < 4 {
		t.Errorf("invalid reply: got %v, want a SyntaxError after the header", replies[0].Err)
	}
	if !errors.Is(replies[1].Err, ErrOutOfStep) {
		t.Errorf("reply after it: got %v, %v; want ErrOutOfStep", replies[1].Value, replies[1].Err)
	}
}

func TestConnReplyWithoutRequest(t *testing.T) {
	s, p := newPeer(t, Options{})
	p.send(reply(t, 1, "unexpected"))
	waitFor(t, "the reader to end", s.ended)
	wantUsable(t, s, false)
	if err := s.failure(); !errors.Is(err, ErrOutOfStep) {
		t.Errorf("got %v, want %v", err, ErrOutOfStep)
	}
}

// TestConnAnotherProtocol has a server of another protocol that sends before the
// client. A later batch gets a SyntaxError.
func TestConnAnotherProtocol(t *testing.T) {
	s, p := newPeer(t, Options{})
	p.send([]byte("220 mail.example.org ESMTP\r\n"))
	waitFor(t, "the reader to end", s.ended)
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
	waitFor(t, "the reader to end", s.ended)
	wantUsable(t, s, false)
}

func TestConnServerCloses(t *testing.T) {
	t.Run("between batches", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		play(t, p.echo)
		wantTexts(t, ask(deadline(t), s, "a"), "a")
		_ = p.conn.Close()
		waitFor(t, "the reader to end", s.ended)
		wantUsable(t, s, false) // before another call
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
				t.Error("got a reply from a closed connection")
			}
		}
	})
	t.Run("only for requests", func(t *testing.T) {
		s, p := newSocketPeer(t)
		if err := p.conn.(*net.UnixConn).CloseRead(); err != nil { //nolint:errcheck // newSocketPeer uses a unix socket
			t.Fatal(err)
		}
		wantError(t, ask(deadline(t), s, "a", "b"), syscall.EPIPE)
	})
}

func TestConnClosedByServer(t *testing.T) {
	for _, test := range []struct {
		err            error
		closed, broken bool // whether the result is ErrClosed, and contains err
	}{
		{io.EOF, true, false},
		{syscall.ECONNRESET, true, true},
		{syscall.EPIPE, true, true},
		{os.ErrDeadlineExceeded, false, true},
	} {
		for _, replied := range []bool{false, true} {
			var s Conn
			s.replied.Store(replied)
			got := s.closedByServer(&net.OpError{Op: "read", Err: test.err})
			unanswered := test.closed && !replied
			if errors.Is(got, rpc.ErrClosed) != test.closed || errors.Is(got, ErrClosedUnanswered) != unanswered || errors.Is(got, test.err) != test.broken {
				t.Errorf("%v after a reply (%t): got %v", test.err, replied, got)
			}
		}
	}
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
				t.Error("the reader is running after Close")
			}
		}
		wantUsable(t, s, false)
		wantError(t, ask(deadline(t), s, "a"), rpc.ErrClosed)
	})
	t.Run("during a call", func(t *testing.T) {
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

func TestConnBreakFromLoop(t *testing.T) {
	t.Run("after all replies arrived", func(t *testing.T) {
		s, p := newPeer(t, Options{})
		both := make(chan struct{})
		play(t, func() {
			p.echo()
			p.echo()
			close(both)
			p.echo()
		})
		for range s.Stream(deadline(t), calls("a", "b")...) {
			// A write to a pipe returns when it was read; the reader delivers the
			// reply a moment later.
			waitFor(t, "both replies", both)
			waitUntil(t, func() bool { return s.missing() == 0 })
			break
		}
		wantUsable(t, s, true)
		wantTexts(t, ask(deadline(t), s, "c"), "c")
	})
	t.Run("before all replies arrived", func(t *testing.T) {
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

// missing returns the number of replies that have not arrived.
func (s *Conn) missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batch.remaining
}

// waitUntil polls until a condition is true. It is for conditions without an event.
func waitUntil(t testing.TB, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatal("timed out waiting for a condition")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestConnCallsThatCannotBeEncoded(t *testing.T) {
	s, p := newPeer(t, Options{})
	s.cookie = 1 << 24 // the size of a request depends on that of its cookie
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
		0: "encode the request bad: a value of Go type chan int cannot be encoded",
		2: "the request large has 65556 bytes, ctl accepts at most 65535",
		4: "encode the request double: the number NaN does not fit",
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

func TestConnReplyExceedsSizeLimit(t *testing.T) {
	s, p := newPeer(t, Options{Limits: rpc.Limits{Size: 100}})
	fits := strings.Repeat("a", 97) // and a zero byte, the type and the size
	play(t, func() {
		cookie, _ := p.request()
		p.send(reply(t, cookie, fits))
		cookie, _ = p.request()
		p.request()
		p.send(appendHeader(nil, KindReply, 101, cookie))
	})
	replies := ask(deadline(t), s, "a", "large", "c")
	wantTexts(t, replies[:1], fits)
	limit, ok := errors.AsType[*rpc.LimitError](replies[1].Err)
	if !ok || *limit != (rpc.LimitError{What: "bytes", Limit: 100}) {
		t.Errorf("got %v, want a rpc.LimitError", replies[1].Err)
	}
	wantError(t, replies[2:], rpc.ErrClosed)
	if _, ok := errors.AsType[*rpc.LimitError](replies[2].Err); ok {
		t.Errorf("a call got the rpc.LimitError of another call: %v", replies[2].Err)
	}
	wantUsable(t, s, false)
	replies = ask(deadline(t), s, "d")
	wantError(t, replies, rpc.ErrClosed)
	if _, ok := errors.AsType[*rpc.LimitError](replies[0].Err); ok {
		t.Errorf("a batch got the rpc.LimitError of an earlier batch: %v", replies[0].Err)
	}
}

func TestConnReplyExceedsValuesOrDepthLimit(t *testing.T) {
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

func TestDialWithoutServer(t *testing.T) {
	if _, err := Dial(deadline(t), "unix", t.TempDir()+"/no", Options{}); err == nil {
		t.Error("Dial connected to a socket that does not exist")
	}
}

// TestConnAllocatesOnlyForReceivedBytes has a server that sends a header with a length
// of 16 MiB but no records, and a server that sends the same large reply several times.
func TestConnAllocatesOnlyForReceivedBytes(t *testing.T) {
	s, p := newSocketPeer(t)
	go func() {
		cookie, _ := p.request()
		p.send(appendHeader(nil, KindReply, 16<<20, cookie))
		_ = p.conn.Close()
	}()
	got := allocated(func() {
		if _, err := rpc.One(deadline(t), s, "m"); err == nil {
			t.Error("got a reply, want an error")
		}
	})
	if got > 1<<20 {
		t.Errorf("%d bytes allocated for a reply without records", got)
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
		t.Errorf("%d bytes allocated for the first large reply, %d for the third", first, third)
	}
}

func TestConnClosedBeforeAnyReply(t *testing.T) {
	for name, play := range map[string]func(p *peer){
		"at once":             func(p *peer) { _ = p.conn.Close() },
		"after a request":     func(p *peer) { p.request(); _ = p.conn.Close() },
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
			if name == "at once" { // close the connection before the request is written
				<-done
			}
			for _, reply := range ask(deadline(t), s, "a", "b") {
				unanswered := errors.Is(reply.Err, ErrClosedUnanswered)
				if want := name != "in the first header"; unanswered != want {
					t.Errorf("got %v, is ErrClosedUnanswered: %t, want %t", reply.Err, unanswered, want)
				}
				if unanswered && !errors.Is(reply.Err, rpc.ErrClosed) {
					t.Errorf("%v does not wrap ErrClosed", reply.Err)
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
			t.Errorf("got %v, want ErrClosed and not ErrClosedUnanswered", err)
		}
	})
}

// TestConnReportsNotSent has a peer that reads one and a half of three requests.
func TestConnReportsNotSent(t *testing.T) {
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
			t.Errorf("call %d on a closed connection: got %+v, want NotSent", i, reply)
		}
	}
}

// requestOf returns a request with a cookie of four bytes.
func requestOf(t *testing.T, method string) []byte {
	packet, err := AppendRequest(nil, math.MaxUint32, rpc.Call{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestConnBatchLimits(t *testing.T) {
	limits := rpc.Limits{Size: 10_000, Values: 1000, TotalSize: 15_000, TotalValues: 1500}
	large := strings.Repeat("x", 9000)
	many := make([]any, 900)
	for i := range many {
		many[i] = 1
	}
	s, p := newPeer(t, Options{Limits: limits})
	records := map[string][]any{"large": {large}, "many": many, "small": {"x"}, "rest": {strings.Repeat("x", 15_000-9004-4)}}
	serve := func(n int) {
		for range n {
			cookie, call := p.request()
			p.send(reply(t, cookie, records[call.Method]...))
		}
	}
	play(t, func() { serve(14) })
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
	// The next batches start with their full limits. One of them needs all bytes.
	for _, methods := range [][]string{{"large", "many", "small", "small", "small", "small"}, {"large", "rest"}} {
		if again := ask(deadline(t), s, methods...); slices.ContainsFunc(again, func(r rpc.Reply) bool { return r.Err != nil }) {
			t.Errorf("batch %v: got %v, want no errors", methods, again)
		}
	}
}

// TestConnBatchMemory has a server that replies to 45 calls with a million values each.
func TestConnBatchMemory(t *testing.T) {
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
		t.Errorf("%d of %d replies were decoded and take %d bytes, want 1 reply and at most %d bytes", good, calls, kept, 64<<20)
	}
	runtime.KeepAlive(replies)
}
