package collector

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestRTPEngineNodes has the values of disabled and recheck_ticks of 5.6 and 6.0.
func TestRTPEngineNodes(t *testing.T) {
	const labels = `{index="",set="0",url="udp:a:1"} `
	bad := func(reason metric.Reason, example string) []metric.Skip {
		return []metric.Skip{{Collector: "rtpengine.show", Reason: reason, Count: 1, Example: example}}
	}
	tests := []struct {
		name                  string
		node                  rpc.Members
		disabled, recheck, up string // "" for no series
		skips                 []metric.Skip
	}{
		{name: "5.6, up", node: rpc.Members{{Name: "disabled", Value: 0}, {Name: "recheck_ticks", Value: 0}}, disabled: "0", recheck: "0", up: "1"},
		{name: "5.6, down", node: rpc.Members{{Name: "disabled", Value: 1}, {Name: "recheck_ticks", Value: 53}}, disabled: "0", recheck: "53", up: "0"},
		{name: "5.6, disabled permanently", node: rpc.Members{{Name: "disabled", Value: "1(permanent)"}, {Name: "recheck_ticks", Value: "N/A"}}, disabled: "1", up: "0"},
		{name: "6.0, up", node: rpc.Members{{Name: "disabled", Value: 0}, {Name: "active", Value: 1}, {Name: "recheck_ticks", Value: 0}}, disabled: "0", recheck: "0", up: "1"},
		{name: "6.0, down", node: rpc.Members{{Name: "disabled", Value: 0}, {Name: "active", Value: 0}, {Name: "recheck_ticks", Value: 60}}, disabled: "0", recheck: "60", up: "0"},
		{name: "6.0, disabled permanently", node: rpc.Members{{Name: "disabled", Value: 1}, {Name: "active", Value: 0}, {Name: "recheck_ticks", Value: -1}}, disabled: "1", up: "0"},
		{name: "active alone", node: rpc.Members{{Name: "active", Value: 1}}, up: "1"},
		{name: "neither", node: rpc.Members{{Name: "from_the_future", Value: 1}}},
		{name: "another text", node: rpc.Members{{Name: "disabled", Value: "2(later)"}}, skips: bad(metric.NotANumber, "disabled is a string")},
		{name: "ticks that are not a number", node: rpc.Members{{Name: "recheck_ticks", Value: "soon"}}, skips: bad(metric.NotANumber, "recheck_ticks is a string")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			node := append(rpc.Members{{Name: "url", Value: "udp:a:1"}, {Name: "set", Value: 0}, {Name: "index", Value: 7}}, test.node...)
			got, skips := collect(t, rtpengineShow, reply(t, node))
			var want []string
			for _, series := range [][2]string{{"disabled", test.disabled}, {"recheck_seconds", test.recheck}, {"up", test.up}} {
				if series[1] != "" {
					want = append(want, "kamailio_rtpengine_node_"+series[0]+labels+series[1])
				}
			}
			checkSamples(t, got, want...)
			checkSkips(t, skips, test.skips...)
		})
	}
}

func TestMediaRelaysWithTheSameURL(t *testing.T) {
	proxy := func(set, index int) rpc.Members {
		return rpc.Members{{Name: "setid", Value: set}, {Name: "url", Value: "udp:a:1"}, {Name: "index", Value: index}, {Name: "weight", Value: index}}
	}
	got, skips := collect(t, rtpproxyList, reply(t, proxy(1, 4), proxy(2, 5), proxy(1, 6), proxy(1, 7)))
	checkSamples(t, got,
		`kamailio_rtpproxy_node_weight{index="",set="1",url="udp:a:1"} 4`,
		`kamailio_rtpproxy_node_weight{index="",set="2",url="udp:a:1"} 5`,
		`kamailio_rtpproxy_node_weight{index="6",set="1",url="udp:a:1"} 6`,
		`kamailio_rtpproxy_node_weight{index="7",set="1",url="udp:a:1"} 7`,
	)
	checkSkips(t, skips)
}

