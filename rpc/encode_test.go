package rpc

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValueOfAndInterface(t *testing.T) {
	inner := value(t, Members{{"x", 1}})
	for _, test := range []struct {
		records []any
		want    any
	}{
		{nil, []any{}},
		{[]any{nil}, nil},
		{[]any{false}, int64(0)},
		{[]any{true}, int64(1)},
		{[]any{int8(-1), int16(-2), int32(-3), int64(-4), -5}, []any{int64(-1), int64(-2), int64(-3), int64(-4), int64(-5)}},
		{[]any{uint8(1), uint16(2), uint32(3), uint64(4), uint(5)}, []any{int64(1), int64(2), int64(3), int64(4), int64(5)}},
		{[]any{float32(0.5)}, 0.5},
		{[]any{1.5}, 1.5},
		{[]any{"text"}, "text"},
		{[]any{[]byte("text")}, []byte("text")},
		{[]any{[]any{1, []any{}}}, []any{int64(1), []any{}}},
		{[]any{Members{{"a", 1}, {"a", "b"}, {"", Members{}}}}, Members{{"a", int64(1)}, {"a", "b"}, {"", Members{}}}},
		{[]any{Value{}}, nil},
		{[]any{inner}, Members{{"x", int64(1)}}},
		{[]any{Members{{"in", inner}}}, Members{{"in", Members{{"x", int64(1)}}}}},
	} {
		got := value(t, test.records...)
		if !reflect.DeepEqual(got.Interface(), test.want) {
			t.Errorf("%#v: got %#v, want %#v", test.records, got.Interface(), test.want)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	type recursive struct{ Next any }
	loop := &recursive{}
	loop.Next = loop
	for _, test := range []struct {
		value any
		want  string
	}{
		{make(chan int), "a value of Go type chan int cannot be encoded"},
		{func() {}, "a value of Go type func() cannot be encoded"},
		{[2]int{}, "a value of Go type [2]int cannot be encoded"},
		{map[int]string{1: "a"}, "a map with keys of Go type int cannot be encoded"},
		{struct{ C complex128 }{}, "a value of Go type complex128 cannot be encoded"},
		{uint64(math.MaxInt64 + 1), "the number 9223372036854775808 is too large"},
		{failing{}, "encode a value of Go type rpc.failing: no text"},
		{loop, "nested deeper than 1000 levels"},
	} {
		for _, record := range []any{test.value, []any{test.value}, Members{{"a", test.value}}, map[string]any{"a": test.value}} {
			v, err := Encode(record)
			if err == nil || !strings.Contains(err.Error(), test.want) || v.Exists() {
				t.Errorf("%T: got %v, %v; want %q", record, v, err, test.want)
			}
		}
	}
}

// failing is a TextMarshaler that returns an error.
type failing struct{}

func (failing) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

func TestEncode(t *testing.T) {
	type own int
	type Inner struct {
		X int
		Y string `rpc:"y"`
	}
	type hidden struct{ Seen, Both string }
	var none *Inner
	for _, test := range []struct {
		value any
		want  string
	}{
		{own(3), "3"},
		{struct{}{}, "[]"},
		{Inner{1, "a"}, `{"X":1,"y":"a"}`},
		{&Inner{1, "a"}, `{"X":1,"y":"a"}`},
		{none, "null"},
		{[]int(nil), "null"},
		{[]byte(nil), "null"},
		{map[string]int(nil), "null"},
		{Members(nil), "[]"},
		{[]Inner{{1, "a"}, {2, "b"}}, `[{"X":1,"y":"a"},{"X":2,"y":"b"}]`},
		{map[string]any{"b": 1, "a": []bool{true, false}}, `{"a":[1,0],"b":1}`},
		{struct {
			*Inner
			hidden
			X       float32
			Both    string
			Skipped int `rpc:"-"`
			private int
		}{hidden: hidden{"s", "inner"}, X: 0.5, Both: "outer"}, `{"Seen":"s","X":0.5,"Both":"outer"}`},
		{struct{ Inner *Inner }{&Inner{}}, `{"Inner":{"X":0,"y":""}}`},
		{netip.MustParseAddr("192.0.2.1"), `"192.0.2.1"`},
		{struct{ N big.Int }{*big.NewInt(7)}, `{"N":"7"}`}, // only *big.Int is a TextMarshaler
		{struct{ V, None Value }{V: value(t, Members{{"a", 1}})}, `{"V":{"a":1},"None":null}`},
	} {
		got, err := Encode(test.value)
		if err != nil || got.String() != test.want {
			t.Errorf("%#v: got %v, %v; want %s", test.value, got, err, test.want)
		}
	}
}

// everything has fields of the types that Encode and Decode handle.
type everything struct {
	Bool     bool
	Int      int64  `rpc:"int"`
	Small    int8   `rpc:"small"`
	Uint     uint32 `rpc:"uint"`
	Float    float64
	Text     string            `rpc:"text"`
	Raw      []byte            `rpc:"raw"`
	When     time.Time         `rpc:"when"`
	Pointer  *int              `rpc:"pointer"`
	Texts    []string          `rpc:"texts"`
	Rows     []everything      `rpc:"rows"`
	Lists    [][]int           `rpc:"lists"`
	Numbers  map[string]int    `rpc:"numbers"`
	Children map[string]*inner `rpc:"children"`
	Members  Members           `rpc:"members"`
	inner
}

type inner struct {
	A int `rpc:"a"`
	B []byte
}

func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	seven := 7
	for _, want := range []everything{
		{Members: Members{}}, // nil Members would be decoded as empty Members
		{
			Bool: true, Int: math.MinInt64, Small: -1, Uint: math.MaxUint32, Float: 0.1, Text: "a\x00\xff", Raw: []byte{0, 1},
			When: time.Date(2026, 11, 23, 6, 0, 0, 1, time.UTC), Pointer: &seven, Texts: []string{"", "b"},
			Rows: []everything{{Text: "only", Members: Members{}}}, Lists: [][]int{{1}, {}, {2, 3}}, Numbers: map[string]int{"": 1, "b": -2},
			Children: map[string]*inner{"x": {A: 1}, "none": nil}, inner: inner{A: 2, B: []byte("b")},
			Members: Members{{"DEST", "a"}, {"DEST", int64(1)}, {"", Members{}}},
		},
	} {
		v, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		var got everything
		if err := v.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("decode %v: got %+v, %v; want %+v", v, got, err, want)
		}
	}
}
