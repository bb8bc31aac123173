package collector

import (
	"maps"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/permissions/hash.c;
// the same in 5.6 and 6.0. Both methods dump a table, at some 65 bytes a row, for
// what is a number here, so neither is used unasked. Subnets are 512 at the most,
// unless max_subnets says otherwise; addresses have no limit.

var (
	permissionsAddresses = gauge("kamailio_permissions_addresses",
		"Addresses that permissions holds, by group. Rows of permissions.addressDump.", "group")
	permissionsSubnets = gauge("kamailio_permissions_subnets",
		"Subnets that permissions holds, by group. Rows of permissions.subnetDump.", "group")
)

var permissionsAddressDump = &Collector{
	Method: "permissions.addressDump",
	Module: "permissions",
	Help: "number of addresses of the Kamailio module permissions, a series for each group. Kamailio sends " +
		"the whole table",
	Large:   true,
	Metrics: []*metric.Desc{permissionsAddresses},
	noRows:  "No address table",
	collect: each(countGroups(permissionsAddresses)),
}

var permissionsSubnetDump = &Collector{
	Method: "permissions.subnetDump",
	Module: "permissions",
	Help: "number of subnets of the Kamailio module permissions, a series for each group. Kamailio sends " +
		"the whole table",
	Metrics: []*metric.Desc{permissionsSubnets},
	noRows:  "No subnet table",
	collect: each(countGroups(permissionsSubnets)),
}

// countGroups counts the rows of each group.
func countGroups(desc *metric.Desc) func(*metric.Writer, rpc.Reply) {
	return func(out *metric.Writer, reply rpc.Reply) {
		rows := map[string]float64{}
		for row := range reply.Value.Rows() {
			if group, ok := numberKey(out, row, "group"); ok {
				rows[group]++
			}
		}
		for _, group := range slices.Sorted(maps.Keys(rows)) {
			out.Add(desc, rows[group], group)
		}
	}
}
