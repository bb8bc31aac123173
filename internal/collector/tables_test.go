package collector

import (
	"errors"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestTables has replies with tables of one row, with bad rows, and in formats that are unknown. The golden files have empty
// tables and good rows.
func TestTables(t *testing.T) {
	pairs := func(groups ...any) rpc.Members {
		var table rpc.Members
		for _, group := range groups {
			table = append(table, rpc.Member{Name: "table", Value: 1}, rpc.Member{Name: "group", Value: group}, rpc.Member{Name: "item", Value: rpc.Members{}})
		}
		return table
	}
	skip := func(c *Collector, reason metric.Reason, example string) []metric.Skip {
		return []metric.Skip{{Collector: c.Method, Reason: reason, Count: 1, Example: example}}
	}
	prefix := rpc.Members{{Name: "DOMAIN", Value: "d"}, {Name: "PREFIX", Value: "1"}}
	route := rpc.Members{{Name: "host", Value: ""}, {Name: "status", Value: "OFF"}}
	domain := func(name string, routes any) rpc.Members {
		return rpc.Members{{Name: "domain", Value: name}, {Name: "data", Value: routes}}
	}
	carriers := func(name string, domains any) []any {
		return []any{rpc.Members{{Name: "routes", Value: []any{rpc.Members{{Name: "carrier", Value: name}, {Name: "domains", Value: domains}}}}}}
	}
	const noPrefix = "a source domain without a name or records"
	const noRow = "a reply in which no row was found"
	tests := []struct {
		name    string
		c       *Collector
		records []any
		want    []string
		skips   []metric.Skip
	}{
		{
			name: "one trusted source", c: permissionsTrustedDump,
			records: []any{rpc.Members{{Name: "table", Value: 1}, {Name: "item", Value: rpc.Members{}}}},
			want:    []string{"kamailio_permissions_trusted_table_rows 1"},
		},
		{
			name: "trusted sources under another name", c: permissionsTrustedDump,
			records: []any{rpc.Members{{Name: "source", Value: rpc.Members{}}}},
			skips:   skip(permissionsTrustedDump, metric.BadValue, noRow),
		},
		{
			name: "a text instead of trusted sources", c: permissionsTrustedDump,
			records: []any{"empty"},
			skips:   skip(permissionsTrustedDump, metric.BadValue, noRow),
		},
		{
			name: "domain names, one without a group", c: permissionsDomainDump,
			records: []any{pairs(1, "x", 2, 1)},
			want:    []string{`kamailio_permissions_domains{group="1"} 2`, `kamailio_permissions_domains{group="2"} 1`},
			skips:   skip(permissionsDomainDump, metric.NotANumber, "group is a string"),
		},
		{
			name: "one address", c: permissionsAddressDump,
			records: []any{pairs(1)},
			want:    []string{"kamailio_permissions_address_table_rows 1", `kamailio_permissions_addresses{group="1"} 1`},
		},
		{
			name: "one rule without a gateway", c: lcrDumpRules,
			records: []any{rpc.Members{{Name: "rule", Value: rpc.Members{{Name: "lcr_id", Value: 3}}}, {Name: "prefix_len", Value: []any{1}}}},
			want:    []string{"kamailio_lcr_rule_table_rows 1", `kamailio_lcr_rule_targets{lcr_id="3"} 0`, `kamailio_lcr_rules{lcr_id="3"} 1`},
		},
		{
			name: "rules under another name", c: lcrDumpRules,
			records: []any{rpc.Members{{Name: "rules", Value: []any{}}}},
			skips:   skip(lcrDumpRules, metric.BadValue, noRow),
		},
		{
			name: "prefixes of one source domain, and of one without a name", c: pdtList,
			records: []any{rpc.Members{
				{Name: "RECORDS", Value: within("ENTRY")(prefix)[0]},
				{Name: "SDOMAIN", Value: "*"}, {Name: "RECORDS", Value: within("ENTRY")(prefix, prefix)[0]},
			}},
			want:  []string{`kamailio_pdt_prefixes{sdomain="*"} 2`},
			skips: skip(pdtList, metric.BadValue, noPrefix),
		},
		{
			name: "prefixes under another name", c: pdtList,
			records: []any{rpc.Members{{Name: "SDOMAIN", Value: "*"}, {Name: "RECORDS", Value: within("PREFIX")(prefix)[0]}}},
			skips:   skip(pdtList, metric.BadValue, noPrefix),
		},
		{
			name: "no carriers", c: crDumpRoutes,
			records: []any{rpc.Members{{Name: "routes", Value: []any{}}}},
			want:    []string{"kamailio_carrierroute_table_rows 0"},
		},
		{
			name: "a carrier without domains", c: crDumpRoutes,
			records: carriers("one", []any{}),
			want:    []string{"kamailio_carrierroute_table_rows 0"},
		},
		{
			name: "domains, one without a list of routes", c: crDumpRoutes,
			records: carriers("one", []any{domain("a", []any{route, route}), domain("b", "none"), domain("c", []any{})}),
			want:    []string{`kamailio_carrierroute_routes{carrier="one",domain="a"} 2`, `kamailio_carrierroute_routes{carrier="one",domain="c"} 0`},
			skips:   skip(crDumpRoutes, metric.BadValue, "data is a string"),
		},
		{
			name: "domains, one without a name", c: crDumpRoutes,
			records: carriers("one", []any{domain("", []any{route}), domain("b", []any{route})}),
			want:    []string{`kamailio_carrierroute_routes{carrier="one",domain="b"} 1`},
			skips:   skip(crDumpRoutes, metric.BadValue, "domain is missing"),
		},
		{
			name: "a carrier without a list of domains", c: crDumpRoutes,
			records: carriers("one", 5),
			skips:   skip(crDumpRoutes, metric.BadValue, "domains is an int"),
		},
		{
			name: "a carrier without a name", c: crDumpRoutes,
			records: carriers("", []any{domain("a", []any{route})}),
			skips:   skip(crDumpRoutes, metric.BadValue, "carrier is missing"),
		},
		{
			name: "routes in another format", c: crDumpRoutes,
			records: carriers("one", []any{domain("a", []any{rpc.Members{{Name: "gateway", Value: "a"}}})}),
			skips:   skip(crDumpRoutes, metric.BadValue, "status is missing"),
		},
		{
			name: "a number instead of subnets", c: permissionsSubnetDump,
			records: []any{0},
			skips:   skip(permissionsSubnetDump, metric.BadValue, "group is missing"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set := metric.NewSet()
			err := test.c.Collect(set, Settings{}, []Reply{{Reply: reply(t, test.records...)}})
			if errors.Is(err, errNothingRead) != (len(test.want) == 0) {
				t.Errorf("error %v", err)
			}
			checkSamples(t, samples(t, set), test.want...)
			checkSkips(t, set.Skips(), test.skips...)
		})
	}
}

// TestRulesThatAreCutShort has the rules of one LCR instance complete, and those of the next cut short.
func TestRulesThatAreCutShort(t *testing.T) {
	rules := rpc.Member{Name: "rule", Value: []any{rpc.Members{{Name: "lcr_id", Value: 1}}}}
	lengths := rpc.Member{Name: "prefix_len", Value: []any{3}}
	for _, test := range []struct {
		records []any
		want    error
	}{
		{records: []any{rpc.Members{rules, lengths}, rpc.Members{rules, lengths}}},
		{records: []any{rpc.Members{rules, lengths}, rpc.Members{rules}}, want: ErrCutShort},
		{records: []any{rpc.Members{rules}}, want: ErrCutShort},
	} {
		set := metric.NewSet()
		err := lcrDumpRules.Collect(set, Settings{}, []Reply{{Reply: reply(t, test.records...)}})
		if !errors.Is(err, test.want) || (len(set.Families()) == 0) != (test.want != nil) {
			t.Errorf("%v: error %v, samples %q", test.records, err, samples(t, set))
		}
	}
}

// TestFaultOfAnEmptyTable has the fault that says that a table is empty, and another one.
func TestFaultOfAnEmptyTable(t *testing.T) {
	for _, test := range []struct {
		c     *Collector
		fault rpc.Fault
		want  string
	}{
		{lcrDumpRules, rpc.Fault{Code: 404, Reason: "Empty reply"}, "kamailio_lcr_rule_table_rows 0"},
		{pdtList, rpc.Fault{Code: 404, Reason: "No records"}, "kamailio_pdt_table_rows 0"},
	} {
		set := metric.NewSet()
		if err := test.c.Collect(set, Settings{}, []Reply{{Reply: rpc.Reply{Err: &test.fault}}}); err != nil {
			t.Errorf("%s: %v", test.c.Method, err)
		}
		checkSamples(t, samples(t, set), test.want)
		other := &rpc.Fault{Code: 404, Reason: "Not found"}
		set = metric.NewSet()
		if err := test.c.Collect(set, Settings{}, []Reply{{Reply: rpc.Reply{Err: other}}}); !errors.Is(err, other) || len(set.Families()) > 0 {
			t.Errorf("%s: error %v, samples %q", test.c.Method, err, samples(t, set))
		}
	}
}

// TestFaultOfAMissingTableFails has Kamailio reply that it keeps no such table, which is not an empty table.
func TestFaultOfAMissingTableFails(t *testing.T) {
	for reason, c := range map[string]*Collector{
		"No trusted table":     permissionsTrustedDump,
		"No domain list table": permissionsDomainDump,
	} {
		set := metric.NewSet()
		fault := &rpc.Fault{Code: 500, Reason: reason}
		if err := c.Collect(set, Settings{}, []Reply{{Reply: rpc.Reply{Err: fault}}}); !errors.Is(err, fault) || len(set.Families()) > 0 {
			t.Errorf("%s: error %v, %d families", c.Method, err, len(set.Families()))
		}
	}
}
