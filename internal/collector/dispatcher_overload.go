package collector

import (
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: dispatcher_rpc_oclist in Kamailio's
// src/modules/dispatcher/dispatcher.c; source of their meaning: ds_oc_set_attrs and
// ds_oc_skip in dispatch.c. The method is new in 6.0. octime_usec is not used:
// seconds are enough, and it wraps if the interval is longer than 35 minutes.

// overloadLabels are the labels of a destination in dispatcher.oclist, which sends no
// other attributes. index distinguishes destinations with the same set and URI.
var overloadLabels = []string{"index", "setid", "uri"}

var (
	overloadRate = field{name: "ocrate", unsigned: true, scale: percent, desc: gauge("kamailio_dispatcher_destination_overload_rate_ratio",
		"Share of the requests that overload control keeps from the destination, 0 to 1, until "+
			"kamailio_dispatcher_destination_overload_end_timestamp_seconds. Field ocrate of dispatcher.oclist.", overloadLabels...)}
	overloadEnd = field{name: "octime_sec", unsigned: true, desc: gauge("kamailio_dispatcher_destination_overload_end_timestamp_seconds",
		"Unix time until which Kamailio uses the rate of overload control, by the clock of its host. There is no series if a rate was never set. "+
			"Field octime_sec of dispatcher.oclist.", overloadLabels...)}
)

// dispatcherOclist needs a call for each set. The sets are those of dispatcher.list.
var dispatcherOclist = &Collector{
	Method: "dispatcher.oclist",
	Module: "dispatcher",
	Help: "rate of overload control, 2 series for each dispatcher destination. Kamailio sends dispatcher.list and, for each set, " +
		"another list of its destinations",
	Large:   true,
	Metrics: []*metric.Desc{overloadRate.desc, overloadEnd.desc},
	noRows:  "No Destination Sets",
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "dispatcher.list", Args: []any{"short"}}}
	},
	again: func(_ Settings, replies []Reply) []rpc.Call {
		var calls []rpc.Call
		for _, reply := range replies {
			for set := range reply.Value.Get("RECORDS").Named("SET") {
				if id, ok := set.Get("ID").Int(); ok {
					calls = append(calls, rpc.Call{Method: "dispatcher.oclist", Args: []any{int(id)}})
				}
			}
		}
		return calls
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			if reply.Call.Method == "dispatcher.oclist" {
				collectOverload(out, reply.Value)
			}
		}
	},
}

func collectOverload(out *metric.Writer, destinations rpc.Value) {
	seen := map[string]int{}
	for destination := range destinations.Rows() {
		setid, ok := numberKey(out, destination, "group")
		if !ok {
			continue
		}
		uri, ok := keys(out, destination, "uri")
		if !ok {
			continue
		}
		labels := []string{"", setid, uri[0]}
		if seen[uri[0]]++; seen[uri[0]] > 1 {
			labels[0] = strconv.Itoa(seen[uri[0]])
		}
		addNumbers(out, []field{overloadRate}, destination, labels)
		if !isZero(destination.Get(overloadEnd.name)) {
			addNumbers(out, []field{overloadEnd}, destination, labels)
		}
	}
}
