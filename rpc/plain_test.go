package rpc

import (
	"reflect"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, test := range []struct {
		name  string
		value any
		want  any
	}{
		{"null", nil, nil},
		{"an int", -7, -7},
		{"a double", 0.5, 0.5},
		{"a whole double, which is an int over JSON-RPC", 134217728.0, 134217728},
		{"a double beyond the range of int", 1e300, 1e300},
		{"a string", "a", "a"},
		{"bytes that are not UTF-8", []byte("\xff"), "\xff"},
		{"a struct", Members{{"a", 1}, {"b", "x"}}, map[string]any{"a": 1, "b": "x"}},
		{"an empty struct", Members{}, []any{}},
		{"an array", []any{1, "a"}, []any{1, "a"}},
		{"a struct of values without names", Members{{"", 1}, {"", "a"}}, []any{1, "a"}},
		{"a repeated name", Members{{"D", 1}, {"x", 2}, {"D", 3}, {"D", 4}}, map[string]any{"D": []any{1, 3, 4}, "x": 2}},
		{"a repeated name of lists", Members{{"D", []any{1}}, {"D", []any{2}}}, map[string]any{"D": []any{[]any{1}, []any{2}}}},
		{"a repeated name of a list and a null", Members{{"D", []any{1, 2}}, {"D", nil}}, map[string]any{"D": []any{[]any{1, 2}, nil}}},
		{"some values without names", Members{{"a", 1}, {"", 2}, {"", 3}}, map[string]any{"a": 1, "": []any{2, 3}}},
		{"a list of named values", []any{Members{{"D", 1}}, Members{{"D", 2}}}, map[string]any{"D": []any{1, 2}}},
		{"a list of structs", []any{Members{{"D", 1}, {"E", 2}}, Members{{"D", 3}}}, []any{map[string]any{"D": 1, "E": 2}, map[string]any{"D": 3}}},
	} {
		if got := value(t, test.value).Plain(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.name, got, test.want)
		}
	}
	if got := (Value{}).Plain(); got != nil {
		t.Errorf("zero Value: got %#v, want nil", got)
	}
}
