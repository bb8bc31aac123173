package custom

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestHostileReplies evaluates ordinary expressions for replies that are deep, huge, or have repeated names and odd texts. They
// must end in time, with valid series or none.
func TestHostileReplies(t *testing.T) {
	deep := any(1)
	for range 60 {
		deep = rpc.Members{{Name: "a", Value: []any{deep}}}
	}
	var rows, repeated, odd []any
	var members rpc.Members
	for i := range 100_000 {
		rows = append(rows, rpc.Members{{Name: "name", Value: "x"}, {Name: "value", Value: i}})
	}
	for i := range 10_000 {
		members = append(members, rpc.Member{Name: "DEST", Value: i})
	}
	repeated = append(repeated, members)
	for _, text := range []string{"\xff\xfe", "\u202e\x1b[2J", strings.Repeat("x", 1<<20), "\n\"\\", "\u0000", "NaN", "1e999", "-0", "0x10", ""} {
		odd = append(odd, rpc.Members{{Name: strings.ReplaceAll(text, "\x00", ""), Value: text}, {Name: "name", Value: text}, {Name: "value", Value: text}})
	}
	for name, records := range map[string][]any{"deep": {deep}, "rows": rows, "repeated": repeated, "odd": odd, "none": nil} {
		for _, expression := range []string{".[]", "..", ".[] | each(\"DEST\")", ".[] | to_entries?[]", "[..] | length", "[.. | numbers] | sort | .[]", "group_by(.name?)[]?", ".[] | select(.name? == \"x\")"} {
			value, err := rpc.ValueOf(records...)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			got, err := entry(t, expression, ".name? // \"none\"", ".value? // .").Evaluate(ctx, value)
			cancel()
			set := metric.NewSet()
			got.AddTo(set.Writer("e", 1000))
			for _, family := range set.Families() {
				if family.Len() > 1000 {
					t.Errorf("%s: %s has %d series", name, expression, family.Len())
				}
			}
			t.Logf("%s: %s: error %v, %d bytes", name, expression, err, set.Size())
		}
	}
}

// TestLongNumbersAreNotParsed has a reply with a number of 16 million digits, for which Go would need minutes.
func TestLongNumbersAreNotParsed(t *testing.T) {
	value := replyOf(t, strings.Repeat("7", 16_000_000))
	for _, expression := range []string{".value | tonumber", ".value | fromjson"} {
		got, err := entry(t, ".[]", `"x"`, expression).Evaluate(t.Context(), value)
		if text := text(got); err != nil || !strings.Contains(text, "is not parsed") {
			t.Errorf("%s: got %.200s, error %v", expression, text, err)
		}
	}
	value = replyOf(t, "7")
	got, err := entry(t, ".[]", ".value | fromjson | tonumber", ".value | tonumber").Evaluate(t.Context(), value)
	if text := text(got); err != nil || text != "lab_trunk_calls [7] 7\n" {
		t.Errorf("got %s, error %v", text, err)
	}
}

// TestLongTextsAreNotSearched has a reply with a text that is longer than the limit of searches. gojq would need seconds to search a text
// that is twice as long, and hours for one as long as a reply can be.
func TestLongTextsAreNotSearched(t *testing.T) {
	long, short := replyOf(t, strings.Repeat("a", 16_385)), replyOf(t, "aa")
	for _, test := range []struct{ expression, want string }{
		{`[match("a"; "g")] | length`, "2"},
		{`[match(["a", "g"])] | length`, "2"},
		{`[capture("(?<x>a)"; "g")] | length`, "2"},
		{`capture("(?<x>a)") | .x | length`, "1"},
		{`[scan("a")] | length`, "2"},
		{`[scan("A"; "i")] | length`, "2"},
		{`[splits("a")] | length`, "3"},
		{`[splits("A"; "i")] | length`, "3"},
		{`split("A"; "i") | length`, "3"},
		{`sub("aa"; "1")`, "1"},
		{`sub("a"; "1"; "g")`, "11"},
		{`gsub("a"; "1")`, "11"},
		{`index("a")`, "0"},
		{`rindex("a")`, "1"},
		{`indices("a") | length`, "2"},
		{`gsub("(?<x>A)"; "\(.x | length)"; "i")`, "11"},
	} {
		got, err := entry(t, ".[]", `"x"`, ".value | "+test.expression).Evaluate(t.Context(), long)
		if text := text(got); err != nil || !strings.Contains(text, "is not searched") {
			t.Errorf("%s of a long text: got %.200s, error %v", test.expression, text, err)
		}
		got, err = entry(t, ".[]", `"x"`, ".value | "+test.expression).Evaluate(t.Context(), short)
		if text := text(got); err != nil || text != "lab_trunk_calls [x] "+test.want+"\n" {
			t.Errorf("%s: got %s, want %s, error %v", test.expression, text, test.want, err)
		}
	}
}

