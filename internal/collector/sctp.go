package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/sctp/sctp_rpc.c and
// sctp_get_info in sctp_server.c; unchanged from 5.6 to 6.1. total_connections
// is the number of the last association, which only increases.
var (
	sctpFields = []field{
		{name: "opened_connections", desc: gauge("kamailio_sctp_opened_connections",
			"Number of open SCTP associations. Field opened_connections of sctp.info.")},
		{name: "total_connections", unsigned: true, desc: counter("kamailio_sctp_connections_total",
			"Number of SCTP associations that Kamailio has tracked since the start. Field total_connections of sctp.info.")},
	}
	sctpTracked = gauge("kamailio_sctp_tracked_connections",
		"Number of SCTP associations that Kamailio tracks. Absent if tracking is disabled. Field tracked_connections of sctp.info.")
)

var sctpInfo = &Collector{
	Method:  "sctp.info",
	Module:  "sctp",
	Help:    "SCTP associations, 3 series",
	Auto:    true,
	Metrics: append(descsOf(sctpFields), sctpTracked),
	noRows:  "sctp support disabled",
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		addNumbers(out, sctpFields, reply.Value, nil)
		tracked := field{name: "tracked_connections", desc: sctpTracked}
		v := reply.Value.Get(tracked.name)
		if n, ok := v.Int(); !v.Exists() || ok && n < 0 {
			return // -1 means that tracking is disabled
		}
		tracked.add(out, v)
	}),
}
