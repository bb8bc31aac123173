package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: pdt_rpc_list in Kamailio's src/modules/pdt/pdt.c; the same
// in 5.6, 6.0 and 6.1. Kamailio sends no table as the fault noRows. It keeps its
// prefixes if it loads an empty table again.

var (
	pdtPrefixes = gauge("kamailio_pdt_prefixes",
		"Number of prefixes in memory, by source domain. Rows in field RECORDS of pdt.list.", "sdomain")
	pdtRows = gauge("kamailio_pdt_table_rows",
		"Number of prefixes in memory of all source domains, 0 if there are none. Rows in field RECORDS of pdt.list.")
)

var pdtList = &Collector{
	Method: "pdt.list",
	Module: "pdt",
	Help: "number of prefixes of the Kamailio module pdt, a series for each source domain and 1 in total. Kamailio sends the " +
		"whole table, and fails if there are too many prefixes. It also logs 2 lines with level ERROR for each source domain",
	Large:     true,
	Metrics:   []*metric.Desc{pdtPrefixes, pdtRows},
	noRows:    "No records",
	noRowsAre: pdtRows,
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		rows, sdomain := 0, ""
		for member := range reply.Value.All() {
			switch member.Name() {
			case "SDOMAIN":
				sdomain = member.Text()
			case "RECORDS":
				n := countNamed(member, "ENTRY")
				if sdomain == "" || n == 0 {
					out.Skip(metric.BadValue, "a source domain without a name or records")
					continue
				}
				out.Add(pdtPrefixes, float64(n), sdomain)
				rows += n
			}
		}
		addTableRows(out, pdtRows, reply.Value, rows)
	}),
}