// TestLongArraysAreNotCompared evaluates functions that compare each element of an array with each one of another, which would need
// minutes for arrays that are as long as those of a reply can be, and do not end with the poll.
func TestLongArraysAreNotCompared(t *testing.T) {
	long, short := listOf(t, 1001), listOf(t, 998)
	for _, test := range []struct{ expression, want string }{
		{`(.) - map(. + 1) | length`, "1"},
		{`. as $a | {a: .} | .a -= ($a | map(. + 1)) | .a | length`, "1"},
		{`[{a: .}, {a: [7]}] | .[].a -= .[0].a | map(.a | length) | add`, "0"},
		{`contains(reverse) | if . then 1 else 0 end`, "1"},
		{`{a: .} | contains({a: [.a[]]}) | if . then 1 else 0 end`, "1"},
		{`reverse as $b | inside($b) | if . then 1 else 0 end`, "1"},
		{`index(.)`, "0"},
		{`rindex(.)`, "0"},
		{`indices(.) | length`, "1"},
	} {
		got, err := entry(t, ".[]", `"x"`, ".list | "+test.expression).Evaluate(t.Context(), long)
		if text := text(got); err != nil || !strings.Contains(text, "elements are not compared") {
			t.Errorf("%s of a long array: got %.200s, error %v", test.expression, text, err)
		}
		got, err = entry(t, ".[]", `"x"`, ".list | "+test.expression).Evaluate(t.Context(), short)
		if text := text(got); err != nil || text != "lab_trunk_calls [x] "+test.want+"\n" {
			t.Errorf("%s: got %s, want %s, error %v", test.expression, text, test.want, err)
		}
	}
}

// listOf returns a reply with one record, whose member list is an array of numbers from 0.
func listOf(t *testing.T, length int) rpc.Value {
	t.Helper()
	list := make([]any, length)
	for i := range list {
		list[i] = i
	}
	reply, err := rpc.ValueOf(rpc.Members{{Name: "list", Value: list}})
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// TestDifference evaluates subtractions as jq does: for several outputs, the right side is the outer loop.
func TestDifference(t *testing.T) {
	for _, test := range []struct{ expression, want string }{
		{`7 - 2 - 1`, `[4]`},
		{`7 - (2 - 1)`, `[6]`},
		{`-2 - -3`, `[1]`},
		{`[1, 2, 3, 2] - [2]`, `[[1,3]]`},
		{`(1, 2) - (10, 20)`, `[-9,-8,-19,-18]`},
		{`3 as $b | 10 - $b`, `[7]`},
		{`{a: 5} | .a -= 2`, `[{"a":3}]`},
		{`{a: 5, b: 3} | .a -= .b`, `[{"a":2,"b":3}]`},
		{`{a: 5} | .a -= (1, 2)`, `[{"a":4},{"a":3}]`},
		{`[5, 6] | .[] -= 1`, `[[4,5]]`},
		{`[1, 2] | map(. - 1)`, `[[0,1]]`},
		{`{a: (3 - 1), ("b" + (2 - 1 | tostring)): 1}`, `[{"a":2,"b1":1}]`},
		{`"\(3 - 1)"`, `["2"]`},
		{`[4, 5, 6] | .[3 - 1]`, `[6]`},
		{`[4, 5, 6] | .[2 - 1:3 - 1]`, `[[5]]`},
		{`def f($x): $x - 1; f(3 - 1)`, `[1]`},
		{`if 1 - 1 == 0 then 2 - 1 else 3 - 1 end`, `[1]`},
		{`reduce (3 - 1) as $x (5 - 1; . - $x)`, `[2]`},
		{`[foreach (3, 4 - 1) as $x (9 - 1; . - $x; . - 1)]`, `[[4,1]]`},
		{`{k: 2} as {("k" | .): $v} | 3 - $v`, `[1]`},
		{`try (1 - "a") catch "no"`, `["no"]`},
		{`label $out | 1 - 1, break $out`, `[0]`},
		{`[1, 2, 1] | index(1), rindex(1), indices(1)`, `[0,2,[0,2]]`},
		{`"abab" | index("b"), rindex("b"), indices("b")`, `[1,3,[1,3]]`},
		{`null | index(1)`, `[null]`},
		{`"abc" | contains("b"), ("b" | inside("abc"))`, `[true,true]`},
		{`{a: [1, "xyz"], b: 2} | contains({a: ["y"]}), contains({c: 1})`, `[true,false]`},
	} {
		want, err := gojq.Parse(test.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := allOf(want.Run(nil)); got != test.want {
			t.Errorf("gojq: %s: got %s, want %s", test.expression, got, test.want)
		}
		expression, err := Compile(test.expression)
		if err != nil {
			t.Errorf("%s: %v", test.expression, err)
			continue
		}
		if got := allOf(expression.code.Run(nil)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.expression, got, test.want)
		}
	}
}

// allOf returns the outputs as a JSON array.
func allOf(iter gojq.Iter) string {
	all := []any{}
	for output, ok := iter.Next(); ok; output, ok = iter.Next() {
		if err, failed := output.(error); failed {
			return err.Error()
		}
		all = append(all, output)
	}
	text, err := gojq.Marshal(all)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// replyOf returns a reply with one record, whose member value is a text.
func replyOf(t *testing.T, value string) rpc.Value {
	t.Helper()
	reply, err := rpc.ValueOf(rpc.Members{{Name: "value", Value: value}})
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
