package custom

import (
	"context"
	"strings"
	"testing"
	"time"

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

// replyOf returns a reply with one record, whose member value is a text.
func replyOf(t *testing.T, value string) rpc.Value {
	t.Helper()
	reply, err := rpc.ValueOf(rpc.Members{{Name: "value", Value: value}})
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
