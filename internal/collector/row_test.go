package collector

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// list returns the records of a reply of rows.
func list(rows ...any) []any { return rows }

// within returns a function that makes a reply of one struct, in which each row is a
// member with the name.
func within(name string) func(rows ...any) []any {
	return func(rows ...any) []any {
		var members rpc.Members
		for _, row := range rows {
			members = append(members, rpc.Member{Name: name, Value: row})
		}
		return []any{members}
	}
}

// TestRowsWithoutKey checks that rows without one of their keys are dropped, and
// that other rows are not.
func TestRowsWithoutKey(t *testing.T) {
	short := Settings{Short: Methods()}
	sets := func(rows ...any) []any {
		return []any{rpc.Members{{Name: "RECORDS", Value: within("SET")(rows...)[0]}}}
	}
	targets := func(rows ...any) []any {
		return sets(rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: within("DEST")(rows...)[0]}})
	}
	in := func(name string) func(rows ...any) []any {
		return func(rows ...any) []any { return []any{rpc.Members{{Name: name, Value: rows}}} }
	}
	rules := func(rows ...any) []any {
		return []any{rpc.Members{{Name: "rule", Value: rows}, {Name: "prefix_len", Value: []any{3}}}}
	}
	peers := func(rows ...any) []any {
		var all rpc.Members
		for _, row := range rows {
			if peer, ok := row.(rpc.Members); ok {
				all = append(all, peer...)
			}
		}
		return []any{rpc.Members{{Name: "Peers", Value: all}}}
	}
	socket := rpc.Members{{Name: "address", Value: "192.0.2.1"}, {Name: "proto", Value: "udp"}}
	node := rpc.Members{{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "status", Value: "active"}, {Name: "local", Value: 0}}
	destination := rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: "AP"}, {Name: "PRIORITY", Value: 1}}
	set := rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: rpc.Members{{Name: "DEST", Value: destination}}}}
	pipe := limitedPipe("p", "RED")
	gateway := rpc.Members{{Name: "gw_id", Value: 1}, {Name: "lcr_id", Value: 1}, {Name: "state", Value: 0}, {Name: "defunct_until", Value: "0"}}
	domain := rpc.Members{{Name: "Domain", Value: "d"}, {Name: "Size", Value: 8}, {Name: "Stats", Value: slotStats(1, 1)}}
	registration := rpc.Members{{Name: "l_uuid", Value: "u"}, {Name: "r_domain", Value: "d"}, {Name: "flags", Value: 4}}
	table := rpc.Members{{Name: "name", Value: "t"}, {Name: "all", Value: 1}, {Name: "expire", Value: 1}, {Name: "size", Value: 1}}
	tests := []struct {
		c        *Collector
		settings Settings
		reply    func(rows ...any) []any
		row      rpc.Members
		keys     []string
		// sum reports whether all rows become one number, which has no sample if a
		// row is bad.
		sum bool
	}{
		{c: coreInfo, reply: list, row: rpc.Members{{Name: "version", Value: "kamailio 6.0.1"}}, keys: []string{"version"}, sum: true},
		{c: corePsx, reply: list, row: rpc.Members{{Name: "DSC", Value: "timer"}}, keys: []string{"DSC"}},
		{c: coreSocketsList, reply: within("socket"), row: socket, keys: []string{"address", "proto"}},
		{c: pkgStats, reply: list, row: pkgOf(1, 2, 3, "timer"), keys: []string{"entry", "desc"}},
		{c: pkgStats, settings: short, reply: list, row: pkgOf(1, 2, 3, "timer"), keys: []string{"desc"}},
		{c: dmqListNodes, reply: list, row: node, keys: []string{"host", "status"}},
		{c: dispatcherList, reply: targets, row: destination, keys: []string{"URI"}},
		{c: dispatcherList, settings: short, reply: targets, row: destination, keys: []string{"URI"}},
		{c: dispatcherList, reply: sets, row: set, keys: []string{"ID"}},
		{c: benchmarkTimerList, reply: list, row: rpc.Members{{Name: "name", Value: "t"}, {Name: "calls", Value: "1"}}, keys: []string{"name"}},
		{c: htableStats, reply: list, row: table, keys: []string{"name"}},
		{c: htableListTables, reply: list, row: table, keys: []string{"name"}},
		{c: mqueueGetSizes, reply: list, row: table, keys: []string{"name"}},
		{c: mtreeSummary, reply: list, row: mtree("t", 0, 5), keys: []string{"table"}},
		{c: uacRegDump, reply: list, row: registration, keys: []string{"l_uuid"}},
		{c: uacRegDump, settings: short, reply: list, row: registration, keys: []string{"l_uuid"}},
		{c: rtpengineShow, reply: list, row: rpc.Members{{Name: "url", Value: "u"}, {Name: "weight", Value: 1}}, keys: []string{"url"}},
		{c: rtpproxyList, reply: list, row: rpc.Members{{Name: "url", Value: "u"}, {Name: "weight", Value: 1}}, keys: []string{"url"}},
		{c: lcrDumpGws, reply: in("gw"), row: gateway, keys: []string{"gw_id", "lcr_id"}},
		{c: keepaliveList, reply: list, row: rpc.Members{{Name: "uri", Value: "u"}, {Name: "state", Value: 1}}, keys: []string{"uri"}},
		{c: cdpListPeers, reply: peers, row: rpc.Members{{Name: "FQDN", Value: "p"}, {Name: "Details", Value: peerDetails("Closed", "False", 1)}}, keys: []string{"FQDN"}},
		{c: ulscscfStatus, reply: list, row: domain, keys: []string{"Domain"}},
		{c: ulpcscfStatus, reply: list, row: domain, keys: []string{"Domain"}},
		{c: permissionsAddressDump, reply: list, row: rpc.Members{{Name: "group", Value: 1}}, keys: []string{"group"}},
		{c: permissionsSubnetDump, reply: list, row: rpc.Members{{Name: "group", Value: 1}}, keys: []string{"group"}},
		{c: lcrDumpRules, reply: rules, row: rpc.Members{{Name: "lcr_id", Value: 1}}, keys: []string{"lcr_id"}},
		{c: presencePresentityList, reply: list, row: rpc.Members{{Name: "event", Value: "dialog"}}, keys: []string{"event"}},
		{c: plList, reply: list, row: pipe, keys: []string{"name", "algorithm"}},
		{c: plList, settings: short, reply: list, row: pipe, keys: []string{"name", "algorithm"}},
		{c: imcListRooms, reply: list, row: rpc.Members{{Name: "room", Value: "r"}, {Name: "members", Value: 2}}, keys: []string{"room"}, sum: true},
		{c: domainDump, reply: in("domains"), row: rpc.Members{{Name: "domain", Value: "d"}, {Name: "did", Value: "d"}}, keys: []string{"domain"}, sum: true},
	}
	for _, test := range tests {
		collectRows := func(rows ...any) ([]string, []metric.Skip) {
			set := metric.NewSet()
			err := test.c.Collect(set, test.settings, []Reply{{Reply: reply(t, test.reply(rows...)...)}})
			if err != nil && !errors.Is(err, errNothingRead) {
				t.Fatal(err)
			}
			return samples(t, set), set.Skips()
		}
		want, _ := collectRows(test.row)
		if len(want) == 0 {
			t.Errorf("%s makes no sample of a good row", test.c.Method)
		}
		switch {
		case test.sum:
			want = nil
		default: // a state is 0, and a sum of rows exists, only if all rows could be read
			want = slices.DeleteFunc(want, func(sample string) bool {
				return strings.HasSuffix(sample, " 0") && (len(test.settings.Short) > 0 || strings.HasPrefix(sample, "kamailio_uac_registrations")) ||
					strings.Contains(sample, "_table_rows ")
			})
		}
		for _, key := range test.keys {
			i := slices.IndexFunc(test.row, func(m rpc.Member) bool { return m.Name == key })
			bad := slices.Clone(test.row)
			for _, value := range []any{nil, "", rpc.Members{}} {
				bad[i].Value = value
				got, skips := collectRows(bad, test.row)
				checkSamples(t, got, want...)
				if (test.c == pkgStats || test.c == corePsx) && (key == "desc" || key == "DSC") && value == "" { // Kamailio has just started the process
					checkSkips(t, skips)
					continue
				}
				if len(skips) != 1 || !strings.HasPrefix(skips[0].Example, key+" is ") {
					t.Errorf("%s with %s %v: dropped %+v", test.c.Method, key, value, skips)
				}
			}
			got, skips := collectRows(test.row, slices.Delete(bad, i, i+1))
			checkSamples(t, got, want...)
			checkSkips(t, skips, metric.Skip{Collector: test.c.Method, Reason: metric.BadValue, Count: 1, Example: key + " is missing"})
		}
	}
}

