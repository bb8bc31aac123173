package collector

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestEveryStatisticIsInAGoldenFile fails for entries of statisticFamilies that no
// golden file includes.
func TestEveryStatisticIsInAGoldenFile(t *testing.T) {
	seen := map[*statistic]bool{}
	look := func(value rpc.Value) {
		for member := range value.All() {
			group, name, _ := strings.Cut(member.Name(), ".")
			s, _ := findStatistic(group + "." + name)
			seen[s] = true
		}
	}
	for version, when := range captured {
		files, err := filepath.Glob(filepath.Join("testdata", version, "stats.fetch_*.binrpc"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no captures of %s: %v", version, err)
		}
		for _, file := range files {
			look(readReply(t, file, when).Value)
		}
	}
	for _, b := range builtStatistics {
		look(reply(t, b.records...).Value)
	}
	for _, s := range statistics {
		if !seen[s] {
			t.Errorf("%s of %s is in no golden file", s.name, s.desc.Name)
		}
	}
}

// TestStatisticFamilies checks all entries of statisticFamilies.
func TestStatisticFamilies(t *testing.T) {
	names := map[string]bool{}
	for _, s := range statistics {
		if names[s.name] {
			t.Errorf("%s exists twice", s.name)
		}
		names[s.name] = true
		if len(s.labels) != len(s.desc.Labels) {
			t.Errorf("%s has %d labels, %s %d", s.name, len(s.labels), s.desc.Name, len(s.desc.Labels))
		}
		for _, label := range s.labels {
			if strings.HasPrefix(label, "{") && !strings.Contains(s.name, label) {
				t.Errorf("label %s is not a placeholder in %s", label, s.name)
			}
		}
		if strings.Contains(s.name, "{") {
			for _, placeholder := range s.pattern.SubexpNames()[1:] {
				if statisticPlaceholders[placeholder] == "" {
					t.Errorf("%s has the unknown placeholder %q", s.name, placeholder)
				}
			}
		}
		if total := strings.HasSuffix(s.desc.Name, "_total"); total != (s.desc.Type == metric.Counter) {
			t.Errorf("the name of %s does not fit its type", s.desc.Name)
		}
		if group, _, _ := strings.Cut(s.name, "."); !strings.HasPrefix(s.desc.Name, "kamailio_"+group+"_") {
			t.Errorf("%s is not named after the group of %s", s.desc.Name, s.name)
		}
	}
}

func statisticsOf(pairs ...string) rpc.Members {
	var members rpc.Members
	for i := 0; i < len(pairs); i += 2 {
		members = append(members, rpc.Member{Name: pairs[i], Value: pairs[i+1]})
	}
	return members
}

func TestNegativeStatistics(t *testing.T) {
	got, skips := collect(t, statsFetch, reply(t, statisticsOf(
		"tmx.rpl_absorbed", "18446744073709547189",
		"tmx.rpl_sent", "18446744073709551615",
		"tmx.rpl_received", "9223372036854775807",
		"core.fwd_requests", "9223372036854775808",
		"script.level", "18446744073709551612",
		"cdp.average_response_time", "18446744073709551116",
		"shmem.free_size", "18446744073709012720",
	)))
	checkSamples(t, got,
		"kamailio_shmem_free_bytes 0",
		`kamailio_stats_fetch_value{group="script",name="level"} -4`,
		"kamailio_tmx_absorbed_replies -4427",
		"kamailio_tmx_received_replies_total 9.223372036854776e+18",
	)
	checkSkips(t, skips, metric.Skip{Collector: "stats.fetch", Reason: metric.BadValue, Count: 3, Example: "tmx.rpl_sent is negative"})
}

// TestTrackingOfSCTPDisabled has the value of Kamailio with assoc_tracking=no, which is -1 and not an error.
func TestTrackingOfSCTPDisabled(t *testing.T) {
	got, skips := collect(t, statsFetch, reply(t, statisticsOf(
		"sctp.current_opened_connections", "2",
		"sctp.current_tracked_connections", "18446744073709551615",
	)))
	checkSamples(t, got, "kamailio_sctp_current_opened_connections 2")
	checkSkips(t, skips)
}

func TestBadStatisticsDoNotAffectOthers(t *testing.T) {
	got, skips := collect(t, statsFetch, reply(t, rpc.Members{
		{Name: "core.fwd_requests", Value: "1e3"},
		{Name: "core.fwd_replies", Value: nil},
		{Name: "core.drop_requests", Value: 5},
		{Name: "core.drop_replies", Value: "-1"},
		{Name: "core.err_requests", Value: "18446744073709551616"},
		{Name: "nogroup", Value: "1"},
		{Name: "noname.", Value: "1"},
		{Name: ".nogroup", Value: "1"},
		{Name: "core.bad_msg_hdr", Value: "3"},
		{Name: "core.bad_msg_hdr", Value: "4"},
	}))
	checkSamples(t, got, "kamailio_core_bad_headers_total 3")
	checkSkips(t, skips,
		metric.Skip{Collector: "stats.fetch", Reason: metric.NotANumber, Count: 5, Example: "core.fwd_requests is a string"},
		metric.Skip{Collector: "stats.fetch", Reason: metric.UnknownField, Count: 3, Example: "nogroup"},
		metric.Skip{Collector: "stats.fetch", Reason: metric.Duplicate, Count: 1, Example: "kamailio_core_bad_headers_total{}"},
	)
}

// TestStatisticNames has names of Kamailio's statistics, and names that are similar
// to them.
func TestStatisticNames(t *testing.T) {
	tests := []struct{ statistic, want string }{
		{"core.rcv_requests", `kamailio_core_received_messages_total{type="request"}`},
		{"core.rcv_requests_invite", `kamailio_core_received_requests_total{method="INVITE"}`},
		{"core.rcv_requests_new", `kamailio_core_received_requests_total{method="NEW"}`},
		{"core.rcv_replies_4xx", `kamailio_core_received_replies_total{class="4xx"}`},
		{"core.rcv_replies_18x", `kamailio_core_received_replies_by_code_total{code="18x"}`},
		{"core.rcv_replies_503", `kamailio_core_received_replies_by_code_total{code="503"}`},
		{"core.rcv_replies_2xx_reg", `kamailio_core_received_replies_by_method_total{class="2xx",method="REGISTER"}`},
		{"core.rcv_replies_7xx", `kamailio_stats_fetch_value{group="core",name="rcv_replies_7xx"}`},
		{"core.rcv_replies_all", `kamailio_stats_fetch_value{group="core",name="rcv_replies_all"}`},
		{"core.RCV_REQUESTS", `kamailio_stats_fetch_value{group="core",name="RCV_REQUESTS"}`},
		{"sl.4xx_replies", `kamailio_sl_replies_total{code="4xx"}`},
		{"sl.483_replies", `kamailio_sl_replies_total{code="483"}`},
		{"sl.xxx_replies", `kamailio_sl_replies_total{code="xxx"}`},
		{"tmx.2xx_transactions", `kamailio_tmx_completed_transactions_total{class="2xx"}`},
		{"usrloc.registered_users", `kamailio_usrloc_registered_users`},
		{"usrloc.location_users", `kamailio_usrloc_users{domain="location"}`},
		{"usrloc.location-users", `kamailio_usrloc_users{domain="location"}`},
		{"usrloc.aor.2:contacts", `kamailio_usrloc_contacts{domain="aor.2"}`},
		{"usrloc.my_users_expires", `kamailio_usrloc_expired_contacts_total{domain="my_users"}`},
		{"usrloc.users", `kamailio_stats_fetch_value{group="usrloc",name="users"}`},
		{"usrloc.xusers", `kamailio_stats_fetch_value{group="usrloc",name="xusers"}`},
		{"sipcapture.captured_requests[a]b]", `kamailio_sipcapture_captured_messages_total{mode="a]b",type="request"}`},
		{"websocket.ws_sip_current_connections", `kamailio_websocket_current_connections_by_protocol{protocol="sip"}`},
		{"websocket.ws_xmpp_current_connections", `kamailio_stats_fetch_value{group="websocket",name="ws_xmpp_current_connections"}`},
		{"ims_icscf.lir_timeouts", `kamailio_ims_icscf_timeouts_total{request="LIR"}`},
		{"snmpstats.486_out", `kamailio_snmpstats_replies_total{code="486",direction="out"}`},
		{"dlgs.active_init", `kamailio_dlgs_active{state="init"}`},
		{"other.core.rcv_requests", `kamailio_stats_fetch_value{group="other",name="core.rcv_requests"}`},
		{"script.a\nb", `kamailio_stats_fetch_value{group="script",name="a\nb"}`},
	}
	for _, test := range tests {
		t.Run(test.statistic, func(t *testing.T) {
			got, skips := collect(t, statsFetch, reply(t, statisticsOf(test.statistic, "7")))
			checkSamples(t, got, test.want+" 7")
			checkSkips(t, skips)
		})
	}
}

func TestStatisticScales(t *testing.T) {
	got, _ := collect(t, statsFetch, reply(t, statisticsOf(
		"cdp.replies_response_time", "1500",
		"ims_qos.media_aar_avg_response_time", "20",
		"ims_charging.billed_secs", "61",
	)))
	checkSamples(t, got,
		"kamailio_cdp_response_seconds_total 1.5",
		"kamailio_ims_charging_billed_seconds_total 61",
		`kamailio_ims_qos_aar_average_response_seconds{type="media"} 0.02`,
	)
}

// TestStatsFetchValue checks which statistics kamailio_stats_fetch_value has. A configured statistic or group that Kamailio does
// not have is an error, and does not affect the others.
func TestStatsFetchValue(t *testing.T) {
	all := statisticsOf("core.fwd_requests", "1", "script.calls", "2", "script.my.calls", "3", "own.level", "4")
	value := func(group, name, value string) string {
		return fmt.Sprintf("kamailio_stats_fetch_value{group=%q,name=%q} %s", group, name, value)
	}
	core, calls, dotted, own := value("core", "fwd_requests", "1"), value("script", "calls", "2"), value("script", "my.calls", "3"), value("own", "level", "4")
	named := []string{"auto", "stats.fetch"}
	tests := []struct {
		name   string
		named  []string
		groups []string
		want   []string
		lacks  string
	}{
		{"auto", []string{"auto"}, []string{"script"}, []string{calls, dotted, own}, ""},
		{"auto, with all groups", []string{"auto", "tm.stats"}, []string{"all"}, []string{calls, dotted, own}, ""},
		{"named", named, []string{"script"}, []string{calls, dotted}, ""},
		{"named, no groups", named, nil, nil, ""},
		{"named, all", named, []string{"all"}, []string{core, calls, dotted, own}, ""},
		{"named, a group with a family", []string{"stats.fetch"}, []string{"core"}, []string{core}, ""},
		{"named, groups with a colon", named, []string{"own:", "core:"}, []string{core, own}, ""},
		{"named, full names", named, []string{"script:calls", "core.fwd_requests"}, []string{core, calls}, ""},
		{"named, full name with a dot", named, []string{"script:my.calls"}, []string{dotted}, ""},
		{"named, part of a name", named, []string{"scrip", "script:call", "own:levels"}, nil, "scrip, script:call, own:levels"},
		{"named, some are unknown", named, []string{"script", "script:nosuch", "own.level", "nosuch:"}, []string{calls, dotted, own}, "script:nosuch, nosuch:"},
		{"named, all and unknown", named, []string{"all", "nosuch"}, []string{core, calls, dotted, own}, "nosuch"},
		{"auto, unknown", []string{"auto"}, []string{"nosuch"}, []string{calls, dotted, own}, ""},
		{"named, the same statistic twice", named, []string{"own", "own:level", "all"}, []string{core, calls, dotted, own}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set := metric.NewSet()
			settings := Settings{Named: test.named, StatsGroups: test.groups}
			checkLacks(t, statsFetch.Collect(set, settings, []Reply{{Reply: reply(t, all)}}), test.lacks)
			var got []string
			typed := false
			for line := range strings.Lines(string(exposition(t, set))) {
				if strings.HasPrefix(line, "kamailio_stats_fetch_value") {
					got = append(got, strings.TrimSpace(line))
				}
				typed = typed || line == "kamailio_core_forwarded_messages_total{type=\"request\"} 1\n"
			}
			checkSamples(t, got, test.want...)
			checkSkips(t, set.Skips())
			if !typed {
				t.Error("the statistic's own family is missing")
			}
		})
	}
}

