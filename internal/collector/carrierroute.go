package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/carrierroute/cr_rpc.c and
// cr_rpc_helper.c; the same in 5.6, 6.0 and 6.1. A domain without routes has an
// empty list.

var (
	carrierrouteRoutes = gauge("kamailio_carrierroute_routes",
		"Number of routes in memory, by carrier and domain. Rows in field routes.domains.data of cr.dump_routes.", "carrier", "domain")
	carrierrouteRows = gauge("kamailio_carrierroute_table_rows",
		"Number of routes in memory of all carriers and domains, 0 if there are none. Rows in field routes.domains.data of cr.dump_routes.")
)

var crDumpRoutes = &Collector{
	Method: "cr.dump_routes",
	Module: "carrierroute",
	Help: "number of routes of the Kamailio module carrierroute, a series for each domain of each carrier and 1 in total. " +
		"Kamailio sends the whole table, and fails if there are too many routes",
	Large:   true,
	Metrics: []*metric.Desc{carrierrouteRoutes, carrierrouteRows},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		carriers, ok := listField(out, reply.Value, "routes")
		if !ok {
			return
		}
		rows := 0
		for carrier := range carriers.Rows() {
			rows += collectCarrier(out, carrier)
		}
		if out.Skipped() == 0 {
			out.Add(carrierrouteRows, float64(rows))
		}
	}),
}

// collectCarrier adds the number of routes of each domain, and returns their sum.
func collectCarrier(out *metric.Writer, carrier rpc.Value) int {
	name, ok := keys(out, carrier, "carrier")
	if !ok {
		return 0
	}
	domains, ok := listField(out, carrier, "domains")
	if !ok {
		return 0
	}
	sum := 0
	for domain := range domains.Rows() {
		key, ok := keys(out, domain, "domain")
		if !ok {
			continue
		}
		routes, ok := listField(out, domain, "data")
		if !ok {
			continue
		}
		if n, ok := countRows(out, routes, "status"); ok {
			out.Add(carrierrouteRoutes, float64(n), name[0], key[0])
			sum += n
		}
	}
	return sum
}
