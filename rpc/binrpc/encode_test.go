package binrpc

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestAppendReply(t *testing.T) {
	for _, test := range []struct {
		name    string
		records []any
		want    []byte // the records
	}{
		{"no record", nil, nil},
		{"zero", []any{0}, []byte{0x00}},
		{"true", []any{true}, []byte{0x10, 1}},
		{"int", []any{255}, []byte{0x10, 0xff}},
		{"int of three bytes", []any{0x010203}, []byte{0x30, 1, 2, 3}},
		{"negative int", []any{-811675}, []byte{0x40, 0xff, 0xf3, 0x9d, 0x65}},
		{"smallest int", []any{math.MinInt32}, []byte{0x40, 0x80, 0, 0, 0}},
		{"largest unsigned int", []any{uint32(math.MaxUint32)}, []byte{0x40, 0xff, 0xff, 0xff, 0xff}},
		{"empty string", []any{""}, []byte{0x11, 0}},
		{"string", []any{"hi"}, []byte{0x31, 'h', 'i', 0}},
		{"string of seven bytes", []any{"abcdef"}, []byte{0x71, 'a', 'b', 'c', 'd', 'e', 'f', 0}},
		{"string of eight bytes", []any{"abcdefg"}, []byte{0x91, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 0}},
		{"string of 256 bytes", []any{strings.Repeat("a", 255)}, append(append([]byte{0xa1, 1, 0}, bytes.Repeat([]byte{'a'}, 255)...), 0)},
		{"NULL", []any{nil}, append([]byte{0x91, 14}, "<null string>\x00"...)},
		{"bytes", []any{[]byte{0, 1}}, []byte{0x26, 0, 1}},
		{"double zero", []any{0.0}, []byte{0x02}},
		{"double", []any{1.5}, []byte{0x22, 0x05, 0xdc}},
		{"double without an exact float64", []any{1.001}, []byte{0x22, 0x03, 0xe9}},
		{"double above 2⁵⁶ thousandths", []any{72057594037927.936}, []byte{0x82, 1, 0, 0, 0, 0, 0, 0, 0}},
		{"negative double", []any{-0.001}, []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"smallest double", []any{-9223372036854775.808}, []byte{0x82, 0x80, 0, 0, 0, 0, 0, 0, 0}},
		{"largest double", []any{9223372036854775.807}, []byte{0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"array", []any{[]any{1, []any{}}}, []byte{0x04, 0x10, 1, 0x04, 0x84, 0x84}},
		{
			"struct with and without names",
			[]any{rpc.Members{{Name: "a", Value: 1}, {Name: "a", Value: nil}, {Value: rpc.Members{}}, {Name: "abcdefg", Value: 0}}},
			[]byte("\x03\x25a\x00\x10\x01\x25a\x00\x91\x0e<null string>\x00\x03\x83\x95\x08abcdefg\x00\x00\x83"),
		},
		{"several records", []any{1, "a"}, []byte{0x10, 1, 0x21, 'a', 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := AppendReply([]byte("before"), 7, test.records...)
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]byte("before"), packetOf(KindReply, test.want...)...); !bytes.Equal(got, want) {
				t.Fatalf("got  %x\nwant %x", got, want)
			}
			message, err := Parse(got[len("before"):], rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := value(t, test.records...)
			if test.name == "largest unsigned int" { // BINRPC does not specify the sign
				want = value(t, -1)
			}
			if message.Kind != KindReply || message.Cookie != 7 || !sameValue(message.Value, want) {
				t.Errorf("parsed again: got %+v, want %v", message, want)
			}
		})
	}
}

func TestAppendRequest(t *testing.T) {
	got, err := AppendRequest(nil, 0x1234, rpc.Call{Method: "a.b", Args: []any{1, "x"}})
	want := []byte("\xa1\x01\x0a\x12\x34\x41a.b\x00\x10\x01\x21x\x00")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v; want %x", got, err, want)
	}
	message, err := Parse(got, rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	call, err := message.Call()
	if err != nil || call.String() != "a.b 1 x" || message.Cookie != 0x1234 {
		t.Errorf("parsed again: got %v with cookie %#x, %v", call, message.Cookie, err)
	}
}

func TestAppendRequestMaximumSize(t *testing.T) {
	// 5 bytes of header, 3 of the method, 4 of the argument's type, size and zero byte.
	const overhead = 12
	fits := strings.Repeat("a", maxRequest-overhead)
	request, err := AppendRequest([]byte("before"), 1, rpc.Call{Method: "m", Args: []any{fits}})
	if err != nil || len(request) != len("before")+maxRequest {
		t.Errorf("%d bytes, %v; want %d", len(request), err, maxRequest)
	}
	_, err = AppendRequest([]byte("before"), 1, rpc.Call{Method: "m", Args: []any{fits + "a"}})
	if err == nil || err.Error() != "the request m has 65536 bytes, ctl accepts at most 65535" {
		t.Errorf("got %v", err)
	}
}

func TestAppendFault(t *testing.T) {
	got, err := AppendFault(nil, 7, &rpc.Fault{Code: 404, Reason: "no"})
	want := []byte("\xa1\x30\x07\x07\x20\x01\x94\x31no\x00")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %x, %v; want %x", got, err, want)
	}
	message, err := Parse(got, rpc.Limits{})
	if fault := message.Fault(); err != nil || *fault != (rpc.Fault{Code: 404, Reason: "no"}) {
		t.Errorf("parsed again: got %v, %v", fault, err)
	}
}

func TestAppendErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		record any
		want   string
	}{
		{"int above 32 bits", int64(math.MaxUint32 + 1), "the integer 4294967296 does not fit BINRPC's 32 bits"},
		{"int below 32 bits", int64(math.MinInt32 - 1), "the integer -2147483649 does not fit BINRPC's 32 bits"},
		{"double too large", 9.3e15, "the number 9.3e+15 does not fit a BINRPC double"},
		{"double too small", -9.3e15, "the number -9.3e+15 does not fit a BINRPC double"},
		{"not a number", math.NaN(), "the number NaN does not fit a BINRPC double"},
		{"infinite", math.Inf(1), "the number +Inf does not fit a BINRPC double"},
		{"channel", make(chan int), "a value of Go type chan int cannot be encoded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, record := range []any{test.record, rpc.Members{{Name: "a", Value: []any{test.record}}}} {
				_, err := AppendReply(nil, 1, record)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("reply: got %v, want %q in it", err, test.want)
				}
				_, err = AppendRequest(nil, 1, rpc.Call{Method: "m", Args: []any{record}})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("request: got %v, want %q in it", err, test.want)
				}
			}
		})
	}
	if _, err := AppendFault(nil, 1, &rpc.Fault{Code: math.MaxInt}); err == nil && math.MaxInt != math.MaxInt32 {
		t.Error("a code beyond 32 bits was encoded")
	}
}
