package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/pike/pike_rpc.c; the same in 5.6
// and 6.0. The rows of the list are addresses of callers and not shown.
// Kamailio counts them even if its buffer was too small for them all.
var pikeFields = []field{
	{name: "number_of_rows", unsigned: true, desc: gauge("kamailio_pike_blocked_addresses",
		"Addresses that sent more than pike allows. Field number_of_rows, for HOT, of pike.top.")},
	{name: "max_hits", unsigned: true, desc: gauge("kamailio_pike_max_hits",
		"Requests that pike allows an address in its sampling time. Field max_hits of pike.top.")},
}

var pikeTop = &Collector{
	Method: "pike.top",
	Module: "pike",
	Help: "number of addresses that the Kamailio module pike blocks, 2 series. Kamailio walks all " +
		"addresses that it has seen under their locks",
	Metrics: descsOf(pikeFields),
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "pike.top", Args: []any{"HOT"}}}
	},
	collect: each(func(out *metric.Writer, reply rpc.Reply) { addNumbers(out, pikeFields, reply.Value, nil) }),
}
