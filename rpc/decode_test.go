package rpc

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

type base struct {
	ID    int
	Inner string `rpc:"inner"`
}

type Exported struct{ Deep string }

type named struct {
	base
	*Exported
	Upper   string `rpc:"UPPER"`
	AnyCase string
	Skipped string  `rpc:"-"`
	Pointer *uint32 `rpc:"ptr"`
	hidden  string
}

type fallible string

func (f *fallible) UnmarshalText(text []byte) error {
	if string(text) == "bad" {
		return errors.New("invalid text")
	}
	*f = fallible("<" + string(text) + ">")
	return nil
}

func pointer[T any](v T) *T { return &v }

// decodeTests contains values that are decoded into a new variable of want's type.
var decodeTests = []struct {
	name  string
	value any
	want  any
}{
	{"int", 5, 5},
	{"int8", -128, int8(-128)},
	{"int64", -1, int64(-1)},
	{"unsigned 32 bits", -1, uint32(math.MaxUint32)},
	{"unsigned 64 bits", -811675, uint64(4294155621)},
	{"double into int", 5.0, 5},
	{"double into unsigned", 5.0, uint8(5)},
	{"int into float", -5, -5.0},
	{"double into float32", 1.5, float32(1.5)},
	{"bool", 2, true},
	{"bool of zero", 0.0, false},
	{"string", "text", "text"},
	{"bytes into string", []byte("text"), "text"},
	{"string into bytes", "text", []byte("text")},
	{"string into a type of bytes", "text", ownBytes("text")},
	{"text", "127.0.0.1", netip.MustParseAddr("127.0.0.1")},
	{"text behind pointers", "127.0.0.1", pointer(pointer(netip.MustParseAddr("127.0.0.1")))},
	{"text of a string type", "a", fallible("<a>")},
	{"texts", []any{"a", "b"}, []fallible{"<a>", "<b>"}},
	{"pointer", 5, pointer(5)},
	{"any", Members{{"a", []any{1, nil}}}, any(Members{{"a", []any{int64(1), nil}}})},
	{"list", []any{1, 2}, []int{1, 2}},
	{"list of one record", Members{{"ID", 7}}, []base{{ID: 7}}},
	{"list of one scalar", 7, []int{7}},
	{"list without names", Members{{"", 1}, {"", 2}}, []int{1, 2}},
	{"empty list", Members{}, []int{}},
	{"lists in lists", []any{[]any{1}, []any{}}, [][]int{{1}, {}}},
	{"list of ints into bytes", []any{1, 2}, []byte{1, 2}},
	{"struct", Members{{"UPPER", "u"}, {"anycase", "c"}, {"Skipped", "s"}, {"-", "s"}, {"hidden", "h"}, {"other", 1}},
		named{Upper: "u", AnyCase: "c"}},
	{"a tag is case-sensitive", Members{{"upper", "u"}}, named{}},
	{"embedded", Members{{"id", 3}, {"inner", "i"}}, named{base: base{3, "i"}}},
	{"embedded pointer", Members{{"Deep", "d"}}, named{Exported: &Exported{"d"}}},
	{"pointer in a struct", Members{{"ptr", -1}}, named{Pointer: pointer(uint32(math.MaxUint32))}},
	{"first value of a repeated name", Members{{"ID", 1}, {"ID", 2}}, base{ID: 1}},
	{"first value of a repeated name for bytes", Members{{"B", "x"}, {"B", "y"}}, struct{ B []byte }{[]byte("x")}},
	{"all values of a repeated name", Members{{"DEST", Members{{"ID", 1}}}, {"OTHER", 5}, {"DEST", Members{{"ID", 2}}}, {"DEST", Members{{"ID", 3}}}},
		struct{ Dest []base }{[]base{{ID: 1}, {ID: 2}, {ID: 3}}}},
	{"single value for a slice", Members{{"DEST", Members{{"ID", 1}}}}, struct{ Dest []base }{[]base{{ID: 1}}}},
	{"a list under a name", Members{{"DEST", Members{{"", 1}, {"", 2}}}}, struct{ Dest []int }{[]int{1, 2}}},
	{"lists under a name that repeats", Members{{"G", []any{"a", "b"}}, {"G", []any{"c"}}, {"G", []any{}}},
		struct{ G [][]string }{[][]string{{"a", "b"}, {"c"}, {}}}},
	{"a null under a name that repeats", Members{{"G", nil}, {"G", 5}}, struct{ G []int }{[]int{0, 5}}},
	{"map", Members{{"a", 1}, {"b", -1}, {"a", 3}}, map[string]int{"a": 1, "b": -1}},
	{"map of a key type", Members{{"a", 1}}, map[fallible]int{"a": 1}},
	{"map of slices", Members{{"a", 1}, {"b", 2}, {"a", 3}, {"a", 4}}, map[string][]int{"a": {1, 3, 4}, "b": {2}}},
	{"map of any", Members{{"a", nil}}, map[string]any{"a": nil}},
	{"empty map", Members{}, map[string]int{}},
	{"null into int", nil, 0},
	{"null into string", nil, ""},
	{"null into a struct", nil, base{}},
	{"the outer of two fields", Members{{"A", 1}}, struct {
		A     int `rpc:"A"`
		Outer outer
	}{A: 1}},
	{"the outer of two fields with one tag", Members{{"T", 1}}, struct {
		X int `rpc:"T"`
		outer
	}{X: 1}},
	{"embedded with a name of its own", Members{{"sub", Members{{"ID", 1}}}, {"ID", 2}}, struct {
		Exported2 `rpc:"sub"`
	}{Exported2{1}}},
	{"embedded and skipped", Members{{"ID", 2}}, struct {
		Exported2 `rpc:"-"`
	}{}},
	{"embedded pointer that cannot be allocated", Members{{"ID", 2}}, struct{ *base }{}},
}

