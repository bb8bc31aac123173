package binrpc

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// packetOf returns a packet with these bytes as its records.
func packetOf(kind Kind, records ...byte) []byte {
	return append(appendHeader(nil, kind, len(records), 7), records...)
}

// value returns the value of the records, for comparisons.
func value(t testing.TB, records ...any) rpc.Value {
	t.Helper()
	v, err := rpc.ValueOf(records...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// decodeTests contains records as bytes, according to the format in the package's
// documentation.
var decodeTests = []struct {
	name    string
	records []byte
	want    []any
}{
	{"no record", nil, nil},
	{"zero has no bytes", []byte{0x00}, []any{0}},
	{"int of one byte", []byte{0x10, 0x7f}, []any{127}},
	{"int of one byte has no sign", []byte{0x10, 0xff}, []any{255}},
	{"int of four bytes", []byte{0x40, 0x12, 0x34, 0x56, 0x78}, []any{0x12345678}},
	{"waiting of tm.stats", []byte{0x40, 0xff, 0xf3, 0x9d, 0x65}, []any{-811675}},
	{"diff_expires of uac.reg_dump", []byte{0x40, 0x94, 0xfd, 0x39, 0xe7}, []any{-1795343897}},
	{"all bits of an int", []byte{0x40, 0xff, 0xff, 0xff, 0xff}, []any{-1}},
	{"int with leading zeros", []byte{0x40, 0, 0, 0, 5}, []any{5}},
	{"int with a separate size", []byte{0x90, 0x01, 0x05}, []any{5}},
	{"empty string", []byte{0x11, 0x00}, []any{""}},
	{"string", []byte{0x31, 'h', 'i', 0}, []any{"hi"}},
	{"string of seven bytes", []byte{0x71, 'a', 'b', 'c', 'd', 'e', 'f', 0}, []any{"abcdef"}},
	{"string of eight bytes", []byte{0x91, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 0}, []any{"abcdefg"}},
	{"string with a size of four bytes", []byte{0xc1, 0, 0, 0, 3, 'h', 'i', 0}, []any{"hi"}},
	{"string that is not UTF-8", []byte{0x31, 0xff, 0xfe, 0}, []any{"\xff\xfe"}},
	{"string without its zero byte", []byte{0x21, 'h', 'i'}, []any{"hi"}},
	{"string with two zero bytes", []byte{0x31, 'h', 0, 0}, []any{"h\x00"}},
	{"string of no bytes at all", []byte{0x01}, []any{""}},
	{"string of no bytes with a separate size", []byte{0x91, 0x00}, []any{""}},
	{"NULL", append([]byte{0x91, 14}, "<null string>\x00"...), []any{nil}},
	{"almost NULL", append([]byte{0x91, 15}, "<null string>!\x00"...), []any{"<null string>!"}},
	{"bytes", []byte{0x36, 1, 0, 0}, []any{[]byte{1, 0, 0}}},
	{"bytes that look like NULL", append([]byte{0x96, 13}, "<null string>"...), []any{[]byte("<null string>")}},
	{"double zero", []byte{0x02}, []any{0.0}},
	{"double", []byte{0x22, 0x05, 0xdc}, []any{1.5}},
	{"double of one byte has no sign", []byte{0x12, 0xff}, []any{0.255}},
	{"double of seven bytes", []byte{0x72, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []any{72057594037927.935}},
	{"double above 2⁵⁶ thousandths", []byte{0x82, 0x01, 0, 0, 0, 0, 0, 0, 0}, []any{72057594037927.936}},
	{"negative double", []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []any{-0.001}},
	{"double that overflowed", []byte{0x82, 0x80, 0, 0, 0, 0, 0, 0, 0}, []any{-9223372036854775.808}},
	{"several records", []byte{0x10, 1, 0x21, 'a', 0, 0x12, 250}, []any{1, "a", 0.25}},
	{"empty struct", []byte{0x03, 0x83}, []any{rpc.Members{}}},
	{"empty array", []byte{0x04, 0x84}, []any{[]any{}}},
	{"array", []byte{0x04, 0x10, 1, 0x00, 0x84}, []any{[]any{1, 0}}},
	{"struct", []byte{0x03, 0x25, 'a', 0, 0x10, 1, 0x83}, []any{rpc.Members{{Name: "a", Value: 1}}}},
	{"name of eight bytes", []byte{0x03, 0x95, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 0, 0x00, 0x83}, []any{rpc.Members{{Name: "abcdefg", Value: 0}}}},
	{
		"name that repeats",
		[]byte{0x03, 0x25, 'a', 0, 0x10, 1, 0x25, 'a', 0, 0x10, 2, 0x83},
		[]any{rpc.Members{{Name: "a", Value: 1}, {Name: "a", Value: 2}}},
	},
	{
		"values without a name in a struct",
		[]byte{0x03, 0x03, 0x25, 'a', 0, 0x00, 0x83, 0x10, 5, 0x83},
		[]any{rpc.Members{{Value: rpc.Members{{Name: "a", Value: 0}}}, {Value: 5}}},
	},
	{
		"struct and array as members",
		[]byte{0x03, 0x25, 's', 0, 0x03, 0x83, 0x25, 'l', 0, 0x04, 0x84, 0x25, 'n', 0, 0x00, 0x83},
		[]any{rpc.Members{{Name: "s", Value: rpc.Members{}}, {Name: "l", Value: []any{}}, {Name: "n", Value: 0}}},
	},
}

func TestParseRecords(t *testing.T) {
	for _, test := range decodeTests {
		t.Run(test.name, func(t *testing.T) {
			message, err := Parse(packetOf(KindReply, test.records...), rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if want := value(t, test.want...); !sameValue(message.Value, want) {
				t.Errorf("got %v of kind %v, want %v of kind %v", message.Value, message.Value.Kind(), want, want.Kind())
			}
		})
	}
}

func TestIntIsReadSignedAndUnsigned(t *testing.T) {
	for _, test := range []struct {
		records  []byte
		signed   int64
		unsigned uint64
	}{
		{[]byte{0x40, 0xff, 0xf3, 0x9d, 0x65}, -811675, 4294155621},
		{[]byte{0x40, 0xff, 0xff, 0xff, 0xff}, -1, 4294967295},
		{[]byte{0x40, 0x80, 0x00, 0x00, 0x00}, -2147483648, 2147483648},
		{[]byte{0x40, 0x7f, 0xff, 0xff, 0xff}, 2147483647, 2147483647},
		{[]byte{0x30, 0xff, 0xff, 0xff}, 16777215, 16777215},
	} {
		message, err := Parse(packetOf(KindReply, test.records...), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := message.Value.Int(); got != test.signed || !ok {
			t.Errorf("%x read as signed is %d, %v; want %d", test.records, got, ok, test.signed)
		}
		if got, ok := message.Value.Uint(); got != test.unsigned || !ok {
			t.Errorf("%x read as unsigned is %d, %v; want %d", test.records, got, ok, test.unsigned)
		}
	}
}

// hostilePackets contains packets that Parse must reject, with a part of the error.
var hostilePackets = []struct {
	name   string
	packet func() []byte
	want   string
}{
	{"nothing", func() []byte { return nil }, "unexpected EOF"},
	{"garbage", func() []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, "0x48 instead of 0xa1"},
	{"another version", func() []byte { return []byte{0xa2, 0x10, 0x00, 0x00} }, "0xa2 instead of"},
	{"unknown flags", func() []byte { return []byte{0xa1, 0x20, 0x00, 0x00} }, "unknown packet flags 0x2"},
	{"all ones", func() []byte { return bytes.Repeat([]byte{0xff}, 64) }, "0xff instead of"},
	{"length of 4 GB", func() []byte { return []byte{0xa1, 0x1c, 0xff, 0xff, 0xff, 0xff, 0x07} }, "limit of 16777216 bytes"},
	{"length over the limit by one", func() []byte { return []byte{0xa1, 0x1c, 0x01, 0x00, 0x00, 0x01, 0x07} }, "limit of 16777216 bytes"},
	{"more bytes than the length", func() []byte { return append(packetOf(KindReply, 0x00), 0x00) }, "1 bytes after the packet at byte 5"},
	{"fewer bytes than the length", func() []byte { return packetOf(KindReply, 0x10, 0x01)[:5] }, "5 of the 6 bytes of a packet: unexpected EOF"},
	{"int of five bytes", func() []byte { return packetOf(KindReply, 0x50, 1, 2, 3, 4, 5) }, "int of 5 bytes"},
	{"int of five bytes with a separate size", func() []byte { return packetOf(KindReply, 0x90, 5, 1, 2, 3, 4, 5) }, "int of 5 bytes"},
	{"double of nine bytes", func() []byte { return packetOf(KindReply, 0x92, 1, 2, 3, 4, 5, 6, 7, 8, 9) }, "double of 9 bytes"},
	{"size without its bytes", func() []byte { return packetOf(KindReply, 0xc1, 0xff) }, "a size of 4 bytes, but only 1 are left"},
	{"size of no bytes", func() []byte { return packetOf(KindReply, 0x81, 0x00) }, "a size of 0 bytes"},
	{"size of seven bytes", func() []byte { return packetOf(KindReply, 0xf1, 0, 0, 0, 0, 0, 0, 1, 0) }, "a size of 7 bytes"},
	{"size field all ones", func() []byte { return packetOf(KindReply, 0xc1, 0xff, 0xff, 0xff, 0xff, 'a', 0) }, "bytes, but only 2 are left"},
	{"name with a size all ones", func() []byte { return packetOf(KindReply, 0x03, 0xc5, 0xff, 0xff, 0xff, 0xff, 0x83) }, "but only 1 are left"},
	{"string cut off", func() []byte { return packetOf(KindReply, 0x31, 'a', 'b') }, "record of 3 bytes, but only 2 are left"},
	{"unknown type", func() []byte { return packetOf(KindReply, 0x17, 1) }, "unknown type 7"},
	{"all values of an octet", func() []byte { return packetOf(KindReply, 0x0f) }, "unknown type 15"},
	{"struct without an end", func() []byte { return packetOf(KindReply, 0x03, 0x10, 1) }, "struct without an end at byte 7"},
	{"array without an end", func() []byte { return packetOf(KindReply, 0x04) }, "array without an end"},
	{"end without a struct", func() []byte { return packetOf(KindReply, 0x83) }, "the end of a struct that was not started"},
	{"struct ended as an array", func() []byte { return packetOf(KindReply, 0x03, 0x84) }, "the end of an array that was not started"},
	{"array ended as a struct", func() []byte { return packetOf(KindReply, 0x04, 0x83) }, "the end of a struct that was not started"},
	{"struct with a size", func() []byte { return packetOf(KindReply, 0x13, 1) }, "size 1, which is neither start nor end"},
	{"name without a value", func() []byte { return packetOf(KindReply, 0x03, 0x25, 'a', 0, 0x83) }, "a name without a value"},
	{"name without a value, and a value", func() []byte { return packetOf(KindReply, 0x03, 0x25, 'a', 0, 0x83, 0x00) }, "a name without a value at byte 8"},
	{"name at the end", func() []byte { return packetOf(KindReply, 0x03, 0x25, 'a', 0) }, "a name without a value"},
	{"name after a name", func() []byte { return packetOf(KindReply, 0x03, 0x25, 'a', 0, 0x25, 'b', 0, 0x00, 0x83) }, "a name after a name"},
	{"name outside of a struct", func() []byte { return packetOf(KindReply, 0x25, 'a', 0, 0x00) }, "a name outside of a struct"},
	{"name in an array", func() []byte { return packetOf(KindReply, 0x04, 0x25, 'a', 0, 0x00, 0x84) }, "a name outside of a struct"},
	{"structs 65 deep", func() []byte {
		return packetOf(KindReply, append(bytes.Repeat([]byte{0x03}, 65), bytes.Repeat([]byte{0x83}, 65)...)...)
	}, "limit of 64 nested structs and arrays"},
	{"ten million deep", func() []byte { return packetOf(KindReply, bytes.Repeat([]byte{0x03}, 10_000_000)...) }, "limit of 64 nested structs and arrays"},
	{"a megabyte of records of one byte", func() []byte { return packetOf(KindReply, bytes.Repeat([]byte{0x00}, 1<<20)...) }, "limit of 1000000 values"},
	{"a megabyte of names", func() []byte {
		return packetOf(KindReply, append([]byte{0x03}, bytes.Repeat([]byte{0x05}, 1<<20)...)...)
	}, "a name after a name"},
	{"a megabyte of structs", func() []byte { return packetOf(KindReply, bytes.Repeat([]byte{0x03, 0x83}, 1<<20)...) }, "limit of 1000000 values"},
}

func TestParseHostile(t *testing.T) {
	for _, test := range hostilePackets {
		t.Run(test.name, func(t *testing.T) {
			message, err := Parse(test.packet(), rpc.Limits{})
			if err == nil {
				t.Fatalf("got %.100v, want an error", message.Value)
			}
			checkParseError(t, err)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
		})
	}
}

func TestParseTruncated(t *testing.T) {
	for _, capture := range captures(t) {
		for n := range capture.packet {
			// Here the bytes end before the packet, below the records end too early.
			if _, err := Parse(capture.packet[:n], rpc.Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, %d bytes of %d: %v", capture.name, n, len(capture.packet), err)
			}
			if len(capture.packet) > 2000 && n%97 != 0 {
				continue // to save time
			}
			h, err := parseHeader(capture.packet)
			if err != nil {
				t.Fatal(err)
			}
			if n < h.size {
				continue
			}
			if _, err := Parse(packetOf(h.kind, capture.packet[h.size:n]...), rpc.Limits{}); err != nil {
				checkParseError(t, err)
			}
		}
	}
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestParseAllocatesOnlyForReceivedBytes(t *testing.T) {
	for _, test := range []struct {
		name   string
		packet []byte
		limits rpc.Limits
		most   uint64
	}{
		{"length of 4 GB", []byte{0xa1, 0x1c, 0xff, 0xff, 0xff, 0xff, 7}, rpc.Limits{}, 10_000},
		{"length of 4 GB, allowed", []byte{0xa1, 0x1c, 0xff, 0xff, 0xff, 0xff, 7}, rpc.Limits{Size: 1 << 30}, 10_000},
		{"size of 4 GB", packetOf(KindReply, 0xc1, 0xff, 0xff, 0xff, 0xff, 'a', 0), rpc.Limits{}, 10_000},
		{"ten million deep", packetOf(KindReply, bytes.Repeat([]byte{3}, 10_000_000)...), rpc.Limits{}, 40_000_000},
	} {
		got := allocated(func() {
			if _, err := Parse(test.packet, test.limits); err == nil {
				t.Errorf("%s: got a value, want an error", test.name)
			}
		})
		if got > test.most {
			t.Errorf("%s: %d bytes allocated, want at most %d", test.name, got, test.most)
		}
	}
}