// checkLacks checks that err names the statistics that Kamailio does not have, or is nil if there are none.
func checkLacks(t *testing.T, err error, statistics string) {
	t.Helper()
	if statistics == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if want := ErrNoSuchStatistic.Error() + ": " + statistics; !errors.Is(err, ErrNoSuchStatistic) || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestScriptMayHaveNoStatistics has a Kamailio whose routing script has no statistics, which is not an error with the default
// setting.
func TestScriptMayHaveNoStatistics(t *testing.T) {
	one := reply(t, statisticsOf("core.fwd_requests", "1"))
	for groups, lacks := range map[string]string{"script": "", "script:": "", "script:my_calls": "script:my_calls"} {
		settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{groups}}
		checkLacks(t, statsFetch.Collect(metric.NewSet(), settings, []Reply{{Reply: one}}), lacks)
	}
	settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"nosuch"}, NoLegacySeries: true} // which makes StatsGroups have no effect
	checkLacks(t, statsFetch.Collect(metric.NewSet(), settings, []Reply{{Reply: one}}), "")
}

// TestUnknownStatisticsInLines has replies of stats.get_statistics. Only a complete one shows that a statistic does not exist.
func TestUnknownStatisticsInLines(t *testing.T) {
	settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"own:my = level", "own.nosuch", "mine:", "yours"}}
	full := statisticLines(t, "all", linesOf("core", 1024)...)
	own := statisticLines(t, "own:", "own:my = level = 3")
	mine, yours := statisticLines(t, "mine:"), statisticLines(t, "yours:")
	failed := Reply{Call: yours.Call, Reply: rpc.Reply{Err: context.DeadlineExceeded}}
	for name, test := range map[string]struct {
		replies []Reply
		lacks   string
	}{
		"all":    {[]Reply{statisticLines(t, "all", "own:my = level = 3", "core:fwd_requests = 4"), mine}, "own.nosuch, mine:, yours"},
		"groups": {[]Reply{full, own, mine, yours}, "own.nosuch, mine:, yours"},
		"failed": {[]Reply{full, own, mine, failed}, "own.nosuch, mine:"},
		"cut":    {[]Reply{full, statisticLines(t, "own:", linesOf("own", 1024)...), mine, yours}, ""},
	} {
		err := statsFetch.Collect(metric.NewSet(), settings, test.replies)
		switch name {
		case "cut":
			if !errors.Is(err, ErrCutShort) || errors.Is(err, ErrNoSuchStatistic) {
				t.Errorf("%s: error %v", name, err)
			}
		case "failed":
			if want := ErrNoSuchStatistic.Error() + ": " + test.lacks; !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", name, err, want)
			}
		default:
			checkLacks(t, err, test.lacks)
		}
	}
	if err := statsFetch.Collect(metric.NewSet(), settings, []Reply{{Reply: rpc.Reply{Err: context.DeadlineExceeded}}}); errors.Is(err, ErrNoSuchStatistic) {
		t.Errorf("without a reply: error %v", err)
	}
}