// TestDMQNodeWithoutLocal checks that the series of v0 to v2 is missing without the field local.
func TestDMQNodeWithoutLocal(t *testing.T) {
	got, skips := collect(t, dmqListNodes, reply(t, rpc.Members{{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "status", Value: "active"}}))
	if len(got) != len(dmqStates) || strings.Contains(strings.Join(got, ""), "local") {
		t.Errorf("samples %q", got)
	}
	checkSkips(t, skips, metric.Skip{Collector: "dmq.list_nodes", Reason: metric.BadValue, Count: 1, Example: "local is missing"})
}

func TestDestinationsWithoutFlags(t *testing.T) {
	got, skips := collect(t, dispatcherList, reply(t, destinations(1, rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "PRIORITY", Value: 2}})))
	checkSamples(t, got, `kamailio_dispatcher_destination_priority{duid="",index="",obproxy="",setid="1",socket="",uri="sip:a"} 2`)
	checkSkips(t, skips, metric.Skip{Collector: "dispatcher.list", Reason: metric.BadValue, Count: 1, Example: "FLAGS are missing or unknown"})
}

// TestWhatIsContainsNoValue has values of all kinds.
func TestWhatIsContainsNoValue(t *testing.T) {
	for want, value := range map[string]any{
		"x is null": nil, "x is an int": 5, "x is a double": 1.5, "x is a string": "s3cret", "x is bytes": []byte("s3cret"),
		"x is a struct": rpc.Members{{Name: "auth_password", Value: "s3cret"}}, "x is an array": []any{"s3cret", 1},
	} {
		if got := whatIs("x", reply(t, value).Value); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := whatIs("x", rpc.Value{}); got != "x is missing" {
		t.Errorf("%q for an absent value", got)
	}
}
