package rpc

import (
	"iter"
	"math"
	"slices"
	"testing"
)

// value returns the value of the records.
func value(t testing.TB, records ...any) Value {
	t.Helper()
	v, err := ValueOf(records...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{
		KindAbsent: "nothing", KindNull: "null", KindInt: "int", KindDouble: "double", KindString: "string",
		KindBytes: "bytes", KindStruct: "struct", KindArray: "array", KindArray + 1: "kind 8", 255: "kind 255",
	} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d is %q, want %q", uint8(kind), got, want)
		}
	}
}

func TestValueScalars(t *testing.T) {
	type accessors struct {
		kind   Kind
		i      int64
		isInt  bool
		u      uint64
		isUint bool
		f      float64
		isNum  bool
		text   string
	}
	for _, test := range []struct {
		value any
		want  accessors
	}{
		{nil, accessors{kind: KindNull}},
		{0, accessors{KindInt, 0, true, 0, true, 0, true, ""}},
		{true, accessors{KindInt, 1, true, 1, true, 1, true, ""}},
		{42, accessors{KindInt, 42, true, 42, true, 42, true, ""}},
		{-1, accessors{KindInt, -1, true, math.MaxUint32, true, -1, true, ""}},
		{-811675, accessors{KindInt, -811675, true, 4294155621, true, -811675, true, ""}},
		{math.MinInt32, accessors{KindInt, math.MinInt32, true, 1 << 31, true, math.MinInt32, true, ""}},
		{int64(math.MinInt32 - 1), accessors{KindInt, math.MinInt32 - 1, true, 0, false, math.MinInt32 - 1, true, ""}},
		{uint32(math.MaxUint32), accessors{KindInt, math.MaxUint32, true, math.MaxUint32, true, math.MaxUint32, true, ""}},
		{int64(math.MaxInt64), accessors{KindInt, math.MaxInt64, true, math.MaxInt64, true, math.MaxInt64, true, ""}},
		{1.999, accessors{KindDouble, 1, true, 1, true, 1.999, true, ""}},
		{-0.5, accessors{KindDouble, 0, true, 0, false, -0.5, true, ""}},
		{-1.5, accessors{KindDouble, -1, true, 0, false, -1.5, true, ""}}, // a double has a sign
		{-0x1p63, accessors{KindDouble, math.MinInt64, true, 0, false, -0x1p63, true, ""}},
		{float32(0.25), accessors{KindDouble, 0, true, 0, true, 0.25, true, ""}},
		{"", accessors{kind: KindString}},
		{"12", accessors{kind: KindString, text: "12"}},
		{"\xff\x00", accessors{kind: KindString, text: "\xff\x00"}},
		{[]byte{1, 2}, accessors{kind: KindBytes, text: "\x01\x02"}},
		{Members{{Name: "a", Value: 1}}, accessors{kind: KindStruct}},
		{[]any{1}, accessors{kind: KindArray}},
	} {
		v := value(t, test.value)
		got := accessors{kind: v.Kind(), text: v.Text()}
		got.i, got.isInt = v.Int()
		got.u, got.isUint = v.Uint()
		got.f, got.isNum = v.Float()
		if got != test.want || !v.Exists() || v.Name() != "" {
			t.Errorf("%#v: got %+v, want %+v", test.value, got, test.want)
		}
	}
	for _, beyond := range []float64{0x1p63, -0x1.1p63, math.Inf(1), math.NaN()} {
		v := value(t, beyond)
		if _, ok := v.Int(); ok {
			t.Errorf("%v: got an integer, want false", beyond)
		}
		if _, ok := v.Uint(); ok {
			t.Errorf("%v: got an integer, want false", beyond)
		}
	}
}

func TestZeroValue(t *testing.T) {
	var v Value
	_, isInt := v.Int()
	_, isUint := v.Uint()
	_, isFloat := v.Float()
	if v.Exists() || v.Kind() != KindAbsent || v.Name() != "" || v.Text() != "" || isInt || isUint || isFloat || v.Len() != 0 {
		t.Error("the zero Value is not absent")
	}
	for range v.All() {
		t.Error("All yields")
	}
	for range v.Rows() {
		t.Error("Rows yields")
	}
	if v.Get("a").Exists() || v.Interface() != nil || v.String() != "null" {
		t.Error("the zero Value contains a value")
	}
}

// targets is similar to a reply to dispatcher.list: structs in structs, and a name that
// repeats.
var targets = Members{
	{"ID", 1},
	{"TARGETS", Members{
		{"DEST", Members{{"URI", "sip:a"}, {"PRIORITY", 3}}},
		{"DEST", Members{{"URI", "sip:b"}}},
		{"NOTE", nil},
		{"DEST", Members{{"URI", "sip:c"}}},
	}},
	{"FLAGS", "AP"},
}

func texts(values iter.Seq[Value]) []string {
	var all []string
	for v := range values {
		all = append(all, v.String())
	}
	return all
}

func TestValueMembers(t *testing.T) {
	v := value(t, targets)
	var names []string
	for member := range v.All() {
		names = append(names, member.Name())
	}
	if want := []string{"ID", "TARGETS", "FLAGS"}; !slices.Equal(names, want) || v.Len() != 3 {
		t.Errorf("names %v, length %d; want %v", names, v.Len(), want)
	}
	got := texts(v.Get("TARGETS").Named("DEST"))
	if want := []string{`{"URI":"sip:a","PRIORITY":3}`, `{"URI":"sip:b"}`, `{"URI":"sip:c"}`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := v.Get("TARGETS").Get("DEST").Get("URI").Text(); got != "sip:a" {
		t.Errorf("Get of a repeated name: got %q, want the first value", got)
	}
	for _, none := range []Value{v.Get("id"), v.Get(""), v.Get("ID").Get("ID"), value(t, []any{targets}).Get("ID")} {
		if none.Exists() {
			t.Errorf("got %v, want the zero Value", none)
		}
	}
	if v := v.Get("TARGETS").Get("NOTE"); !v.Exists() || v.Kind() != KindNull {
		t.Error("a null is absent")
	}
	if v.Get("FLAGS").Text() != "AP" {
		t.Error("the value after a struct is missing")
	}
}

func TestValueBreakFromLoop(t *testing.T) {
	v := value(t, Members{{"a", 1}, {"a", 2}, {"a", 3}})
	for name, values := range map[string]iter.Seq[Value]{
		"All": v.All(), "Named": v.Named("a"), "Rows": v.Rows(), "Rows of a list": value(t, 1, 2, 3).Rows(),
	} {
		n := 0
		for range values {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%s: %d iterations, want 1", name, n)
		}
	}
}

func TestValueRows(t *testing.T) {
	for _, test := range []struct {
		name    string
		records []any
		want    []string
	}{
		{"no record", nil, nil},
		{"one record", []any{Members{{"a", 1}}}, []string{`{"a":1}`}},
		{"two records", []any{Members{{"a", 1}}, Members{{"a", 2}}}, []string{`{"a":1}`, `{"a":2}`}},
		{"a scalar", []any{5}, []string{"5"}},
		{"null", []any{nil}, nil},
		{"an array", []any{[]any{1, nil}}, []string{"1", "null"}},
		{"an empty array", []any{[]any{}}, nil},
		{"an empty struct", []any{Members{}}, nil},
		{"a struct without names", []any{Members{{"", Members{{"a", 1}}}, {"", 2}}}, []string{`{"a":1}`, "2"}},
		{"a struct with names too", []any{Members{{"", 1}, {"a", 2}}}, []string{`{"":1,"a":2}`}},
	} {
		if got := texts(value(t, test.records...).Rows()); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