func TestStatsFetchIsOneCall(t *testing.T) {
	calls := statsFetch.Calls(Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"script", "own:level"}})
	if len(calls) != 1 || calls[0].String() != "stats.fetch all" {
		t.Errorf("calls %v", calls)
	}
}

// TestGetStatisticsCalls checks when there is a second batch, and its calls.
func TestGetStatisticsCalls(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		again bool
	}{
		{"successful", nil, false},
		{"too large for the buffer", &rpc.Fault{Code: 500, Reason: "Internal error"}, true},
		{"too large for JSON-RPC", &rpc.Fault{Code: 503, Reason: "whatever"}, true},
		{"no such method over BINRPC", &rpc.Fault{Code: 500, Reason: "command stats.fetch not found"}, false},
		{"no such method over JSON-RPC", &rpc.Fault{Code: 500, Reason: "Method Not Found"}, false},
		{"no statistics", &rpc.Fault{Code: 400, Reason: "stats support not enabled"}, false},
		{"no reply", context.DeadlineExceeded, false},
		{"wrapped", fmt.Errorf("reading: %w", &rpc.Fault{Code: 500, Reason: "Internal error"}), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := Settings{StatsGroups: []string{"script", "all", "own:level", "own:size", "tcp", "mine:"}}
			calls := statsFetch.Again(settings, []Reply{{Reply: rpc.Reply{Err: test.err}}})
			if !test.again {
				if len(calls) > 0 {
					t.Errorf("unexpected second batch: %v", calls)
				}
				return
			}
			var texts []string
			for _, call := range calls {
				texts = append(texts, call.String())
			}
			for _, want := range []string{"all", "core:", "shmem:", "tcp:", "usrloc:", "ims_qos:", "script:", "own:", "mine:"} {
				if n := len(slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return text != "stats.get_statistics "+want })); n != 1 {
					t.Errorf("%d calls for %s, want 1", n, want)
				}
			}
			if texts[0] != "stats.get_statistics all" || len(calls) != len(statisticGroups())+3 {
				t.Errorf("calls %v", texts)
			}
		})
	}
}

