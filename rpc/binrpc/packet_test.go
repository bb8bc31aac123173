package binrpc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
)

func TestHeader(t *testing.T) {
	for _, test := range []struct {
		kind   Kind
		length int
		cookie uint32
		want   []byte
	}{
		{KindRequest, 0, 0, []byte{0xa1, 0x00, 0, 0}},
		{KindReply, 0, 0, []byte{0xa1, 0x10, 0, 0}},
		{KindFault, 1, 0xff, []byte{0xa1, 0x30, 1, 0xff}},
		{KindReply, 0x100, 0x100, []byte{0xa1, 0x15, 1, 0, 1, 0}},
		{KindReply, 0x10000, 0x10000, []byte{0xa1, 0x1a, 1, 0, 0, 1, 0, 0}},
		{KindReply, 0x1000000, 0xfffffffe, []byte{0xa1, 0x1f, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe}},
	} {
		got := appendHeader(nil, test.kind, test.length, test.cookie)
		if !bytes.Equal(got, test.want) {
			t.Errorf("%+v: got %x", test, got)
		}
		h, err := parseHeader(test.want)
		if want := (header{test.kind, test.length, test.cookie, len(test.want)}); h != want || err != nil {
			t.Errorf("parse %x: got %+v, %v; want %+v", test.want, h, err, want)
		}
	}
	// A length and a cookie that are not encoded in the minimum number of bytes.
	h, err := parseHeader([]byte{0xa1, 0x1f, 0, 0, 0, 5, 0, 0, 0, 9})
	if want := (header{KindReply, 5, 9, 10}); h != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", h, err, want)
	}
}

func TestLimits(t *testing.T) {
	nested := packetOf(KindReply, 0x03, 0x00, 0x00, 0x04, 0x84, 0x83)
	for _, test := range []struct {
		limits rpc.Limits
		what   string
	}{
		{rpc.Limits{}, ""},
		{rpc.Limits{Size: 6, Values: 4, Depth: 2}, ""},
		{rpc.Limits{Size: 5}, "bytes"},
		{rpc.Limits{Values: 3}, "values"}, // the array is the fourth
		{rpc.Limits{Values: 2}, "values"},
		{rpc.Limits{Depth: 1}, "nested structs and arrays"},
		{rpc.Limits{Size: -1, Values: -1, Depth: -1}, ""},
	} {
		_, err := Parse(nested, test.limits)
		limit, ok := errors.AsType[*rpc.LimitError](err)
		if ok != (test.what != "") || ok && limit.What != test.what {
			t.Errorf("%+v: got %v, want a limit of %q", test.limits, err, test.what)
		}
	}
	if got, want := (rpc.Limits{}).WithDefaults(), (rpc.Limits{Size: 16 << 20, Values: 1_000_000, Depth: 64, TotalSize: 16 << 20, TotalValues: 1_000_000}); got != want {
		t.Errorf("the default limits are %+v, want %+v", got, want)
	}
}

// TestRead reads a packet, an invalid one, and another one from the same stream.
func TestRead(t *testing.T) {
	stream := slices.Concat(packetOf(KindReply, 0x10, 1), packetOf(KindReply, 0x10, 1, 0x17, 1), packetOf(KindReply, 0x10, 2))
	r := bufio.NewReader(bytes.NewReader(stream))
	for _, want := range []string{"1", "", "2"} {
		message, err := Read(r, rpc.Limits{})
		if want == "" {
			checkOffset(t, err, 6)
			continue
		}
		if err != nil || message.Cookie != 7 || message.Value.String() != want {
			t.Errorf("got %+v, %v; want %s", message, err, want)
		}
	}
	if _, err := Read(r, rpc.Limits{}); err != io.EOF { //nolint:errorlint // documented as not wrapped
		t.Errorf("got %v at the end, want io.EOF", err)
	}
}

