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
