package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/cnxcc/cnxcc_mod.c. total is no
// counter, and goes down with active when a call ends. Both may fall below zero:
// calls are counted as their dialogs start, and uncounted even if none did.
var cnxccFields = []field{
	{name: "active", desc: gauge("kamailio_cnxcc_calls_active",
		"Calls whose credit cnxcc watches. Field active of cnxcc.stats.")},
	{name: "dropped", unsigned: true, desc: counter("kamailio_cnxcc_calls_dropped_total",
		"Calls that cnxcc ended. Field dropped of cnxcc.stats.")},
	{name: "total", desc: gauge("kamailio_cnxcc_calls",
		"Calls that cnxcc knows, which Kamailio uncounts when they end. Field total of cnxcc.stats.")},
}

var cnxccStats = &Collector{
	Method:  "cnxcc.stats",
	Module:  "cnxcc",
	Help:    "calls with credit control, 3 series",
	Auto:    true,
	Metrics: descsOf(cnxccFields),
	collect: each(func(out *metric.Writer, reply rpc.Reply) { addNumbers(out, cnxccFields, reply.Value, nil) }),
}
