package custom

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func compile(t testing.TB, text string) *Expression {
	t.Helper()
	expression, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return expression
}

// outputs returns the outputs of an expression for a reply.
func outputs(t *testing.T, text string, records ...any) (all []any, err error) {
	t.Helper()
	value, err := rpc.ValueOf(records...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = compile(t, text).run(ctx, Input(value), func(output any) bool {
		all = append(all, output)
		return true
	})
	return all, err
}

func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		".[":                 "is not valid",
		"nosuch":             "function not defined: nosuch/0",
		"env":                "env and $ENV are not available",
		"$ENV.HOME":          "env and $ENV are not available",
		"[env | keys]":       "env and $ENV are not available",
		"input":              "input",
		"[inputs]":           "input",
		`import "a" as a; .`: "module",
		`include "a"; .`:     "module",
		"$x":                 "variable not defined: $x",
		"each":               "function not defined: each/0",
		"get_search_list":    "function",
	} {
		if _, err := Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

// TestEach checks that each yields the same for none, one and many values, as BINRPC and JSON-RPC encode them.
func TestEach(t *testing.T) {
	for _, test := range []struct {
		record any
		want   []any
	}{
		{rpc.Members{{Name: "x", Value: 1}}, nil},
		{rpc.Members{{Name: "DEST", Value: 1}}, []any{1}},
		{rpc.Members{{Name: "DEST", Value: 1}, {Name: "x", Value: 0}, {Name: "DEST", Value: 2}}, []any{1, 2}},
		{rpc.Members{{Name: "DEST", Value: []any{1, 2}}}, []any{1, 2}},
		{rpc.Members{{Name: "DEST", Value: 0}}, []any{0}},
	} {
		if got, err := outputs(t, `.[] | each("DEST")`, test.record); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: got %v, %v; want %v", test.record, got, err, test.want)
		}
	}
	if got, err := outputs(t, `[.[] | each("DEST") | each("URI")]`, rpc.Members{{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: "a"}}}}); err != nil || fmt.Sprint(got) != "[[a]]" {
		t.Errorf("nested: got %v, %v", got, err)
	}
}

func TestSecretsAreRemoved(t *testing.T) {
	got, err := outputs(t, "tojson", rpc.Members{
		{Name: "l_uuid", Value: "1"}, {Name: "auth_password", Value: "PW"}, {Name: "auth_ha1", Value: "PW"},
		{Name: "nested", Value: []any{rpc.Members{{Name: "Secret_key", Value: "PW"}, {Name: "a", Value: 1}}}},
	})
	if err != nil || fmt.Sprint(got) != `[[{"l_uuid":"1","nested":[{"a":1}]}]]` {
		t.Errorf("got %v, %v", got, err)
	}
}

// entry returns an entry with one metric that has the label name.
func entry(t testing.TB, rows, label, value string) *Entry {
	t.Helper()
	e := &Entry{Name: "trunks", Call: rpc.Call{Method: "htable.dump"}, Metrics: []Metric{{
		Desc:   &metric.Desc{Name: "lab_trunk_calls", Help: "Calls of each trunk.", Labels: []string{"trunk"}},
		Labels: []*Expression{compile(t, label)},
		Value:  compile(t, value),
	}}}
	if rows != "" {
		e.Rows = compile(t, rows)
	}
	return e
}

// text returns the samples and what was skipped.
func text(rows *Rows) string {
	set := metric.NewSet()
	rows.AddTo(set.Writer("trunks", 0))
	var b strings.Builder
	for _, family := range set.Families() {
		for i := range family.Len() {
			value, labels := family.Sample(i)
			fmt.Fprintln(&b, family.Desc.Name, labels, value)
		}
	}
	for _, s := range set.Skips() {
		fmt.Fprintln(&b, s.Reason, s.Count, s.Example)
	}
	return b.String()
}

