package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/cnxcc/cnxcc_mod.c. total is not
// a counter: it decreases with active when a call ends. Both can be negative:
// calls are added when their dialog starts, and subtracted even if none started.
var cnxccFields = []field{
	{name: "active", desc: gauge("kamailio_cnxcc_calls_active",
		"Number of calls whose credit cnxcc monitors. Field active of cnxcc.stats.")},
	{name: "dropped", unsigned: true, desc: counter("kamailio_cnxcc_calls_dropped_total",
		"Number of calls that cnxcc ended. Field dropped of cnxcc.stats.")},
	{name: "total", desc: gauge("kamailio_cnxcc_calls",
		"Number of calls that cnxcc knows. It decreases when calls end. Field total of cnxcc.stats.")},
}

var cnxccStats = &Collector{
	Method:  "cnxcc.stats",
	Module:  "cnxcc",
	Help:    "calls with credit control, 3 series",
	Auto:    true,
	Metrics: descsOf(cnxccFields),
	collect: each(func(out *metric.Writer, reply rpc.Reply) { addNumbers(out, cnxccFields, reply.Value, nil) }),
}