// TestPermanentlyDisabledProxies checks that proxies that are disabled and have no
// next check are disabled permanently. No next check is 2³²−1, which is sent as -1
// over BINRPC.
func TestPermanentlyDisabledProxies(t *testing.T) {
	tests := []struct {
		disabled, recheck any
		want              string
	}{
		{0, 0, "0"},
		{1, 52074796, "0"},
		{1, -1, "1"},
		{1, int64(math.MaxUint32), "1"},
		{0, -1, "0"},
	}
	for _, test := range tests {
		got, _ := collect(t, rtpproxyList, reply(t, rpc.Members{
			{Name: "url", Value: "u"}, {Name: "disabled", Value: test.disabled}, {Name: "recheck", Value: test.recheck},
		}))
		if want := `kamailio_rtpproxy_node_disabled{index="",set="",url="u"} ` + test.want; len(got) != 2 || got[0] != want {
			t.Errorf("%v, %v: %q, want %q first", test.disabled, test.recheck, got, want)
		}
	}
}

// TestFaultsThatAreNotFailures has faults for missing data and for disabled
// features.
func TestFaultsThatAreNotFailures(t *testing.T) {
	for _, test := range []struct {
		c      *Collector
		reason string
	}{
		{rtpengineShow, "Initializing - try later"},
		{mtreeSummary, "Empty tree list"},
		{permissionsAddressDump, "No address table"},
		{permissionsSubnetDump, "No subnet table"},
		{dnsMemInfo, "dns cache support disabled (see use_dns_cache)"},
		{dstBlocklistMemInfo, "dst blocklist support disabled"},
	} {
		for _, reason := range []string{test.reason, "Server error"} {
			set := metric.NewSet()
			fault := &rpc.Fault{Code: 500, Reason: reason}
			err := test.c.Collect(set, Settings{}, []Reply{{Reply: rpc.Reply{Err: fault}}})
			if errors.Is(err, fault) != (reason != test.reason) || len(set.Families()) > 0 {
				t.Errorf("%s: %s: error %v, %d families", test.c.Method, reason, err, len(set.Families()))
			}
		}
	}
}

// TestCallsDoNotChangeSettings checks the argument of methods that do something
// else with another argument.
func TestCallsDoNotChangeSettings(t *testing.T) {
	for method, want := range map[string]string{
		"siptrace.status": "check", "sipcapture.status": "check", "pike.top": "HOT", "rtpengine.show": "all",
	} {
		selected, err := Select([]string{method})
		if err != nil {
			t.Fatal(err)
		}
		calls := selected[0].Calls(Settings{})
		if len(calls) != 1 || calls[0].Method != method || len(calls[0].Args) != 1 || calls[0].Args[0] != want {
			t.Errorf("%s makes the calls %v, want the argument %s", method, calls, want)
		}
	}
}