func TestEvaluate(t *testing.T) {
	slot := func(name string, value any) rpc.Members {
		return rpc.Members{{Name: "entry", Value: 1}, {Name: "size", Value: 1}, {Name: "slot", Value: []any{rpc.Members{{Name: "name", Value: name}, {Name: "value", Value: value}}}}}
	}
	const rows = ".[].slot[]"
	for name, test := range map[string]struct {
		rows, label, value string
		records            []any
		want               string
	}{
		"no row":                 {rows, ".name", ".value", nil, ""},
		"one row":                {rows, ".name", ".value", []any{slot("a", 3)}, "lab_trunk_calls [a] 3\n"},
		"two rows":               {rows, ".name", ".value", []any{slot("a", 3), slot("b", "4.5")}, "lab_trunk_calls [a] 3\nlab_trunk_calls [b] 4.5\n"},
		"a value without output": {rows, ".name", "empty", []any{slot("a", 3)}, ""},
		"no number":              {rows, ".name", ".value", []any{slot("a", "x")}, "not_a_number 1 lab_trunk_calls: \"x\" is not a number\n"},
		"hexadecimal, infinite":  {rows, ".name", ".value", []any{slot("a", "0x10"), slot("b", "inf"), slot("c", "1e999")}, "not_a_number 3 lab_trunk_calls: \"0x10\" is not a number\n"},
		"null":                   {rows, ".name", ".nosuch", []any{slot("a", 3)}, "not_a_number 1 lab_trunk_calls: null is not a number\n"},
		"a label that is a list": {rows, "[.name]", ".value", []any{slot("a", 3)}, "bad_value 1 lab_trunk_calls: label trunk: [\"a\"] is not a text or a number\n"},
		"labels of other types":  {".[]", ".[0]", ".[1]", []any{[]any{1, 2}, []any{1.5, 3}, []any{nil, 4}}, "lab_trunk_calls [1] 2\nlab_trunk_calls [1.5] 3\nlab_trunk_calls [] 4\n"},
		"several values":         {rows, ".name", ".value, 1", []any{slot("a", 3)}, "bad_value 1 lab_trunk_calls: the expression has more than one output: select one, for example with first(…)\n"},
		"an error in one row":    {".[]", ".a", ".b", []any{1, rpc.Members{{Name: "a", Value: "x"}, {Name: "b", Value: 2}}}, "lab_trunk_calls [x] 2\nbad_value 1 lab_trunk_calls: expected an object but got: number (1)\n"},
		"the same labels twice":  {rows, `"x"`, ".value", []any{slot("a", 3), slot("b", 4)}, "lab_trunk_calls [x] 3\nduplicate 1 lab_trunk_calls{x}\n"},
		"the whole is one row":   {"", `"all"`, "length", []any{1, 2, 3}, "lab_trunk_calls [all] 3\n"},
		"not UTF-8":              {rows, ".name", ".value", []any{slot("a\xff", 3)}, "lab_trunk_calls [a\uFFFD] 3\n"},
		"halt":                   {rows, ".name", "halt", []any{slot("a", 3)}, "bad_value 1 lab_trunk_calls: halt error: null\n"},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := rpc.ValueOf(test.records...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := entry(t, test.rows, test.label, test.value).Evaluate(t.Context(), value)
			if err != nil || text(got) != test.want {
				t.Errorf("error %v, got\n%swant\n%s", err, text(got), test.want)
			}
		})
	}
}

// TestExpressionsThatDoNotEnd checks that the context ends them, wherever they are, and that the number of outputs is limited.
func TestExpressionsThatDoNotEnd(t *testing.T) {
	value, err := rpc.ValueOf(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*Entry{
		"rows":  entry(t, ".[]", ".", "1"),
		"value": entry(t, ".[]", ".", "last(range(1; infinite))"),
		"label": entry(t, ".[]", "[limit(1; repeat(.) | select(false))] | .[0]", "1"),
	} {
		if name == "rows" {
			e.Rows = compile(t, "def f: f; f")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := e.Evaluate(ctx, value); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not end in time") {
			t.Errorf("%s: error %v", name, err)
		}
		cancel()
	}
	if _, err := entry(t, "range(infinite)", "tostring", ".").Evaluate(t.Context(), value); !errors.Is(err, errTooManyOutputs) {
		t.Errorf("error %v, want %v", err, errTooManyOutputs)
	}
}

// FuzzEvaluate evaluates expressions for replies: they must end with valid series or none.
func FuzzEvaluate(f *testing.F) {
	f.Add(".[]", "name", "3", int64(1))
	f.Add(".[] | .x?", "\xff", "1e999", int64(-1))
	f.Add("recurse", "a\x00", "0x1", int64(7))
	f.Fuzz(func(t *testing.T, rows, name, content string, number int64) {
		expression, err := Compile(rows)
		if err != nil {
			return
		}
		e := entry(t, "", ".name? // .", ".value? // .")
		e.Rows = expression
		value, err := rpc.ValueOf(rpc.Members{{Name: name, Value: content}, {Name: "value", Value: number}, {Name: name, Value: []any{content}}}, content)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		got, _ := e.Evaluate(ctx, value)
		set := metric.NewSet()
		got.AddTo(set.Writer("trunks", 10))
		for _, family := range set.Families() {
			if family.Len() > 10 {
				t.Errorf("%d series", family.Len())
			}
		}
	})
}
