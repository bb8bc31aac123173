package collector

import (
	"iter"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/permissions/hash.c
// and rpc.c; the same in 5.6, 6.0 and 6.1. The methods send whole tables, about
// 65 to 100 bytes for each row, so none is used by default. The number of subnets
// is limited by max_subnets, 512 by default; the other tables are not limited.
// Trusted sources and domain names are one struct each, and addresses one record
// each. With its default buffers ctl sends at most 482, 315 and 16,384 of them, and
// a fault for more.

var (
	permissionsAddresses = gauge("kamailio_permissions_addresses",
		"Number of addresses of permissions, by group. Rows of permissions.addressDump.", "group")
	permissionsAddressRows = gauge("kamailio_permissions_address_table_rows",
		"Number of addresses of permissions in all groups, 0 if there are none. Rows of permissions.addressDump.")
	permissionsSubnets = gauge("kamailio_permissions_subnets",
		"Number of subnets of permissions, by group. Rows of permissions.subnetDump.", "group")
	permissionsSubnetRows = gauge("kamailio_permissions_subnet_table_rows",
		"Number of subnets of permissions in all groups, 0 if there are none. Rows of permissions.subnetDump.")
	permissionsDomains = gauge("kamailio_permissions_domains",
		"Number of domain names in the address table of permissions, by group. Fields group of permissions.domainDump.", "group")
	permissionsDomainRows = gauge("kamailio_permissions_domain_table_rows",
		"Number of domain names in the address table of permissions in all groups, 0 if there are none. Fields group of permissions.domainDump.")
	permissionsTrustedRows = gauge("kamailio_permissions_trusted_table_rows",
		"Number of rows in the table of trusted sources of permissions, 0 if it is empty. Fields item of permissions.trustedDump.")
)

var permissionsAddressDump = &Collector{
	Method: "permissions.addressDump",
	Module: "permissions",
	Help: "number of addresses of the Kamailio module permissions, a series for each group and 1 in total. Kamailio " +
		"sends the whole table",
	Large:   true,
	Metrics: []*metric.Desc{permissionsAddresses, permissionsAddressRows},
	noRows:  "No address table",
	collect: each(countGroups(permissionsAddresses, permissionsAddressRows, groupsOfRows)),
}

var permissionsSubnetDump = &Collector{
	Method: "permissions.subnetDump",
	Module: "permissions",
	Help: "number of subnets of the Kamailio module permissions, a series for each group and 1 in total. Kamailio " +
		"sends the whole table",
	Metrics: []*metric.Desc{permissionsSubnets, permissionsSubnetRows},
	noRows:  "No subnet table",
	collect: each(countGroups(permissionsSubnets, permissionsSubnetRows, groupsOfRows)),
}

// The fault "No domain list table" of permissions.domainDump, and "No trusted
// table" of permissions.trustedDump, say that Kamailio keeps no such table in
// memory. A user who named the method gets to know that from the fault.

var permissionsDomainDump = &Collector{
	Method: "permissions.domainDump",
	Module: "permissions",
	Help: "number of domain names in the address table of the Kamailio module permissions, a series for each group " +
		"and 1 in total. Kamailio sends the whole table, and fails if there are too many",
	Large:   true,
	Metrics: []*metric.Desc{permissionsDomains, permissionsDomainRows},
	collect: each(countGroups(permissionsDomains, permissionsDomainRows, func(reply rpc.Value) iter.Seq[rpc.Value] {
		return reply.Named("group")
	})),
}

var permissionsTrustedDump = &Collector{
	Method: "permissions.trustedDump",
	Module: "permissions",
	Help: "number of trusted sources of the Kamailio module permissions, 1 series. Kamailio sends the whole table, and " +
		"fails if there are too many",
	Large:   true,
	Metrics: []*metric.Desc{permissionsTrustedRows},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		addTableRows(out, permissionsTrustedRows, reply.Value, countNamed(reply.Value, "item"))
	}),
}

// countGroups returns a function that adds the number of rows of each group to
// desc, and that of all groups to total. groups yields the group of each row of a
// reply.
func countGroups(desc, total *metric.Desc, groups func(rpc.Value) iter.Seq[rpc.Value]) func(*metric.Writer, rpc.Reply) {
	return func(out *metric.Writer, reply rpc.Reply) {
		counts := map[string]int{}
		rows := 0
		for v := range groups(reply.Value) {
			if group, ok := integerLabel(out, v, "group"); ok {
				counts[group]++
				rows++
			}
		}
		addCounts(out, desc, counts)
		addTableRows(out, total, reply.Value, rows)
	}
}

// groupsOfRows yields the field group of each row.
func groupsOfRows(reply rpc.Value) iter.Seq[rpc.Value] {
	return func(yield func(rpc.Value) bool) {
		for row := range reply.Rows() {
			if !yield(row.Get("group")) {
				return
			}
		}
	}
}