func TestLinesOfText(t *testing.T) {
	tests := []struct {
		name    string
		c       *Collector
		records []any
		want    []string
		skips   []metric.Skip
	}{
		{
			name:    "load of a pipe with algorithm NETWORK",
			c:       rlGetPipes,
			records: []any{"PIPE[7]: 4:NETWORK 12/-3 (drop rate: -1) [900]", "PIPE[8]: ?", 5},
			want: []string{
				`kamailio_ratelimit_pipe_info{algorithm="NETWORK",pipe="7"} 1`,
				`kamailio_ratelimit_pipe_interval_requests{pipe="7"} 12`,
				`kamailio_ratelimit_pipe_limit{pipe="7"} -3`,
				`kamailio_ratelimit_pipe_load{pipe="7"} -1`,
			},
			skips: []metric.Skip{{Collector: "rl.get_pipes", Reason: metric.BadValue, Count: 2, Example: otherForm}},
		},
		{
			name:    "queue for all methods",
			c:       rlGetQueues,
			records: []any{"QUEUE[2]: 1:*", "QUEUE", "QUEUE[3]: 1:"},
			want:    []string{`kamailio_ratelimit_queue_info{method="*",pipe="1",queue="2"} 1`},
			skips:   []metric.Skip{{Collector: "rl.get_queues", Reason: metric.BadValue, Count: 2, Example: otherForm}},
		},
		{
			name:    "pipe named like the rest of the line",
			c:       plStats,
			records: []any{"PIPE: id=a load=1 counter=2 load=-1 counter=30", "PIPE: id=b load=99999999999999999999 counter=0", "PIPE", "PIPE: id= load=1 counter=0"},
			want:    []string{`kamailio_pipelimit_pipe_load{pipe="a load=1 counter=2"} -1`},
			skips: []metric.Skip{
				{Collector: "pl.stats", Reason: metric.NotANumber, Count: 1, Example: "kamailio_pipelimit_pipe_load is not an integer"},
				{Collector: "pl.stats", Reason: metric.BadValue, Count: 2, Example: otherForm},
			},
		},
		{
			name:    "Kafka without a message",
			c:       kafkaStats,
			records: []any{"Total messages: 0  Errors: 0"},
			want:    []string{"kamailio_kafka_errors_total 0", "kamailio_kafka_messages_total 0"},
		},
		{
			name:    "Kafka in an unknown format",
			c:       kafkaStats,
			records: []any{"7 messages"},
			skips:   []metric.Skip{{Collector: "kafka.stats", Reason: metric.BadValue, Count: 1, Example: otherForm}},
		},
		{
			name:    "subscriptions to another event",
			c:       scaSubscriptionCount,
			records: []any{"3 presence"},
			skips:   []metric.Skip{{Collector: "sca.subscription_count", Reason: metric.BadValue, Count: 1, Example: otherForm}},
		},
		{
			name:    "tracing disabled",
			c:       siptraceStatus,
			records: []any{"Disabled"},
			want:    []string{"kamailio_siptrace_enabled 0"},
		},
		{
			name:    "capturing unknown",
			c:       sipcaptureStatus,
			records: []any{"Perhaps"},
			skips:   []metric.Skip{{Collector: "sipcapture.status", Reason: metric.BadValue, Count: 1, Example: "neither Enabled nor Disabled"}},
		},
		{
			name:    "checks without a heading, and an unknown check",
			c:       secfilterStats,
			records: []any{"[+] By country       : 5", "=====", "Allowed messages (whitelist)", "[+] By moon phase: 4", "[+] By country : -1"},
			want:    []string{`kamailio_secfilter_messages_total{action="allowed",check="moon-phase"} 4`},
			skips:   []metric.Skip{{Collector: "secfilter.stats", Reason: metric.UnknownField, Count: 2, Example: otherForm}},
		},
		{
			name: "unknown lists",
			c:    secfilterStats,
			records: []any{rpc.Members{
				{Name: "Greylist", Value: rpc.Members{{Name: "Country", Value: 5}}},
				{Name: "Other", Value: rpc.Members{{Name: "Destination", Value: int32(-1)}, {Name: "SQL-Injection", Value: "?"}, {Value: 6}}},
			}},
			want: []string{`kamailio_secfilter_messages_total{action="blocked",check="destination"} 4.294967295e+09`},
			skips: []metric.Skip{
				{Collector: "secfilter.stats", Reason: metric.UnknownField, Count: 1, Example: "Greylist"},
				{Collector: "secfilter.stats", Reason: metric.NotANumber, Count: 1, Example: "SQL-Injection is a string"},
				{Collector: "secfilter.stats", Reason: metric.BadValue, Count: 1, Example: "a check of Other has no name"},
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skips := collect(t, test.c, reply(t, test.records...))
			checkSamples(t, got, test.want...)
			checkSkips(t, skips, test.skips...)
		})
	}
}

// TestOneNumberInsteadOfTwo has the reply over JSON-RPC, which has only the maximum.
func TestOneNumberInsteadOfTwo(t *testing.T) {
	got, skips := collect(t, dnsMemInfo, reply(t, 512000))
	checkSamples(t, got)
	checkSkips(t, skips, metric.Skip{Collector: "dns.mem_info", Reason: metric.BadValue, Count: 1, Example: "1 numbers, expected 2"})
}

func TestStatesOfLCRGateways(t *testing.T) {
	tests := []struct {
		state any
		want  string // "" for no series
	}{
		{0, "active"}, {1, "pinging"}, {2, "inactive"}, {3, "failing"}, {9, "failing"}, {"?", ""}, {-1.5, ""}, {-0.001, ""},
	}
	for _, test := range tests {
		got, skips := collect(t, lcrDumpGws, reply(t, lcrGateway(rpc.Member{Name: "state", Value: test.state})))
		checkSamples(t, got, lcrGatewayStates(test.want)...)
		if (len(skips) == 0) != (test.want != "") {
			t.Errorf("%v: dropped %v", test.state, skips)
		}
	}
}

