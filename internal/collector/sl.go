package collector

import (
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/sl/sl_stats.c. A field is the
// code of a reply, or a class for those of its codes that have no field of their
// own; xxx is for codes outside of all classes.
var slStatsCodes = counter("kamailio_sl_stats_codes_total",
	"Number of replies sent without a transaction, by code. A class such as 4xx counts the codes of the class that have no series of their own, "+
		"and xxx codes outside of all classes. Fields of sl.stats.", "code")

var slStats = &Collector{
	Method:  "sl.stats",
	Module:  "sl",
	Help:    "replies sent without a transaction, a series for each code, about 19",
	Auto:    true,
	Metrics: []*metric.Desc{slStatsCodes},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for member := range reply.Value.All() {
			if !isCode(member.Name()) {
				out.Skip(metric.UnknownField, member.Name())
				continue
			}
			f := field{name: member.Name(), desc: slStatsCodes, unsigned: true}
			f.add(out, member, member.Name())
		}
	}),
}

// isCode reports whether s is a reply code such as 404, or a class such as 4xx.
func isCode(s string) bool {
	return len(s) == 3 && strings.Trim(s, "0123456789x") == ""
}
