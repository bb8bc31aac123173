package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/ims_usrloc_pcscf/ul_rpc.c. Stats
// is the last member of AoRs, whose other members are the contacts. The method
// fails if they do not fit in the 8 KiB that ctl has for one struct.
var (
	pcscfFields = []field{
		{name: "Size", unsigned: true, desc: gauge("kamailio_ims_usrloc_pcscf_slots",
			"Number of slots of the table of contacts. Field Size of ulpcscf.status.", "domain")},
	}
	pcscfStats = []field{
		{name: "Records", unsigned: true, desc: gauge("kamailio_ims_usrloc_pcscf_contacts",
			"Number of contacts of the P-CSCF. Field AoRs.Stats.Records of ulpcscf.status.", "domain")},
		{name: "Max-Slots", unsigned: true, desc: gauge("kamailio_ims_usrloc_pcscf_slot_contacts_max",
			"Number of contacts in the slot with the most contacts. Field AoRs.Stats.Max-Slots of ulpcscf.status.", "domain")},
	}
)

var ulpcscfStatus = &Collector{
	Method: "ulpcscf.status",
	Module: "ims_usrloc_pcscf",
	Help: "number of contacts of a P-CSCF, 3 series for each domain. Kamailio sends every contact, and " +
		"fails if there are too many",
	BINRPCOnly: true, // over JSON-RPC Kamailio sends only the last domain
	Large:      true,
	Metrics:    append(descsOf(pcscfFields), descsOf(pcscfStats)...),
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for domain := range reply.Value.Rows() {
			if name, ok := keys(out, domain, "Domain"); ok {
				addNumbers(out, pcscfFields, domain, name)
				addNumbers(out, pcscfStats, domain.Get("AoRs").Get("Stats"), name)
			}
		}
	}),
}
