package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/domain/hash.c; the same in 5.6
// and 6.0.
var (
	domainDomains = gauge("kamailio_domain_domains",
		"Number of domains that Kamailio serves. Rows in field domains of domain.dump.")
	domainAttributes = gauge("kamailio_domain_attributes",
		"Number of attributes of the domains that Kamailio serves. Rows in field attributes of domain.dump.")
)

var domainDump = &Collector{
	Method:  "domain.dump",
	Module:  "domain",
	Help:    "number of domains that Kamailio serves and of their attributes, 2 series. Kamailio sends the whole table",
	Large:   true,
	Metrics: []*metric.Desc{domainDomains, domainAttributes},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		addLen(out, domainDomains, reply.Value.Get("domains"), "domain")
		addLen(out, domainAttributes, reply.Value.Get("attributes"))
	}),
}

// addLen adds the number of rows of a list, if all rows have the named fields.
func addLen(out *metric.Writer, desc *metric.Desc, list rpc.Value, names ...string) {
	if list.Kind() < rpc.KindStruct {
		if list.Exists() {
			out.Skip(metric.BadValue, whatIs(list.Name(), list))
		}
		return
	}
	if rows, ok := countRows(out, list, names...); ok {
		out.Add(desc, float64(rows))
	}
}
