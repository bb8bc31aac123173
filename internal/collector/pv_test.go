package collector

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestParseSharedVariable(t *testing.T) {
	for text, ok := range map[string]bool{
		"maintenance": true, "7": true, "a b": true, "ä": true, "": false, "a\tb": false, "a\x00": false, "\n": false, "a\u0085": false,
	} {
		got, err := ParseSharedVariable(text)
		if (err == nil) != ok || ok && got != text || !ok && got != "" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestSharedVariableCalls(t *testing.T) {
	if calls := pvShvGet.Calls(Settings{}); len(calls) != 0 {
		t.Errorf("calls without names: %v", calls)
	}
	calls := pvShvGet.Calls(Settings{SharedVariables: []string{"maintenance", "7"}})
	if len(calls) != 2 || calls[0].String() != "pv.shvGet maintenance" || calls[1].String() != "pv.shvGet 7" {
		t.Errorf("calls %v", calls)
	}
}

// TestSharedVariableValues has all types of values, each beside a variable with a number.
func TestSharedVariableValues(t *testing.T) {
	variable := func(value any) rpc.Reply {
		return reply(t, rpc.Members{{Name: "name", Value: "x"}, {Name: "type", Value: "string"}, {Name: "value", Value: value}})
	}
	noNumber := metric.Skip{Collector: "pv.shvGet", Reason: metric.NotANumber, Count: 1, Example: "$shv(x)"}
	for name, test := range map[string]struct {
		reply rpc.Reply
		want  string
		skips []metric.Skip
		fails bool
	}{
		"number":               {reply: variable(-3), want: "-3"},
		"number beyond 32 bit": {reply: variable(5e9), want: "5e+09"},
		"text":                 {reply: variable(" 17.5 "), want: "17.5"},
		"word":                 {reply: variable("s3cret"), skips: []metric.Skip{noNumber}},
		"empty":                {reply: variable(""), skips: []metric.Skip{noNumber}},
		"infinite":             {reply: variable("inf"), skips: []metric.Skip{noNumber}},
		"not a number":         {reply: variable("NaN"), skips: []metric.Skip{noNumber}},
		"null":                 {reply: variable(nil), skips: []metric.Skip{noNumber}},
		"no value":             {reply: reply(t, rpc.Members{{Name: "name", Value: "x"}})},
		"all variables":        {reply: reply(t, rpc.Members{{Name: "items", Value: rpc.Members{{Name: "shv", Value: rpc.Members{{Name: "value", Value: 1}}}}}})},
		"no variable":          {reply: rpc.Reply{Err: &rpc.Fault{Code: 404, Reason: "Variable not found"}}, fails: true},
		"another fault":        {reply: rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "Internal error creating rpc"}}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := pvShvGet.Calls(Settings{SharedVariables: []string{"a", "x"}})
			set := metric.NewSet()
			err := pvShvGet.Collect(set, Settings{}, []Reply{{Call: calls[0], Reply: variable(1)}, {Call: calls[1], Reply: test.reply}})
			if fault, failed := errors.AsType[*rpc.Fault](err); failed != test.fails || err != nil && !failed {
				t.Errorf("error %v, fault %v", err, fault)
			}
			want := []string{`kamailio_shv_value{name="a"} 1`}
			if test.want != "" {
				want = append(want, `kamailio_shv_value{name="x"} `+test.want)
			}
			checkSamples(t, samples(t, set), want...)
			checkSkips(t, set.Skips(), test.skips...)
		})
	}
}

// TestMissingSharedVariables checks that the error names the variables that Kamailio does not have.
func TestMissingSharedVariables(t *testing.T) {
	missing := rpc.Reply{Err: &rpc.Fault{Code: 404, Reason: "Variable not found"}}
	absent := rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "command pv.shvGet not found"}}
	found := reply(t, rpc.Members{{Name: "value", Value: 1}})
	for name, test := range map[string]struct {
		names   []string
		replies []rpc.Reply
		want    []string
	}{
		"the only one":     {[]string{"a"}, []rpc.Reply{missing}, []string{"pv.shvGet a: "}},
		"both":             {[]string{"a", "b"}, []rpc.Reply{missing, missing}, []string{"pv.shvGet a: ", "pv.shvGet b: "}},
		"one of two":       {[]string{"a", "b"}, []rpc.Reply{found, missing}, []string{"pv.shvGet b: "}},
		"no such method":   {[]string{"a", "b"}, []rpc.Reply{absent, absent}, nil},
		"late, an outage":  {[]string{"a", "b"}, []rpc.Reply{{Err: context.DeadlineExceeded}, {Err: context.DeadlineExceeded}}, nil},
		"late and missing": {[]string{"a", "b"}, []rpc.Reply{missing, {Err: context.DeadlineExceeded}}, []string{"pv.shvGet a: ", "pv.shvGet b: "}},
	} {
		t.Run(name, func(t *testing.T) {
			var replies []Reply
			for i, call := range pvShvGet.Calls(Settings{SharedVariables: test.names}) {
				replies = append(replies, Reply{Call: call, Reply: test.replies[i]})
			}
			err := pvShvGet.Collect(metric.NewSet(), Settings{}, replies)
			if err == nil {
				t.Fatal("no error")
			}
			if len(test.want) == 0 && err.Error() != test.replies[0].Err.Error() || len(test.want) > 0 && strings.Count(err.Error(), "\n") != len(test.want)-1 {
				t.Errorf("error %q", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}
