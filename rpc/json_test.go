package rpc

import (
	"encoding/json"
	"math"
	"testing"
)

func TestMarshalJSON(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "null"},
		{-811675, "-811675"},
		{1.5, "1.5"},
		{-9223372036854775.808, "-9223372036854776"},
		{1e15, "1000000000000000"},
		{math.NaN(), "null"},
		{math.Inf(-1), "null"},
		{`a "quoted" \ text` + "\n", `"a \"quoted\" \\ text\n"`},
		{"<sip:a@b>;x=1&2", `"<sip:a@b>;x=1&2"`},
		{"\xff", `"\ufffd"`},
		{[]byte("x"), `"x"`},
		{Members{}, "[]"},
		{Members{{"", 1}, {"", "a"}}, `[1,"a"]`},
		{Members{{"a", 1}, {"a", 2}, {"", 3}}, `[{"a":1},{"a":2},3]`},
		{[]any{}, "[]"},
		{[]any{Members{{`"`, []any{nil}}}}, `[{"\"":[null]}]`},
	} {
		v := value(t, test.value)
		got, err := v.MarshalJSON()
		if err != nil || string(got) != test.want || v.String() != test.want {
			t.Errorf("%#v: got %s, %v; want %s", test.value, got, err, test.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s is not valid JSON", got)
		}
	}
	got, err := json.Marshal(struct{ V, None Value }{V: value(t, "<a>")})
	if want := `{"V":"\u003ca\u003e","None":null}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