func lcrGateway(members ...rpc.Member) rpc.Members {
	gateway := rpc.Members{{Name: "lcr_id", Value: 1}, {Name: "gw_id", Value: 2}, {Name: "gw_name", Value: "a"}}
	return rpc.Members{{Name: "gw", Value: []any{append(gateway, members...)}}}
}

// lcrGatewayStates returns the samples of a gateway in the state, none if state is "".
func lcrGatewayStates(state string) []string {
	var all []string
	for _, s := range []string{"active", "pinging", "inactive", "failing", "defunct"} {
		if state != "" {
			all = append(all, fmt.Sprintf(`kamailio_lcr_gateway_state{gw_id="2",gw_name="a",lcr_id="1",state=%q} %v`, s, is(s == state)))
		}
	}
	return all
}

// TestDefunctLCRGateways has gateways that are defunct until about the time of the reply, which is 1795348800.
func TestDefunctLCRGateways(t *testing.T) {
	tests := []struct {
		state   int
		until   any
		want    string
		defunct string // "" for no series
	}{
		{0, "0", "active", "0"},
		{0, "1795348799", "active", "1.795348799e+09"},
		{0, "1795348800", "active", "1.7953488e+09"},
		{0, "1795348801", "defunct", "1.795348801e+09"},
		{2, "4294967295", "defunct", "4.294967295e+09"},
		{4, int32(-1), "defunct", "4.294967295e+09"},
		{0, "", "active", ""},
		{2, "never", "inactive", ""},
		{0, "-5", "active", ""},
		{0, -0.001, "active", ""},
	}
	for _, test := range tests {
		got, skips := collect(t, lcrDumpGws, reply(t, lcrGateway(rpc.Member{Name: "state", Value: test.state}, rpc.Member{Name: "defunct_until", Value: test.until})))
		want := lcrGatewayStates(test.want)
		if test.defunct != "" {
			want = append([]string{`kamailio_lcr_gateway_defunct_until_timestamp_seconds{gw_id="2",gw_name="a",lcr_id="1"} ` + test.defunct}, want...)
		}
		checkSamples(t, got, want...)
		if (len(skips) == 0) != (test.defunct != "") {
			t.Errorf("%v: dropped %v", test.until, skips)
		}
	}
}

// TestBadRowDoesNotAffectOthers has replies with a row that the collector cannot read.
func TestBadRowDoesNotAffectOthers(t *testing.T) {
	named := func(members ...rpc.Member) rpc.Members { return members }
	tests := []struct {
		name    string
		c       *Collector
		records []any
		want    []string
		skips   []metric.Skip
	}{
		{
			name:    "keepalive",
			c:       keepaliveList,
			records: []any{named(rpc.Member{Name: "uri", Value: "a"}, rpc.Member{Name: "state", Value: 3}), named(rpc.Member{Name: "uri", Value: "b"}, rpc.Member{Name: "state", Value: 2})},
			want: []string{
				`kamailio_keepalive_destination_state{owner="",state="unknown",uri="b"} 0`,
				`kamailio_keepalive_destination_state{owner="",state="up",uri="b"} 0`,
				`kamailio_keepalive_destination_state{owner="",state="down",uri="b"} 1`,
			},
			skips: []metric.Skip{{Collector: "keepalive.list", Reason: metric.BadValue, Count: 1, Example: "state is unknown"}},
		},
		{
			name: "cdp",
			c:    cdpListPeers,
			records: []any{named(rpc.Member{Name: "Peers", Value: rpc.Members{
				{Name: "FQDN", Value: "a"}, {Name: "Details", Value: rpc.Members{{Name: "State", Value: "Dreaming"}, {Name: "Disabled", Value: "Maybe"}}},
				{Name: "FQDN", Value: "b"}, {Name: "Details", Value: rpc.Members{{Name: "Disabled", Value: "True"}}},
			}})},
			want:  []string{`kamailio_cdp_peer_disabled{peer="b"} 1`},
			skips: []metric.Skip{{Collector: "cdp.list_peers", Reason: metric.BadValue, Count: 2, Example: "State is unknown"}},
		},
		{
			name:    "permissions",
			c:       permissionsAddressDump,
			records: []any{named(rpc.Member{Name: "group", Value: 10}), named(rpc.Member{Name: "group", Value: "x"}), named(rpc.Member{Name: "group", Value: 9}), named(rpc.Member{Name: "group", Value: 10})},
			want:    []string{`kamailio_permissions_addresses{group="10"} 2`, `kamailio_permissions_addresses{group="9"} 1`},
			skips:   []metric.Skip{{Collector: "permissions.addressDump", Reason: metric.NotANumber, Count: 1, Example: "group is a string"}},
		},
		{
			name:    "rooms, of which the sums need all rows",
			c:       imcListRooms,
			records: []any{named(rpc.Member{Name: "room", Value: "b"}, rpc.Member{Name: "members", Value: 2}), named(rpc.Member{Name: "room", Value: "a"})},
			skips:   []metric.Skip{{Collector: "imc.list_rooms", Reason: metric.NotANumber, Count: 1, Example: "members is missing"}},
		},
		{
			name:    "trees of integers, whose values are not counted",
			c:       mtreeSummary,
			records: []any{mtree("a", 0, 5), mtree("b", 2, 0), mtree("c", 1, 6), mtree("d", "?", 7)},
			want:    []string{`kamailio_mtree_items{tree="a"} 5`, `kamailio_mtree_items{tree="c"} 6`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skips := collect(t, test.c, reply(t, test.records...))
			checkSamples(t, got, test.want...)
			checkSkips(t, skips, test.skips...)
		})
	}
}