func TestMessageFault(t *testing.T) {
	for _, test := range []struct {
		name   string
		packet []byte
		want   *rpc.Fault
	}{
		{"fault", packetOf(KindFault, 0x20, 0x01, 0x94, 0x31, 'n', 'o', 0), &rpc.Fault{Code: 404, Reason: "no"}},
		{"no reason", packetOf(KindFault, 0x20, 0x01, 0x94), &rpc.Fault{Code: 404}},
		{"no code", packetOf(KindFault, 0x31, 'n', 'o', 0), &rpc.Fault{Reason: "no"}},
		{"nothing", packetOf(KindFault), &rpc.Fault{}},
		{"a reply", packetOf(KindReply, 0x20, 0x01, 0x94, 0x31, 'n', 'o', 0), nil},
	} {
		message, err := Parse(test.packet, rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := message.Fault(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestMessageCall(t *testing.T) {
	for _, test := range []struct {
		name    string
		packet  []byte
		want    string
		problem string
	}{
		{"no arguments", packetOf(KindRequest, 0x21, 'm', 0), "m", ""},
		{"arguments", packetOf(KindRequest, 0x21, 'm', 0, 0x10, 5, 0x21, 'a', 0, 0x00), "m 5 a 0", ""},
		{"a reply", packetOf(KindReply, 0x21, 'm', 0), "", "the packet is not a request"},
		{"nothing", packetOf(KindRequest), "", "does not start with the name of a method"},
		{"no name", packetOf(KindRequest, 0x11, 0), "", "does not start with the name of a method"},
		{"a number first", packetOf(KindRequest, 0x10, 5, 0x21, 'm', 0), "", "does not start with the name of a method"},
	} {
		message, err := Parse(test.packet, rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := message.Call()
		if test.problem == "" && (err != nil || got.String() != test.want) {
			t.Errorf("%s: got %v, %v; want %s", test.name, got, err, test.want)
		}
		if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.problem)
		}
	}
}

func TestSyntaxErrorOffset(t *testing.T) {
	_, err := Parse(packetOf(KindReply, 0x10, 1, 0x17, 1), rpc.Limits{})
	checkOffset(t, err, 6) // after four bytes of header and two of an int
}

// checkOffset checks that err is a SyntaxError at that byte of a packet.
func checkOffset(t *testing.T, err error, want int) {
	t.Helper()
	if syntax, ok := errors.AsType[*SyntaxError](err); !ok || syntax.Offset != want {
		t.Errorf("got %v, want a SyntaxError at byte %d", err, want)
	}
}

func TestReadPacketAllocatesOnlyForReceivedBytes(t *testing.T) {
	allowed := budget.ForOne(rpc.Limits{Size: 1 << 30}.WithDefaults())
	for _, test := range []struct {
		name   string
		stream []byte
		most   uint64
	}{
		{"length of 4 GB", append([]byte{0xa1, 0x1c, 0xff, 0xff, 0xff, 0xff, 7}, 1, 2, 3), 10_000},
		{"length of 256 MiB, allowed", append([]byte{0xa1, 0x1c, 0x0f, 0xff, 0xff, 0xff, 7}, 1, 2, 3), 3 * firstChunk},
		{"a megabyte of a string", append([]byte{0xa1, 0x1c, 0x0f, 0xff, 0xff, 0xff, 7, 0xc1, 0x0f, 0xff, 0, 0}, make([]byte, 1<<20)...), 6 << 20},
	} {
		r := bufio.NewReader(bytes.NewReader(test.stream))
		got := allocated(func() {
			if _, err := readPacket(r, &allowed, firstChunk, notWaiting); err == nil {
				t.Errorf("%s: got a packet, want an error", test.name)
			}
		})
		if got > test.most {
			t.Errorf("%s: %d bytes allocated, want at most %d", test.name, got, test.most)
		}
	}
}

// FuzzParse checks that Parse does not panic, and that a parsed packet can be encoded
// and parsed again.
func FuzzParse(f *testing.F) {
	for _, capture := range captures(f) {
		f.Add(capture.packet)
	}
	for _, test := range hostilePackets {
		if packet := test.packet(); len(packet) < 10_000 {
			f.Add(packet)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		message, err := Parse(packet, rpc.Limits{})
		if err != nil {
			checkParseError(t, err)
			return
		}
		written, err := appendMessage(message)
		if err != nil {
			t.Fatalf("encode %v: %v", message.Value, err)
		}
		again, err := Parse(written, rpc.Limits{})
		if err != nil {
			t.Fatalf("parse %x again: %v", written, err)
		}
		if again.Kind != message.Kind || again.Cookie != message.Cookie || !sameValue(message.Value, again.Value) {
			t.Fatalf("parsed again: got %+v, want %+v", again, message)
		}
		_ = message.Fault()
		if _, err := message.Call(); message.Kind != KindRequest && err == nil {
			t.Fatal("Call returned a call of a packet that is not a request")
		}
	})
}

// appendMessage encodes a packet of any kind.
func appendMessage(message Message) ([]byte, error) {
	body, err := appendRecords(nil, []any{message.Value})
	if err != nil {
		return nil, err
	}
	return appendPacket(nil, message.Kind, message.Cookie, body)
}

// checkParseError checks that an error is one that Parse documents.
func checkParseError(t *testing.T, err error) {
	t.Helper()
	_, syntax := errors.AsType[*SyntaxError](err)
	_, limit := errors.AsType[*rpc.LimitError](err)
	if !syntax && !limit && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("the error is not documented: %v", err)
	}
}

// sameValue reports whether two values are equal. Doubles beyond 2⁵³ thousandths may
// differ slightly, because a float64 cannot represent them exactly.
func sameValue(a, b rpc.Value) bool {
	if a.Kind() != b.Kind() || a.Name() != b.Name() || a.Text() != b.Text() || a.Len() != b.Len() {
		return false
	}
	x, _ := a.Float()
	y, _ := b.Float()
	if math.Abs(x-y) > math.Abs(x)*0x1p-51 {
		return false
	}
	var others []rpc.Value
	for other := range b.All() {
		others = append(others, other)
	}
	i := 0
	for member := range a.All() {
		if !sameValue(member, others[i]) {
			return false
		}
		i++
	}
	return true
}

// FuzzReadPacket checks that readPacket reads the same packets from a stream as Parse,
// whether the bytes arrive together or one by one.
func FuzzReadPacket(f *testing.F) {
	var several []byte
	for _, capture := range captures(f) {
		f.Add(capture.packet)
		if len(several) < 2000 {
			several = append(several, capture.packet...)
		}
	}
	f.Add(several)
	f.Fuzz(func(t *testing.T, stream []byte) {
		limits := rpc.Limits{Size: 1 << 20}.WithDefaults()
		allowed := budget.ForOne(limits)
		whole := bufio.NewReader(bytes.NewReader(stream))
		slow := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
		rest := stream
		for {
			p, err := readPacket(whole, &allowed, firstChunk, notWaiting)
			slowly, slowErr := readPacket(slow, &allowed, 0, notWaiting)
			if (err == nil) != (slowErr == nil) {
				t.Fatalf("got %v, byte by byte %v", err, slowErr)
			}
			if err != nil {
				if _, parseErr := Parse(rest, limits); parseErr == nil {
					t.Fatalf("got %v, but Parse accepts the same bytes", err)
				}
				return
			}
			if p.header != slowly.header || fmt.Sprint(p.wrong) != fmt.Sprint(slowly.wrong) || !sameValue(p.value, slowly.value) {
				t.Fatalf("got %+v, byte by byte %+v", p, slowly)
			}
			packet := rest[:p.size+p.length]
			rest = rest[len(packet):]
			message, err := Parse(packet, limits)
			if fmt.Sprint(err) != fmt.Sprint(p.wrong) || !sameValue(p.value, message.Value) {
				t.Fatalf("got %+v, Parse returned %v, %v", p, message.Value, err)
			}
		}
	})
}

func notWaiting() error { return nil }
