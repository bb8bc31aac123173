package rpc

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestValueOfAndInterface(t *testing.T) {
	type own int
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
			t.Errorf("%#v became %#v, want %#v", test.records, got.Interface(), test.want)
		}
	}
	for _, test := range []struct {
		value any
		want  string
	}{
		{make(chan int), "a value of Go type chan int has no RPC form"},
		{own(1), "a value of Go type rpc.own has no RPC form"},
		{map[string]any{}, "a value of Go type map[string]interface {} has no RPC form"},
		{uint64(math.MaxInt64 + 1), "the number 9223372036854775808 is too large"},
	} {
		for _, record := range []any{test.value, []any{test.value}, Members{{"a", test.value}}} {
			v, err := ValueOf(record)
			if err == nil || !strings.Contains(err.Error(), test.want) || v.Exists() {
				t.Errorf("%#v: got %v, %v; want %q", record, v, err, test.want)
			}
		}
	}
}
