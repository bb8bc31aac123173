package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/pike/pike_rpc.c; the same in 5.6
// and 6.0. The rows of the list are addresses of users and not exported.
// number_of_rows counts all of them, even if they did not fit in Kamailio's buffer.
var pikeFields = []field{
	{name: "number_of_rows", unsigned: true, desc: gauge("kamailio_pike_blocked_addresses",
		"Number of addresses that sent more requests than pike allows. Field number_of_rows of pike.top.")},
	{name: "max_hits", unsigned: true, desc: gauge("kamailio_pike_max_hits",
		"Maximum number of requests of an address that pike allows in its sampling time. Field max_hits of pike.top.")},
}

var pikeTop = &Collector{
	Method: "pike.top",
	Module: "pike",
	Help: "number of addresses that the Kamailio module pike blocks, 2 series. Kamailio iterates over all " +
		"addresses that it has seen under their locks",
	Metrics: descsOf(pikeFields),
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "pike.top", Args: []any{"HOT"}}}
	},
	collect: each(func(out *metric.Writer, reply rpc.Reply) { addNumbers(out, pikeFields, reply.Value, nil) }),
}
