package collector

import (
	"errors"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestParseHtableKey(t *testing.T) {
	tests := []struct {
		text string
		want HtableKey
		ok   bool
	}{
		{"calls=>total", HtableKey{"calls", "total"}, true},
		{"calls:total", HtableKey{"calls", "total"}, true},
		{"a=>sip:alice@example.org", HtableKey{"a", "sip:alice@example.org"}, true},
		{"a:x:y", HtableKey{"a", "x:y"}, true},
		{"calls", HtableKey{}, false},
		{"calls:", HtableKey{}, false},
		{"=>total", HtableKey{}, false},
		{"", HtableKey{}, false},
	}
	for _, test := range tests {
		got, err := ParseHtableKey(test.text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %+v, %v, want %+v", test.text, got, err, test.want)
		}
	}
	if got := (HtableKey{"calls", "total"}).String(); got != "calls=>total" {
		t.Errorf("String of a key is %q", got)
	}
}

func TestHtableCalls(t *testing.T) {
	if calls := htableGet.Calls(Settings{}); len(calls) != 0 {
		t.Errorf("calls without keys: %v", calls)
	}
	calls := htableGet.Calls(Settings{HtableKeys: []HtableKey{{"calls", "total"}}})
	if len(calls) != 1 || calls[0].String() != "htable.get calls total" {
		t.Errorf("calls %v", calls)
	}
}

// TestHtableValues has all types of values. A missing key is not an error, a
// missing table is.
func TestHtableValues(t *testing.T) {
	item := func(value any) rpc.Reply {
		return reply(t, rpc.Members{{Name: "item", Value: rpc.Members{
			{Name: "name", Value: "k"}, {Name: "value", Value: value}, {Name: "flags", Value: 2}, {Name: "expire", Value: "NEVER"},
		}}})
	}
	noKey := rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "Key name doesn't exist in htable."}}
	noTable := rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "No such htable"}}
	noNumber := metric.Skip{Collector: "htable.get", Reason: metric.NotANumber, Count: 1, Example: "$sht(t=>k)"}
	tests := []struct {
		name  string
		reply rpc.Reply
		want  string
		skips []metric.Skip
		fails bool
	}{
		{name: "number", reply: item(-3), want: "-3"},
		{name: "large number of a later version", reply: item(5e9), want: "5e+09"},
		{name: "text", reply: item(" 17.5 "), want: "17.5"},
		{name: "word", reply: item("s3cret"), skips: []metric.Skip{noNumber}},
		{name: "infinite", reply: item("inf"), skips: []metric.Skip{noNumber}},
		{name: "not a number", reply: item("NaN"), skips: []metric.Skip{noNumber}},
		{name: "null", reply: item(nil), skips: []metric.Skip{noNumber}},
		{name: "no value", reply: reply(t, rpc.Members{{Name: "item", Value: rpc.Members{}}})},
		{name: "no key", reply: noKey},
		{name: "no table", reply: noTable, fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set := metric.NewSet()
			call := htableGet.Calls(Settings{HtableKeys: []HtableKey{{"t", "k"}}})[0]
			err := htableGet.Collect(set, Settings{}, []Reply{{Call: call, Reply: test.reply}})
			if (err != nil && !errors.Is(err, errNothingRead)) != test.fails {
				t.Errorf("error %v", err)
			}
			var want []string
			if test.want != "" {
				want = []string{`kamailio_htable_value{key="k",table="t"} ` + test.want}
			}
			checkSamples(t, samples(t, set), want...)
			checkSkips(t, set.Skips(), test.skips...)
		})
	}
}

// TestBadHtableRowsDoNotAffectOthers has bad rows and rows with bad fields.
func TestBadHtableRowsDoNotAffectOthers(t *testing.T) {
	table := func(name string, members ...rpc.Member) rpc.Members {
		return append(rpc.Members{{Name: "name", Value: name}}, members...)
	}
	got, skips := collect(t, htableStats, reply(t,
		table("a", rpc.Member{Name: "all", Value: int32(-1)}, rpc.Member{Name: "min", Value: "few"}, rpc.Member{Name: "new", Value: 1}),
		rpc.Members{{Name: "all", Value: 3}},
		table("b", rpc.Member{Name: "slots", Value: 8}),
	))
	checkSamples(t, got, `kamailio_htable_items{table="a"} 4.294967295e+09`, `kamailio_htable_slots{table="b"} 8`)
	checkSkips(t, skips,
		metric.Skip{Collector: "htable.stats", Reason: metric.NotANumber, Count: 1, Example: "min is a string"},
		metric.Skip{Collector: "htable.stats", Reason: metric.BadValue, Count: 1, Example: "name is missing"},
	)

	got, skips = collect(t, htableListTables, reply(t,
		rpc.Members{{Name: "expire", Value: 3}},
		table("a", rpc.Member{Name: "dbmode", Value: "x"}, rpc.Member{Name: "dmqreplicate", Value: 1}),
	))
	checkSamples(t, got, `kamailio_htable_info{dbmode="",dbtable="",dmqreplicate="1",table="a",updateexpire=""} 1`)
	checkSkips(t, skips, metric.Skip{Collector: "htable.listTables", Reason: metric.BadValue, Count: 1, Example: "name is missing"})
}
