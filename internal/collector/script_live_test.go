//go:build linux

package collector

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// scriptConfig loads the Kamailio modules of which scriptRoute uses functions.
const scriptConfig = `
loadmodule "benchmark.so"
loadmodule "call_obj.so"
loadmodule "keepalive.so"
modparam("benchmark", "enable", 1)
modparam("benchmark", "register", "unused")
modparam("call_obj", "start", 1)
modparam("call_obj", "end", 4)
modparam("keepalive", "ping_interval", 1)
modparam("tm", "fr_timer", 200)
`

const scriptRoute = `
  bm_start_timer("script");
  if (is_method("INFO")) {
    call_obj_get("$var(number)");
    ka_add_destination("sip:$Ri:$Rp", "peers"); # this Kamailio
    ka_add_destination("sip:127.0.0.1:9", "peers");
    bm_log_timer("script");
  }
`

// overloadRoute sets a rate for the first destination of set 2. The function is new in 6.0.
const overloadRoute = `  ds_oc_set_attrs("2", "sip:127.0.0.1:5072;transport=tcp", "40", "60000", "7");
`

// TestLiveScript reads what one request does in the routing script: a measurement, a call number, two monitored destinations
// and, since 6.0, a rate of overload control.
func TestLiveScript(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		options := lab.Options{Suite: suite, Config: scriptConfig, Route: scriptRoute}
		if suite != lab.Bookworm {
			options.Route += overloadRoute
		}
		start := time.Now().Unix()
		k := lab.StartTest(t, options)
		refuse(t, k.SIPAddr())
		uri := k.URI("unix")
		if _, err := k.Kamcmd(t.Context(), "corex.debug", "0"); err != nil {
			t.Fatal(err)
		}

		timers := awaitLive(t, uri, benchmarkTimerList, `kamailio_benchmark_timer_measurements_total{timer="script"} 1`)
		if !slices.Contains(timers, `kamailio_benchmark_timer_measurements_total{timer="unused"} 0`) {
			t.Errorf("timers %q", timers)
		}
		least, most := valueOf(t, timers, `kamailio_benchmark_timer_min_seconds{timer="script"}`), valueOf(t, timers, `kamailio_benchmark_timer_max_seconds{timer="script"}`)
		if sum := valueOf(t, timers, `kamailio_benchmark_timer_seconds_total{timer="script"}`); sum != least || sum != most || sum > 60 {
			t.Errorf("the only measurement took %v, %v at least, %v at most", sum, least, most)
		}
		awaitLive(t, uri, callObjStats, "kamailio_call_obj_numbers 4", "kamailio_call_obj_assigned_numbers 1")
		awaitLive(t, uri, corexDebug, "kamailio_core_debug_level 0")
		if suite != lab.Bookworm {
			rates := awaitLive(t, uri, dispatcherOclist, `kamailio_dispatcher_destination_overload_rate_ratio{index="",setid="2",uri="sip:127.0.0.1:5072;transport=tcp"} 0.4`)
			end := valueOf(t, rates, `kamailio_dispatcher_destination_overload_end_timestamp_seconds{index="",setid="2",uri="sip:127.0.0.1:5072;transport=tcp"}`)
			checkNow(t, "the end of the interval of 60 s", end-60, start)
		}

		up, down := `{owner="peers",uri="sip:`+k.SIPAddr()+`"}`, `{owner="peers",uri="sip:127.0.0.1:9"}`
		checks := awaitLive(t, uri, keepaliveList, stateOf(up, "up"), stateOf(down, "down"))
		checkNow(t, "the last successful check", valueOf(t, checks, "kamailio_keepalive_destination_last_up_timestamp_seconds"+up), start)
		checkNow(t, "the last failed check", valueOf(t, checks, "kamailio_keepalive_destination_last_down_timestamp_seconds"+down), start)
		if never := "kamailio_keepalive_destination_last_up_timestamp_seconds" + down; strings.Contains(strings.Join(checks, "\n"), never) {
			t.Errorf("%s is in\n%s", never, strings.Join(checks, "\n"))
		}
	})
}

// stateOf returns the sample of a state that a destination is in.
func stateOf(labels, state string) string {
	return "kamailio_keepalive_destination_state" + strings.Replace(labels, ",uri", `,state="`+state+`",uri`, 1) + " 1"
}

// awaitLive makes the calls of a collector until the samples have all these, and returns the samples.
func awaitLive(t *testing.T, uri string, c *Collector, want ...string) []string {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		got, skips, err := live(t, uri, c, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		checkSkips(t, skips)
		if !slices.ContainsFunc(want, func(sample string) bool { return !slices.Contains(got, sample) }) {
			return got
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("samples\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		case <-again.C:
		}
	}
}

// valueOf returns the value of a series.
func valueOf(t *testing.T, samples []string, series string) float64 {
	t.Helper()
	for _, sample := range samples {
		if text, ok := strings.CutPrefix(sample, series+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("%s is missing in\n%s", series, strings.Join(samples, "\n"))
	return 0
}

// checkNow checks that a Unix time is not before start and not in the future.
func checkNow(t *testing.T, what string, at float64, start int64) {
	t.Helper()
	if at < float64(start) || at > float64(time.Now().Unix()) {
		t.Errorf("%s is %v, after the start by %v s", what, at, at-float64(start))
	}
}
