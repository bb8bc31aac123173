//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveStatisticsGroups checks which statistics kamailio_stats_fetch_value has.
func TestLiveStatisticsGroups(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want []string // those of core.rcv_requests, script.my_calls and script.destination_down
	}{
		{"auto", []string{"--kamailio.stats-groups", "all"}, []string{"script.my_calls", "script.destination_down"}},
		{"named", []string{"-m", "stats.fetch"}, []string{"script.my_calls", "script.destination_down"}},
		{"auto and named", []string{"-m", "auto,stats.fetch", "--kamailio.stats-groups", "core,script:my_calls"}, []string{"core.rcv_requests", "script.my_calls"}},
		{"named with all", []string{"-m", "stats.fetch", "--kamailio.stats-groups", "all"}, []string{"core.rcv_requests", "script.my_calls", "script.destination_down"}},
	}
	k := lab.StartTest(t, lab.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := start(t, append([]string{"-u", k.URI("unix")}, test.args...)...)
			p := e.scrape()
			for _, statistic := range []string{"core.rcv_requests", "script.my_calls", "script.destination_down"} {
				group, name, _ := strings.Cut(statistic, ".")
				_, shown := p[`kamailio_stats_fetch_value{group="`+group+`",name="`+name+`"}`]
				if want := strings.Contains(strings.Join(test.want, " "), statistic); shown != want {
					t.Errorf("kamailio_stats_fetch_value has %s: %t, want %t", statistic, shown, want)
				}
			}
			if _, ok := p[`kamailio_core_received_messages_total{type="request"}`]; !ok {
				t.Error("the metric of core.rcv_requests is missing")
			}
		})
	}
}

// TestLiveStatisticsLargerThanBuffer has replies of stats.fetch that do not fit in ctl's buffer: a small one, or the default
// one with many statistics of the routing script.
func TestLiveStatisticsLargerThanBuffer(t *testing.T) {
	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, "modparam(\"statistics\", \"variable\", \"my_statistic_%d\")\n", i)
	}
	lab.EachSuite(t, func(t *testing.T, suite string) {
		for name, config := range map[string]string{
			"small":      `modparam("ctl", "binrpc_struct_max_body_size", 5)`,
			"very small": `modparam("ctl", "binrpc_struct_max_body_size", 1)`,
			"many":       many.String(),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := lab.StartTest(t, lab.Options{Suite: suite, Config: config})
				e := start(t, "-u", k.URI("unix"))
				p := e.scrape()
				p.check(t, `kamailio_exporter_collector_success{collector="stats.fetch"}`, 1)
				p.check(t, `kamailio_stats_fetch_value{group="script",name="my_calls"}`, 0)
				p.check(t, `kamailio_tmx_absorbed_replies`, 0)
				if _, ok := p[`kamailio_core_received_messages_total{type="request"}`]; !ok {
					t.Error("the statistics of the core are missing")
				}
				if name == "many" {
					p.check(t, `kamailio_stats_fetch_value{group="script",name="my_statistic_399"}`, 0)
				}
			})
		}
	})
}

// TestLiveNoLegacySeries checks that the flag drops the series of v0 to v2 with a preferred one on the page, and no others.
func TestLiveNoLegacySeries(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		has := func(args ...string) map[string]bool {
			names := map[string]bool{}
			for series := range start(t, append([]string{"-u", k.URI("unix")}, args...)...).scrape() {
				name, _, _ := strings.Cut(series, "{")
				names[name] = true
			}
			return names
		}
		all, without := has(), has("--no-kamailio.legacy-series")
		dropped := 0
		for _, c := range collector.All {
			for _, desc := range c.Metrics {
				drop := desc.Legacy && all[desc.Preferred]
				if all[desc.Name] && drop {
					dropped++
				}
				if without[desc.Name] != (all[desc.Name] && !drop) {
					t.Errorf("the page has %s: %t with the flag, %t without", desc.Name, without[desc.Name], all[desc.Name])
				}
			}
		}
		if dropped < 15 {
			t.Errorf("%d families are dropped, want at least 15", dropped)
		}
		if only := has("--no-kamailio.legacy-series", "-m", "core.shmmem"); !only["kamailio_core_shmmem_free"] {
			t.Error("kamailio_core_shmmem_free is dropped, although the page has no preferred series")
		}
	})
}
