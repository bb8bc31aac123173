package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/pdb/pdb.c; the same in 5.6 and
// 6.0. Field status has the same information as active.
var pdbActive = gauge("kamailio_pdb_active",
	"1 if number portability lookups are enabled, 0 if not. Field active of pdb.status.")

var pdbStatus = &Collector{
	Method:  "pdb.status",
	Module:  "pdb",
	Help:    "whether number portability lookups are enabled, 1 series",
	Auto:    true,
	Metrics: []*metric.Desc{pdbActive},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		addFlag(out, pdbActive, reply.Value.Get("active"), true, nil)
	}),
}