// statisticLines returns a reply of stats.get_statistics.
func statisticLines(t *testing.T, group string, lines ...any) Reply {
	t.Helper()
	return Reply{Call: rpc.Call{Method: "stats.get_statistics", Args: []any{group}}, Reply: reply(t, lines...)}
}

// linesOf returns n lines of 29 bytes, each of which takes 32 bytes in ctl's buffer.
func linesOf(group string, n int) []any {
	lines := make([]any, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%-6.6s:statistic_%04d = %05d", group, i, i)
	}
	return lines
}

// TestStatisticLines has a complete reply with all statistics, so that those of groups are not used, and malformed lines.
func TestStatisticLines(t *testing.T) {
	set := metric.NewSet()
	err := statsFetch.Collect(set, Settings{}, []Reply{
		statisticLines(t, "all", "tcp:established = 3", "script:my = calls: = 4", "tmx:rpl_absorbed = 18446744073709547189",
			"core:fwd_requests = 18446744073709551615", "uac:regactive = 18446744073709551611", "none", "script: = 5", "script:x = 99999999999999999999", 7),
		statisticLines(t, "tcp:", "tcp:established = 4"),
	})
	if err != nil {
		t.Fatal(err)
	}
	checkSamples(t, samples(t, set),
		`kamailio_stats_fetch_value{group="script",name="my = calls:"} 4`,
		"kamailio_tcp_established_total 3",
		"kamailio_tmx_absorbed_replies -4427",
	)
	checkSkips(t, set.Skips(),
		metric.Skip{Collector: "stats.fetch", Reason: metric.BadValue, Count: 4, Example: "core.fwd_requests is negative"},
		metric.Skip{Collector: "stats.fetch", Reason: metric.NotANumber, Count: 1, Example: "script.x is not an integer"},
	)
}

