package jsonrpc

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func result(json string) string { return `{"jsonrpc":"2.0","result":` + json + `,"id":7}` }

func TestParse(t *testing.T) {
	tests := []struct {
		name, result string
		want         []any
	}{
		{"a struct", `{"uptime":7}`, []any{rpc.Members{{Name: "uptime", Value: 7}}}},
		{"repeated names", `{"a":1,"a":2}`, []any{rpc.Members{{Name: "a", Value: 1}, {Name: "a", Value: 2}}}},
		{"one record", `[{"a":1,"b":2}]`, []any{rpc.Members{{Name: "a", Value: 1}, {Name: "b", Value: 2}}}},
		{"a named list alone", `[{"a":1},{"a":2}]`, []any{rpc.Members{{Name: "a", Value: 1}, {Name: "a", Value: 2}}}},
		{"a named list", `{"T":[{"D":{"x":1,"y":2}},{"D":3}]}`, []any{rpc.Members{{Name: "T", Value: rpc.Members{
			{Name: "D", Value: rpc.Members{{Name: "x", Value: 1}, {Name: "y", Value: 2}}}, {Name: "D", Value: 3},
		}}}}},
		{"a list of others", `{"T":[{"x":1,"y":2},{"x":3}]}`, []any{rpc.Members{{Name: "T", Value: []any{
			rpc.Members{{Name: "x", Value: 1}, {Name: "y", Value: 2}}, rpc.Members{{Name: "x", Value: 3}},
		}}}}},
		{"an empty list inside", `{"T":[]}`, []any{rpc.Members{{Name: "T", Value: []any{}}}}},
		{"nothing", `[]`, nil},
		{"an empty struct", `{}`, []any{rpc.Members{}}},
		{"a text", `"kamailio 6.0.1"`, []any{"kamailio 6.0.1"}},
		{"bare values", `[1,"x",null,true,false]`, []any{1, "x", nil, 1, 0}},
		{"numbers", `[1.5,-1,18446744073709547189,0.000000,1e3,-0.001000]`, []any{1.5, -1, 1.8446744073709547e19, 0.0, 1000.0, -0.001}},
		{"not UTF-8", "\"\xff\"", []any{"\uFFFD"}},
		{"a null error after it", `1,"error":null`, []any{1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			message, err := Parse([]byte(result(test.result)), rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want, err := rpc.ValueOf(test.want...)
			if err != nil {
				t.Fatal(err)
			}
			if message.ID != 7 || message.Fault != nil || message.Value.String() != want.String() || message.Value.Kind() != want.Kind() {
				t.Errorf("got %+v, want %s", message, want)
			}
		})
	}
}

func TestParseFault(t *testing.T) {
	message, err := Parse([]byte(`{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":1}`), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if fault := message.Fault; fault == nil || fault.Code != 500 || fault.Reason != "Method Not Found" || !fault.NoSuchMethod() {
		t.Errorf("got fault %v", fault)
	}
}

func TestParseInvalidReplies(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"HTML":              "<html></html>",
		"an array":          "[]",
		"an empty object":   "{}",
		"two results":       `{"jsonrpc":"2.0","result":1,"result":2,"id":1}`,
		"no result":         `{"jsonrpc":"2.0","id":1}`,
		"no version":        `{"result":1,"id":1}`,
		"another version":   `{"jsonrpc":"1.0","result":1,"id":1}`,
		"an empty error":    `{"jsonrpc":"2.0","error":{},"id":1}`,
		"an error of text":  `{"jsonrpc":"2.0","error":"x","id":1}`,
		"cut short":         `{"jsonrpc":"2.0","result":{"a":1`,
		"cut in a name":     `{"jsonrpc":"2.0","resu`,
		"data after it":     result("1") + "x",
		"a second reply":    result("1") + result("2"),
		"a huge number":     result("1e999"),
		"a number as name":  `{1:2}`,
		"missing separator": `{"a":1 "b":2}`,
	} {
		_, err := Parse([]byte(text), rpc.Limits{})
		if _, ok := errors.AsType[*SyntaxError](err); !ok {
			t.Errorf("%s: got error %v, want a SyntaxError", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	wide := "[" + strings.Repeat("0,", 2000) + "0]"
	for name, test := range map[string]struct {
		json   string
		limits rpc.Limits
	}{
		"deep":          {result(deep), rpc.Limits{}},
		"wide":          {result(wide), rpc.Limits{Values: 1000}},
		"long":          {result(`"` + strings.Repeat("x", 17<<20) + `"`), rpc.Limits{}},
		"Depth":         {result(`[[[1]]]`), rpc.Limits{Depth: 2}},
		"Values":        {result(`[1,2,3]`), rpc.Limits{Values: 3}},
		"Size":          {result(`[1,2,3]`), rpc.Limits{Size: 20}},
		"struct inside": {result(`{"a":{"b":{"c":1}}}`), rpc.Limits{Depth: 2}},
	} {
		_, err := Parse([]byte(test.json), test.limits)
		if _, ok := errors.AsType[*rpc.LimitError](err); !ok {
			t.Errorf("%s: got error %v, want a LimitError", name, err)
		}
	}
	if got, want := (rpc.Limits{}).WithDefaults(), (rpc.Limits{Size: 16 << 20, Values: 1_000_000, Depth: 64, TotalSize: 16 << 20, TotalValues: 1_000_000}); got != want {
		t.Errorf("the default limits are %+v, want %+v", got, want)
	}
	if _, err := Parse([]byte(result(`[[1]]`)), rpc.Limits{Depth: 2}); err != nil {
		t.Errorf("depth 2 with a limit of 2: got error %v", err)
	}
}

// TestParseAllocatesInProportionToReply has a small reply and limits that allow a large one.
func TestParseAllocatesInProportionToReply(t *testing.T) {
	reply := []byte(result(`"` + strings.Repeat("x", 10_000) + `"`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Parse(reply, rpc.Limits{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1_000_000 {
		t.Errorf("%d bytes allocated for a reply of %d bytes", got, len(reply))
	}
}

// TestCaptures parses all captured replies.
func TestCaptures(t *testing.T) {
	for _, file := range captures(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text, rpc.Limits{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func captures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../binrpc/testdata/captures/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	return files
}

// FuzzParse checks that Parse does not panic, and that it returns a value, a fault or an
// error.
func FuzzParse(f *testing.F) {
	for _, file := range captures(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		message, err := Parse(text, rpc.Limits{})
		if err == nil && message.Fault == nil && !message.Value.Exists() {
			t.Error("got no value, no fault and no error")
		}
		if text := message.Value.String(); !json.Valid([]byte(text)) {
			t.Errorf("invalid JSON: %s", text)
		}
		message.Value.Plain()
	})
}
