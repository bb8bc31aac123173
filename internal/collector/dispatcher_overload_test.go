package collector

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestOverloadCalls has the sets of a captured list, in Kamailio's order, a list without sets, and a fault.
func TestOverloadCalls(t *testing.T) {
	first := dispatcherOclist.Calls(Settings{})
	if len(first) != 1 || first[0].String() != "dispatcher.list short" {
		t.Fatalf("first calls %v", first)
	}
	list := readReply(t, "testdata/6.1.5/dispatcher.list.binrpc", captured["6.1.5"])
	var sets []any
	for _, call := range dispatcherOclist.Again(Settings{}, []Reply{{Call: first[0], Reply: list}}) {
		if call.Method != "dispatcher.oclist" || len(call.Args) != 1 {
			t.Fatalf("call %v", call)
		}
		sets = append(sets, call.Args[0])
	}
	if len(sets) != 3 || sets[0] != 1 || sets[1] != 3 || sets[2] != 2 { // numbers, since Kamailio refuses texts
		t.Errorf("sets %#v", sets)
	}
	for name, answer := range map[string]rpc.Reply{
		"no sets":   reply(t, rpc.Members{{Name: "NRSETS", Value: 0}, {Name: "RECORDS", Value: rpc.Members{}}}),
		"the fault": {Err: &rpc.Fault{Code: 500, Reason: "No Destination Sets"}},
	} {
		replies := []Reply{{Call: first[0], Reply: answer}}
		if calls := dispatcherOclist.Again(Settings{}, replies); len(calls) > 0 {
			t.Errorf("%s: calls %v", name, calls)
		}
		set := metric.NewSet()
		if err := dispatcherOclist.Collect(set, Settings{}, replies); err != nil || len(set.Families()) > 0 {
			t.Errorf("%s: error %v, families %v", name, err, set.Families())
		}
	}
}

func TestBadOverloadRates(t *testing.T) {
	destination := func(uri string, rate any) rpc.Members {
		return rpc.Members{{Name: "group", Value: 1}, {Name: "uri", Value: uri}, {Name: "ocrate", Value: rate}, {Name: "octime_sec", Value: 0}}
	}
	set := metric.NewSet()
	err := dispatcherOclist.Collect(set, Settings{}, []Reply{{Call: rpc.Call{Method: "dispatcher.oclist", Args: []any{1}}, Reply: reply(t,
		destination("a", "much"), destination("b", 100), rpc.Members{{Name: "group", Value: 1}}, rpc.Members{{Name: "uri", Value: "c"}},
	)}})
	if err != nil {
		t.Fatal(err)
	}
	checkSamples(t, samples(t, set), `kamailio_dispatcher_destination_overload_rate_ratio{index="",setid="1",uri="b"} 1`)
	checkSkips(t, set.Skips(),
		metric.Skip{Collector: "dispatcher.oclist", Reason: metric.NotANumber, Count: 1, Example: "ocrate is a string"},
		metric.Skip{Collector: "dispatcher.oclist", Reason: metric.BadValue, Count: 2, Example: "uri is missing"},
	)
}