type (
	ownBytes []byte
	outer    struct {
		Y int `rpc:"T"`
	}
	Exported2 struct{ ID int }
)

func TestDecode(t *testing.T) {
	for _, test := range decodeTests {
		t.Run(test.name, func(t *testing.T) {
			dst := reflect.New(reflect.TypeOf(test.want))
			if test.name == "any" {
				dst = reflect.ValueOf(new(any))
			}
			if err := value(t, test.value).Decode(dst.Interface()); err != nil {
				t.Fatal(err)
			}
			if got := dst.Elem().Interface(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestDecodeIntoValue(t *testing.T) {
	var dst struct {
		Raw  Value
		Null Value
		All  []Value `rpc:"a"`
	}
	v := value(t, Members{{"raw", Members{{"x", 1}}}, {"null", nil}, {"a", 1}, {"a", "b"}})
	if err := v.Decode(&dst); err != nil {
		t.Fatal(err)
	}
	if dst.Raw.Get("x").String() != "1" || dst.Null.Kind() != KindNull || len(dst.All) != 2 || dst.All[1].Text() != "b" {
		t.Errorf("got %+v", dst)
	}
}

func TestDecodeKeepsFieldsWithoutValue(t *testing.T) {
	dst := named{base: base{ID: 1}, Upper: "before", Pointer: pointer(uint32(1)), hidden: "h"}
	if err := value(t, Members{{"UPPER", nil}, {"ptr", nil}}).Decode(&dst); err != nil {
		t.Fatal(err)
	}
	if dst.Upper != "before" || dst.ID != 1 || dst.Pointer != nil || dst.hidden != "h" {
		t.Errorf("got %+v", dst)
	}
	list, table, face := []int{1}, map[string]int{"a": 1, "b": 2}, any(1)
	if err := value(t, Members{{"b", 3}, {"c", 4}}).Decode(&table); err != nil || !reflect.DeepEqual(table, map[string]int{"a": 1, "b": 3, "c": 4}) {
		t.Errorf("got %v, %v", table, err)
	}
	for _, dst := range []any{&list, &table, &face} {
		if err := value(t, nil).Decode(dst); err != nil {
			t.Error(err)
		}
	}
	if list != nil || table != nil || face != nil {
		t.Errorf("decode a null: got %v, %v, %v; want nil", list, table, face)
	}
}

func TestDecodeErrors(t *testing.T) {
	type row struct {
		Small  int8
		Octet  uint8
		Count  uint64 `rpc:"COUNT"`
		Float  float32
		Text   string
		Addr   netip.Addr
		List   []int8
		Map    map[string]int8
		Nested *row
		Func   func()
		Face   error
		Keys   map[int]int
		Fixed  [2]int
	}
	for _, test := range []struct {
		name  string
		value any
		path  string
		want  string
	}{
		{"too large", Members{{"small", 128}}, "small", "decode at small: the number 128 does not fit Go type int8"},
		{"too large without a sign", Members{{"octet", 256}}, "octet", "the number 256 does not fit Go type uint8"},
		{"negative for an octet", Members{{"octet", -1}}, "octet", "the number -1 does not fit Go type uint8"},
		{"negative double", Members{{"COUNT", -1.0}}, "COUNT", "decode at COUNT: the number -1 does not fit Go type uint64"},
		{"a fraction", Members{{"small", 1.5}}, "small", "the number 1.5 does not fit Go type int8"},
		{"a float too large", Members{{"float", 1e300}}, "float", "the number 1e+300 does not fit Go type float32"},
		{"text for a number", Members{{"small", "1"}}, "small", "decode at small: a value of kind string does not fit Go type int8"},
		{"a number for text", Members{{"text", 1}}, "text", "a value of kind int does not fit Go type string"},
		{"a struct for text", Members{{"text", Members{}}}, "text", "a value of kind struct does not fit Go type string"},
		{"text that is refused", Members{{"addr", "no"}}, "addr", "decode at addr: ParseAddr"},
		{"in a list", Members{{"list", []any{1, 300}}}, "list", "the number 300 does not fit Go type int8"},
		{"in a list by repetition", Members{{"list", 1}, {"list", 300}}, "list", "the number 300 does not fit Go type int8"},
		{"the first of a repetition", Members{{"list", []any{1}}, {"list", 2}}, "list", "a value of kind array does not fit Go type int8"},
		{"in a map", Members{{"map", Members{{"key", 300}}}}, "map.key", "the number 300 does not fit Go type int8"},
		{"deep", Members{{"nested", Members{{"nested", Members{{"COUNT", "x"}}}}}}, "nested.nested.COUNT", "kind string does not fit Go type uint64"},
		{"a scalar for a struct", Members{{"nested", 1}}, "nested", "kind int does not fit Go type rpc.row"},
		{"a scalar for a map", Members{{"map", 1}}, "map", "kind int does not fit Go type map[string]int8"},
		{"a map of other keys", Members{{"keys", Members{}}}, "keys", "kind struct does not fit Go type map[int]int"},
		{"a function", Members{{"func", 1}}, "func", "does not fit Go type func()"},
		{"an interface with methods", Members{{"face", 1}}, "face", "kind int does not fit Go type error"},
		{"an array", Members{{"fixed", []any{1, 2}}}, "fixed", "kind array does not fit Go type [2]int"},
		{"at the top", 5, "", "decode: a value of kind int does not fit Go type rpc.row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := value(t, test.value).Decode(&row{})
			misfit, ok := errors.AsType[*DecodeError](err)
			if !ok || misfit.Path != test.path || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q at %q", err, test.want, test.path)
			}
		})
	}
	var bad fallible
	if err := value(t, "bad").Decode(&bad); errors.Unwrap(err) == nil || errors.Unwrap(err).Error() != "invalid text" {
		t.Errorf("got %v", err)
	}
}

func TestDecodeStopsAtTheFirstError(t *testing.T) {
	var dst struct{ A, B, C int }
	if err := value(t, Members{{"A", 1}, {"B", "x"}, {"C", 3}}).Decode(&dst); err == nil {
		t.Error("got no error")
	}
	if dst.A != 1 || dst.C != 0 {
		t.Errorf("got %+v", dst)
	}
}

func TestDecodeIntoNonPointer(t *testing.T) {
	for _, dst := range []any{nil, 5, (*int)(nil), struct{}{}} {
		if err := value(t, 5).Decode(dst); err == nil || !strings.Contains(err.Error(), "the destination must be a non-nil pointer") {
			t.Errorf("%T: got %v", dst, err)
		}
	}
	var dst int
	if err := (Value{}).Decode(&dst); err == nil || err.Error() != "decode into *int: the value is absent" {
		t.Errorf("got %v", err)
	}
}
