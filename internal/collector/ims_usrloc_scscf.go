package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/ims_usrloc_scscf/ul_rpc.c. It sums
// a counter of each slot and does not iterate over the records. There is usually
// one domain; if there are several, Kamailio sends only the last over JSON-RPC.
var (
	scscfFields = []field{
		{name: "Size", unsigned: true, desc: gauge("kamailio_ims_usrloc_scscf_slots",
			"Number of slots of the table of records. Field Size of ulscscf.status.", "domain")},
	}
	scscfStats = []field{
		{name: "Records", unsigned: true, desc: gauge("kamailio_ims_usrloc_scscf_records",
			"Number of public identities that the S-CSCF has records of. Field Stats.Records of ulscscf.status.", "domain")},
		{name: "Max-Slots", unsigned: true, desc: gauge("kamailio_ims_usrloc_scscf_slot_records_max",
			"Number of records in the slot with the most records. Field Stats.Max-Slots of ulscscf.status.", "domain")},
	}
)

var ulscscfStatus = &Collector{
	Method:     "ulscscf.status",
	BINRPCOnly: true, // over JSON-RPC Kamailio sends only the last domain
	Module:     "ims_usrloc_scscf",
	Help:       "number of public identities of an S-CSCF, 3 series for each domain",
	Auto:       true,
	Metrics:    append(descsOf(scscfFields), descsOf(scscfStats)...),
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for domain := range reply.Value.Rows() {
			if name, ok := keys(out, domain, "Domain"); ok {
				addNumbers(out, scscfFields, domain, name)
				addNumbers(out, scscfStats, domain.Get("Stats"), name)
			}
		}
	}),
}