// TestCutStatisticLines has lines of a Kamailio with a small binrpc_buffer_size. Those that are longer are missing.
func TestCutStatisticLines(t *testing.T) {
	set := metric.NewSet()
	err := statsFetch.Collect(set, Settings{}, []Reply{statisticLines(t, "all", "tcp:established = 3", "tcp:con_timeout = \x00")})
	if !errors.Is(err, ErrCutShort) {
		t.Errorf("error %v", err)
	}
	checkSamples(t, samples(t, set), "kamailio_tcp_established_total 3")
	checkSkips(t, set.Skips(), metric.Skip{Collector: "stats.fetch", Reason: metric.BadValue, Count: 1, Example: otherForm})
}

// TestStatisticLinesThatFillTheBuffer has replies that may be incomplete, since ctl drops lines that do not fit.
func TestStatisticLinesThatFillTheBuffer(t *testing.T) {
	tests := []struct {
		name        string
		all, script int
		series      int
		err         error
	}{
		{"few", 400, 400, 400, nil},
		{"almost full", 1023, 0, 1023, nil}, // one more line would fit
		{"full", 1024, 1000, 1024, nil},     // but each group is complete
		{"too many", 1024, 1024, 1024, ErrCutShort},
		{"a buffer too small for any line", 0, 0, 0, ErrCutShort},
		{"a smaller buffer", 32, 32, 32, ErrCutShort},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set := metric.NewSet()
			err := statsFetch.Collect(set, Settings{}, []Reply{
				statisticLines(t, "all", linesOf("script", test.all)...),
				statisticLines(t, "tcp:", "tcp:established = 3"),
				statisticLines(t, "script:", linesOf("script", test.script)...),
			})
			if !errors.Is(err, test.err) {
				t.Errorf("error %v", err)
			}
			n := 0
			for _, sample := range samples(t, set) {
				if strings.HasPrefix(sample, "kamailio_stats_fetch_value{") {
					n++
				}
			}
			if n != test.series || len(set.Skips()) > 0 {
				t.Errorf("%d series of the script, dropped %+v", n, set.Skips())
			}
		})
	}
}

