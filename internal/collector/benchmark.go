package collector

import (
	"errors"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/benchmark/benchmark.c; the same in
// 5.6 and 6.1. Numbers are unsigned 64-bit integers, sent as texts. Times are in
// microseconds, unless Kamailio was compiled with BM_CLOCK_REALTIME.
//
// Kamailio only adds to calls and sum, which no RPC method resets. It does so
// without a lock, so that processes that add at the same time may lose a
// measurement. If the clock of its host is set back during a measurement, the
// difference is subtracted from sum, and global_max is a negative number printed as
// unsigned. The fields period_* describe the last measurements, as many as the
// parameter granularity says, and are not used. Neither is state: Kamailio reads
// that of another timer, or memory behind the timers.
//
// Over JSON-RPC Kamailio sends only the last timer.

// benchmarkUnset is global_min of a timer without measurements.
const benchmarkUnset = "4294967295"

// microsecondsPerSecond is a divisor, since a product with 1e-6 is less exact.
const microsecondsPerSecond = 1e6

// benchmarkMetric returns a family with a series for each timer.
func benchmarkMetric(typ metric.Type, name, help string) *metric.Desc {
	return newDesc(typ, "kamailio_benchmark_timer_"+name, help, []string{"timer"})
}

var (
	benchmarkCalls = benchmarkMetric(metric.Counter, "measurements_total",
		"Number of measurements of the timer. Field calls of benchmark.timer_list.")
	benchmarkSum = benchmarkMetric(metric.Counter, "seconds_total",
		"Sum of the times that the timer measured. Field sum of benchmark.timer_list.")
	benchmarkMin = benchmarkMetric(metric.Gauge, "min_seconds",
		"Shortest time that the timer measured since the start of Kamailio. Field global_min of benchmark.timer_list.")
	benchmarkMax = benchmarkMetric(metric.Gauge, "max_seconds",
		"Longest time that the timer measured since the start of Kamailio. Field global_max of benchmark.timer_list.")
)

var benchmarkTimerList = &Collector{
	Method:     "benchmark.timer_list",
	Module:     "benchmark",
	Help:       "run time of parts of the routing script, 4 series for each timer of the Kamailio module benchmark",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{benchmarkCalls, benchmarkSum, benchmarkMin, benchmarkMax},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for timer := range reply.Value.Rows() {
			if name, ok := keys(out, timer, "name"); ok {
				collectTimer(out, timer, name[0])
			}
		}
	}),
}

func collectTimer(out *metric.Writer, timer rpc.Value, name string) {
	addUnsignedText(out, benchmarkCalls, timer.Get("calls"), 1, name)
	addUnsignedText(out, benchmarkSum, timer.Get("sum"), microsecondsPerSecond, name)
	if timer.Get("global_min").Text() == benchmarkUnset {
		return
	}
	addUnsignedText(out, benchmarkMin, timer.Get("global_min"), microsecondsPerSecond, name)
	addUnsignedText(out, benchmarkMax, timer.Get("global_max"), microsecondsPerSecond, name)
}

// addUnsignedText adds a number that is sent as a text, divided by unit. A number
// of 2⁶³ or more is a negative one that was printed as unsigned, and is dropped.
func addUnsignedText(out *metric.Writer, desc *metric.Desc, v rpc.Value, unit float64, labels ...string) {
	if !v.Exists() {
		return
	}
	n, err := strconv.ParseUint(v.Text(), 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange):
		out.Skip(metric.BadValue, v.Name()+" is out of range")
	case err != nil:
		out.Skip(metric.NotANumber, whatIs(v.Name(), v))
	default:
		out.Add(desc, float64(n)/unit, labels...)
	}
}
