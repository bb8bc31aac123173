package collector

import (
	"maps"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/permissions/hash.c;
// the same in 5.6 and 6.0. Both methods send the whole table, about 65 bytes
// for each row, so neither is used by default. The number of subnets is limited by
// max_subnets, 512 by default; the number of addresses is not limited.

var (
	permissionsAddresses = gauge("kamailio_permissions_addresses",
		"Number of addresses of permissions, by group. Rows of permissions.addressDump.", "group")
	permissionsSubnets = gauge("kamailio_permissions_subnets",
		"Number of subnets of permissions, by group. Rows of permissions.subnetDump.", "group")
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

// countGroups returns a function that adds the number of rows of each group.
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