// TestLongNamesAreNotCached also checks that names are found when the cache is full.
func TestLongNamesAreNotCached(t *testing.T) {
	matches := statisticMatches{byName: map[string]statisticMatch{}}
	for i := range mostMatched + 10 {
		if s, labels := matches.find(fmt.Sprintf("usrloc.domain%d-users", i)); s == nil || labels[0] != fmt.Sprintf("domain%d", i) {
			t.Fatalf("found %v %v", s, labels)
		}
	}
	matches.byName = map[string]statisticMatch{}
	matches.find("usrloc." + strings.Repeat("long", 100) + "-users")
	if len(matches.byName) != 0 {
		t.Error("a long name is cached")
	}
}

func TestCacheOfNamesIsLimited(t *testing.T) {
	matches := statisticMatches{byName: map[string]statisticMatch{}}
	for i := range mostMatched + 10 {
		matches.find(fmt.Sprintf("usrloc.domain%d-users", i))
	}
	if len(matches.byName) != mostMatched {
		t.Errorf("%d names are cached", len(matches.byName))
	}
}

// TestWrongStatisticsHaveNoFamily has statistics that Kamailio never updates or computes wrongly. For example, Kamailio has sent
// -5 accounts. kamailio_stats_fetch_value has them only if they are configured.
func TestWrongStatisticsHaveNoFamily(t *testing.T) {
	for name := range wrongStatistics {
		r := reply(t, statisticsOf(name, "18446744073709551611", "tcp.established", "3"))
		got, skips := collect(t, statsFetch, r)
		checkSamples(t, got, "kamailio_tcp_established_total 3")
		checkSkips(t, skips)

		set := metric.NewSet()
		if err := statsFetch.Collect(set, Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{name}}, []Reply{{Reply: r}}); err != nil {
			t.Fatal(err)
		}
		group, short, _ := strings.Cut(name, ".")
		checkSamples(t, samples(t, set), fmt.Sprintf("kamailio_stats_fetch_value{group=%q,name=%q} -5", group, short), "kamailio_tcp_established_total 3")
	}
}