func mtree(name string, kind any, items int) rpc.Members {
	return rpc.Members{{Name: "table", Value: name}, {Name: "item", Value: rpc.Members{{Name: "ttype", Value: kind}, {Name: "nritems", Value: items}}}}
}

// TestRooms includes an empty list, which means that there are no rooms.
func TestRooms(t *testing.T) {
	room := func(members int) rpc.Members {
		return rpc.Members{{Name: "room", Value: "sip:a@b"}, {Name: "members", Value: members}}
	}
	tests := []struct {
		name    string
		records []any
		want    []string
	}{
		{"none", nil, []string{"kamailio_imc_members 0", "kamailio_imc_rooms 0"}},
		{"three", []any{room(2), room(0), room(3)}, []string{"kamailio_imc_members 5", "kamailio_imc_rooms 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skips := collect(t, imcListRooms, reply(t, test.records...))
			checkSamples(t, got, test.want...)
			checkSkips(t, skips)
		})
	}
}

// TestReplyWithoutRecords checks that a reply without records has no samples and that nothing is dropped.
func TestReplyWithoutRecords(t *testing.T) {
	for _, c := range []*Collector{ctlConnections, kafkaStats, scaSubscriptionCount, secfilterStats, siptraceStatus, rlGetPipes, lcrDumpGws, cdpListPeers} {
		got, skips := collect(t, c, reply(t))
		checkSamples(t, got)
		checkSkips(t, skips)
	}
}

func TestParseKafkaTopic(t *testing.T) {
	for text, ok := range map[string]bool{
		"cdr": true, "7": true, "acc.failed_2-a": true, strings.Repeat("x", 249): true, strings.Repeat("x", 250): false, "": false, "a b": false, "a\n": false, "ä": false,
	} {
		got, err := ParseKafkaTopic(text)
		if (err == nil) != ok || ok && got != text || !ok && got != "" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestUnknownLinesOfCallObj(t *testing.T) {
	got, skips := collect(t, callObjStats, reply(t, "Start: 1  End: 4", "Total: 4  Assigned: 3  (75.00%)", "Total: many", ""))
	checkSamples(t, got, "kamailio_call_obj_assigned_numbers 3", "kamailio_call_obj_numbers 4")
	checkSkips(t, skips, metric.Skip{Collector: "call_obj.stats", Reason: metric.BadValue, Count: 2, Example: otherForm})
}

func TestRTPEngineEntries(t *testing.T) {
	got, skips := collect(t, rtpengineGetHashTotal, reply(t, int32(-1)))
	checkSamples(t, got, "kamailio_rtpengine_hash_entries 4.294967295e+09")
	checkSkips(t, skips)
	got, skips = collect(t, rtpengineGetHashTotal, reply(t, 1, 2))
	checkSamples(t, got)
	checkSkips(t, skips, metric.Skip{Collector: "rtpengine.get_hash_total", Reason: metric.NotANumber, Count: 1, Example: "the reply is an array"})
}
