package collector

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestBenchmarkNumbers has timers whose numbers are unset, wrapped below zero, missing or not numbers.
func TestBenchmarkNumbers(t *testing.T) {
	timer := func(name, calls, sum, least, most string) rpc.Members {
		return rpc.Members{
			{Name: "name", Value: name}, {Name: "calls", Value: calls}, {Name: "sum", Value: sum}, {Name: "global_min", Value: least}, {Name: "global_max", Value: most},
		}
	}
	got, skips := collect(t, benchmarkTimerList, reply(t,
		timer("large", "5000000000", "9223372036854775807", "0", "4294967296"),
		timer("unset", "0", "0", "4294967295", "0"),
		timer("unset yet", "1", "7", "4294967295", "7"),
		timer("clock set back", "2", "18446744073709551609", "3", "18446744073709551606"),
		timer("words", "many", "", "1", "2"),
		rpc.Members{{Name: "name", Value: "nothing"}},
		rpc.Members{{Name: "calls", Value: "1"}},
	))
	checkSamples(t, got,
		`kamailio_benchmark_timer_max_seconds{timer="large"} 4294.967296`,
		`kamailio_benchmark_timer_max_seconds{timer="words"} 2e-06`,
		`kamailio_benchmark_timer_measurements_total{timer="large"} 5e+09`,
		`kamailio_benchmark_timer_measurements_total{timer="unset"} 0`,
		`kamailio_benchmark_timer_measurements_total{timer="unset yet"} 1`,
		`kamailio_benchmark_timer_measurements_total{timer="clock set back"} 2`,
		`kamailio_benchmark_timer_min_seconds{timer="large"} 0`,
		`kamailio_benchmark_timer_min_seconds{timer="clock set back"} 3e-06`,
		`kamailio_benchmark_timer_min_seconds{timer="words"} 1e-06`,
		`kamailio_benchmark_timer_seconds_total{timer="large"} 9.223372036854775e+12`,
		`kamailio_benchmark_timer_seconds_total{timer="unset"} 0`,
		`kamailio_benchmark_timer_seconds_total{timer="unset yet"} 7e-06`,
	)
	checkSkips(t, skips,
		metric.Skip{Collector: "benchmark.timer_list", Reason: metric.BadValue, Count: 3, Example: "sum is out of range"},
		metric.Skip{Collector: "benchmark.timer_list", Reason: metric.NotANumber, Count: 2, Example: "calls is a string"},
	)
}
