package collector

import (
	"math"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func destinations(setid any, all ...rpc.Members) rpc.Members {
	targets := rpc.Members{}
	for _, destination := range all {
		targets = append(targets, rpc.Member{Name: "DEST", Value: destination})
	}
	set := rpc.Members{{Name: "ID", Value: setid}, {Name: "TARGETS", Value: targets}}
	return rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}}
}

// TestDestinationsWithTheSameURI has destinations of one set and URI that differ in one attribute, or in none that has a label.
func TestDestinationsWithTheSameURI(t *testing.T) {
	destination := func(flags string, attrs ...rpc.Member) rpc.Members {
		return rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: flags}, {Name: "ATTRS", Value: append(rpc.Members{
			{Name: "BODY", Value: "weight=50"}, {Name: "WEIGHT", Value: 50},
		}, attrs...)}}
	}
	attr := func(name string, value any) rpc.Member { return rpc.Member{Name: name, Value: value} }
	got, skips := collect(t, dispatcherList, reply(t, destinations(0,
		destination("AP", attr("DUID", nil), attr("SOCKET", nil), attr("SOCKNAME", nil), attr("OBPROXY", nil)),
		destination("AP", attr("DUID", "gw1")),
		destination("AP", attr("SOCKET", "udp:127.0.0.1:5060")),
		destination("AP", attr("SOCKNAME", "s1")),
		destination("AP", attr("SOCKNAME", "s2")),
		destination("AP", attr("OBPROXY", "sip:p1")),
		destination("IP", attr("OBPROXY", "sip:p2")),
		destination("TX"), // differs from the first only in its flags
		destination("AP", attr("PING_SOCKET", "udp:127.0.0.1:5061")),
	)))
	var states []string
	for _, sample := range got {
		if strings.HasPrefix(sample, "kamailio_dispatcher_destination_state") && strings.HasSuffix(sample, " 1") {
			states = append(states, sample)
		}
	}
	checkSamples(t, states,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid="0",socket="",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="gw1",index="",obproxy="",setid="0",socket="",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid="0",socket="udp:127.0.0.1:5060",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid="0",socket="s1",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid="0",socket="s2",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="sip:p1",setid="0",socket="",state="active",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="",obproxy="sip:p2",setid="0",socket="",state="inactive",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="2",obproxy="",setid="0",socket="",state="trying",uri="sip:a"} 1`,
		`kamailio_dispatcher_destination_state{duid="",index="3",obproxy="",setid="0",socket="",state="active",uri="sip:a"} 1`,
	)
	if n := strings.Count(strings.Join(got, "\n"), "kamailio_dispatcher_destination_weight{"); n != 9 {
		t.Errorf("%d destinations have a weight, want 9", n)
	}
	checkSamples(t, got[len(got)-3:],
		`kamailio_dispatcher_list_target{flags="AP",setid="0",uri="sip:a"} 1`,
		`kamailio_dispatcher_list_target{flags="IP",setid="0",uri="sip:a"} 1`,
		`kamailio_dispatcher_list_target{flags="TX",setid="0",uri="sip:a"} 1`,
	)
	checkSkips(t, skips)
}

func TestDestinationNumbers(t *testing.T) {
	got, skips := collect(t, dispatcherList, reply(t, destinations(4, rpc.Members{
		{Name: "URI", Value: "sip:\xff"},
		{Name: "FLAGS", Value: "Q?"},
		{Name: "PRIORITY", Value: -3},
		{Name: "LATENCY", Value: rpc.Members{{Name: "AVG", Value: 12.5}, {Name: "MAX", Value: 2000}, {Name: "TIMEOUT", Value: int32(-1)}, {Name: "EST", Value: "?"}}},
		{Name: "RUNTIME", Value: rpc.Members{{Name: "DLGLOAD", Value: 8}}},
		{Name: "IUID", Value: "from 6.1"},
	})))
	const labels = `{duid="",index="",obproxy="",setid="4",socket="",uri="sip:` + "\uFFFD" + `"}`
	checkSamples(t, got,
		"kamailio_dispatcher_destination_latency_average_seconds"+labels+" 0.0125",
		"kamailio_dispatcher_destination_latency_max_seconds"+labels+" 2",
		"kamailio_dispatcher_destination_load"+labels+" 8",
		"kamailio_dispatcher_destination_priority"+labels+" -3",
		"kamailio_dispatcher_destination_timeouts_total"+labels+" 4.294967295e+09",
		`kamailio_dispatcher_list_target{flags="Q?",setid="4",uri="sip:`+"\uFFFD"+`"} 1`,
	)
	checkSkips(t, skips,
		metric.Skip{Collector: "dispatcher.list", Reason: metric.BadValue, Count: 1, Example: "FLAGS are missing or unknown"},
		metric.Skip{Collector: "dispatcher.list", Reason: metric.NotANumber, Count: 1, Example: "EST is a string"},
	)
}

// TestResponseTimesAfterClockChange has response times as Kamailio computes them if its host's clock is changed while it waits
// for a reply.
func TestResponseTimesAfterClockChange(t *testing.T) {
	for name, latency := range map[string]rpc.Members{
		"back":    {{Name: "AVG", Value: -3599000.5}, {Name: "STD", Value: math.MinInt64 / 1000.0}, {Name: "EST", Value: -1.0}, {Name: "MAX", Value: -7198000}},
		"forward": {{Name: "AVG", Value: 3600001.0}, {Name: "STD", Value: 1e12}, {Name: "EST", Value: 7198000.0}, {Name: "MAX", Value: math.MaxInt32}},
	} {
		got, skips := collect(t, dispatcherList, reply(t, destinations(4, rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: "AP"}, {Name: "LATENCY", Value: latency}})))
		if strings.Contains(strings.Join(got, ""), "_latency_") {
			t.Errorf("clock set %s: samples %q", name, got)
		}
		checkSkips(t, skips, metric.Skip{Collector: "dispatcher.list", Reason: metric.BadValue, Count: 4, Example: "AVG is out of range"})
	}
}

func TestSetWithoutID(t *testing.T) {
	got, skips := collect(t, dispatcherList, reply(t, destinations("one", rpc.Members{{Name: "URI", Value: "sip:a"}})))
	checkSamples(t, got)
	checkSkips(t, skips, metric.Skip{Collector: "dispatcher.list", Reason: metric.NotANumber, Count: 1, Example: "ID is a string"})
}

// TestFlags has all flags that Kamailio uses.
func TestFlags(t *testing.T) {
	tests := []struct {
		flags, state, probing string
	}{
		{"AP", "active", "1"},
		{"AX", "active", "0"},
		{"AN", "active", "0"},
		{"IP", "inactive", "1"},
		{"DX", "disabled", "0"},
		{"TP", "trying", "1"},
	}
	for _, test := range tests {
		t.Run(test.flags, func(t *testing.T) {
			got, skips := collect(t, dispatcherList, reply(t, destinations(1, rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: test.flags}})))
			want := []string{`kamailio_dispatcher_destination_probing{duid="",index="",obproxy="",setid="1",socket="",uri="sip:a"} ` + test.probing}
			for _, state := range []string{"active", "disabled", "inactive", "trying"} {
				value := "0"
				if state == test.state {
					value = "1"
				}
				want = append(want, `kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid="1",socket="",state="`+state+`",uri="sip:a"} `+value)
			}
			checkSamples(t, got, append(want, `kamailio_dispatcher_list_target{flags="`+test.flags+`",setid="1",uri="sip:a"} 1`)...)
			checkSkips(t, skips)
		})
	}
}

// TestShortFormOfDispatcherList checks that the short form counts identical
// destinations separately.
func TestShortFormOfDispatcherList(t *testing.T) {
	destination := func(uri, flags string) rpc.Members {
		return rpc.Members{{Name: "URI", Value: uri}, {Name: "FLAGS", Value: flags}, {Name: "PRIORITY", Value: 1}}
	}
	set := metric.NewSet()
	err := dispatcherList.Collect(set, Settings{Short: []string{"dispatcher.list"}}, []Reply{{Reply: reply(t, destinations(5,
		destination("sip:a", "AP"), destination("sip:a", "AP"), destination("sip:b", "AX"),
		destination("sip:c", "IP"), destination("sip:d", "TP"), destination("sip:e", "??"),
	))}})
	if err != nil {
		t.Fatal(err)
	}
	checkSamples(t, samples(t, set),
		`kamailio_dispatcher_list_target{flags="AP",setid="5",uri="sip:a"} 1`,
		`kamailio_dispatcher_list_target{flags="AX",setid="5",uri="sip:b"} 1`,
		`kamailio_dispatcher_list_target{flags="IP",setid="5",uri="sip:c"} 1`,
		`kamailio_dispatcher_list_target{flags="TP",setid="5",uri="sip:d"} 1`,
		`kamailio_dispatcher_list_target{flags="??",setid="5",uri="sip:e"} 1`,
		`kamailio_dispatcher_set_destinations{setid="5",state="active"} 3`,
		`kamailio_dispatcher_set_destinations{setid="5",state="inactive"} 1`,
		`kamailio_dispatcher_set_destinations{setid="5",state="trying"} 1`,
	)
	checkSkips(t, set.Skips(), metric.Skip{Collector: "dispatcher.list", Reason: metric.BadValue, Count: 1, Example: "FLAGS are missing or unknown"})
}

// TestStatesWithoutDestinations checks that a state is 0 only if all destinations could be read.
func TestStatesWithoutDestinations(t *testing.T) {
	count := func(set rpc.Members) []string {
		out := metric.NewSet()
		_ = dispatcherList.Collect(out, Settings{Short: []string{"dispatcher.list"}}, []Reply{{Reply: reply(t, set)}})
		return samples(t, out)
	}
	checkSamples(t, count(destinations(5, rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: "AP"}})),
		`kamailio_dispatcher_list_target{flags="AP",setid="5",uri="sip:a"} 1`,
		`kamailio_dispatcher_set_destinations{setid="5",state="active"} 1`,
		`kamailio_dispatcher_set_destinations{setid="5",state="disabled"} 0`,
		`kamailio_dispatcher_set_destinations{setid="5",state="inactive"} 0`,
		`kamailio_dispatcher_set_destinations{setid="5",state="trying"} 0`,
	)
	checkSamples(t, count(destinations(5)),
		`kamailio_dispatcher_set_destinations{setid="5",state="active"} 0`,
		`kamailio_dispatcher_set_destinations{setid="5",state="disabled"} 0`,
		`kamailio_dispatcher_set_destinations{setid="5",state="inactive"} 0`,
		`kamailio_dispatcher_set_destinations{setid="5",state="trying"} 0`,
	)
	for _, targets := range []any{nil, 5, []any{5}, rpc.Members{{Value: 5}}} {
		set := rpc.Members{{Name: "ID", Value: 5}, {Name: "TARGETS", Value: targets}}
		checkSamples(t, count(rpc.Members{{Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}}))
	}
}

// TestNamesOfSets has sets with and without a name, a name of a set that Kamailio does not have, and two sets with one name. The
// set 0 has no destinations.
func TestNamesOfSets(t *testing.T) {
	set := func(id int, destinations ...any) rpc.Member {
		return rpc.Member{Name: "SET", Value: rpc.Members{{Name: "ID", Value: id}, {Name: "TARGETS", Value: within("DEST")(destinations...)[0]}}}
	}
	gateway := rpc.Members{{Name: "URI", Value: "sip:a"}, {Name: "FLAGS", Value: "AP"}}
	answer := reply(t, rpc.Members{{Name: "RECORDS", Value: rpc.Members{set(0), set(1, gateway), set(10, gateway), set(2147483647, gateway)}}})
	settings := Settings{DispatcherSets: map[string]string{"0": "empty", "1": "carriers", "2": "nosuch", "2147483647": "carriers"}}
	for _, short := range [][]string{nil, {"dispatcher.list"}} {
		settings.Short = short
		out := metric.NewSet()
		if err := dispatcherList.Collect(out, settings, []Reply{{Reply: answer}}); err != nil {
			t.Fatal(err)
		}
		var names []string
		sets := map[string]bool{} // values of the label setid of other families
		for _, sample := range samples(t, out) {
			if strings.HasPrefix(sample, "kamailio_dispatcher_set_info{") {
				names = append(names, sample)
				continue
			}
			_, setid, _ := strings.Cut(sample, `setid="`)
			setid, _, _ = strings.Cut(setid, `"`)
			sets[setid] = true
		}
		checkSamples(t, names,
			`kamailio_dispatcher_set_info{name="empty",setid="0"} 1`,
			`kamailio_dispatcher_set_info{name="carriers",setid="1"} 1`,
			`kamailio_dispatcher_set_info{name="carriers",setid="2147483647"} 1`,
		)
		if !sets["1"] || !sets["10"] || !sets["2147483647"] {
			t.Errorf("with short form of %q, other families have the sets %v", short, sets)
		}
		checkSkips(t, out.Skips())
	}
}
