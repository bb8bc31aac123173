//go:build linux

// Package bench measures the exporter with real Kamailios, for docs/performance.md. Run it with make bench.
//
// Kamailio's ctl process handles one request at a time, and the exporter cannot make it faster. So times are compared with
// a floor: the time of a minimal client that sends the same requests and only receives the replies. The two take turns on
// the same Kamailio, so that other load on the machine affects both.
package bench

import (
	"cmp"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

var (
	program = flag.String("exporter", "", "path of the exporter `program`; without it, TestBench is skipped")
	quick   = flag.Bool("quick", false, "measure for a hundredth of the time, to test the benchmark itself")
	output  = flag.String("table", "", "also write the table to this `file`")
)

// lasting returns d, or a hundredth of it with -quick.
func lasting(d time.Duration) time.Duration {
	if *quick {
		return d / 100
	}
	return d
}

func TestBench(t *testing.T) {
	if *program == "" {
		t.Skip("measures for twenty minutes: run make bench")
	}
	var missed string
	t.Cleanup(func() { // after the cleanups that print Kamailio's log if the test has failed
		if missed != "" {
			t.Errorf("limits were exceeded:\n%s", missed)
		}
	})
	ordinary := lab.StartTest(t, lab.Options{})
	crowded := lab.StartTest(t, lab.Options{Destinations: destinations})
	table := machine(t, ordinary) + "| work | floor | exporter | ratio or figure | at most |\n|---|---|---|---|---|\n"
	for _, m := range measurements {
		t.Run(m.name, func(t *testing.T) {
			for _, r := range m.measure(t, ordinary, crowded) {
				table += r.String()
				if r.missed() {
					missed += r.String()
				}
			}
		})
	}
	fmt.Print(table)
	if *output != "" && !t.Failed() {
		if err := os.WriteFile(*output, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// machine returns one line about the machine and the versions of the software. The load average is that of the last 15
// minutes.
func machine(t *testing.T, k *lab.Kamailio) string {
	t.Helper()
	build, err := buildinfo.ReadFile(*program)
	if err != nil {
		t.Fatal(err)
	}
	version, err := k.Kamcmd(t.Context(), "core.version")
	if err != nil {
		t.Fatal(err)
	}
	processor := cmp.Or(find(t, "/proc/cpuinfo", `model name\s*: (.+)`), runtime.GOARCH) // some processors have no model name
	return fmt.Sprintf("%s, %d cores, Linux %s, Go %s, %s, load average %s\n\n", processor, runtime.NumCPU(),
		find(t, "/proc/sys/kernel/osrelease", `(.+)`), strings.TrimPrefix(build.GoVersion, "go"), strings.TrimSpace(version),
		find(t, "/proc/loadavg", `\S+ \S+ (\S+)`))
}

// find returns the first group of the first match in a file, or "" if there is none.
func find(t *testing.T, path, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
	if match == nil {
		return ""
	}
	return match[1]
}

// row is one row of the table.
type row struct {
	work            string
	floor, exporter time.Duration // 0 if the row has no floor
	figure          float64       // in unit
	limit           float64       // in unit, 0 for no limit
	unit            string
}

func (r row) missed() bool { return r.limit > 0 && r.figure > r.limit }

func (r row) String() string {
	var times, limit string
	if r.floor > 0 {
		times = fmt.Sprintf("%.3g ms | %.3g ms", milliseconds(r.floor), milliseconds(r.exporter))
	} else {
		times = " | "
	}
	if r.limit > 0 {
		limit = fmt.Sprintf("%v %s", r.limit, r.unit)
	}
	if r.missed() {
		limit += ", missed"
	}
	return fmt.Sprintf("| %s | %s | %.3g %s | %s |\n", r.work, times, r.figure, r.unit, limit)
}

// ratioRow returns a row whose figure is the exporter's time divided by the floor.
func ratioRow(work string, floor, exporter time.Duration, limit float64) row {
	return row{work, floor, exporter, float64(exporter) / float64(floor), limit, "×"}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func megabytes(bytes int) float64 { return float64(bytes) / 1e6 }

// percentile returns the smallest of the times such that at least p percent of them are not greater; p is from 1 to 100.
func percentile(times []time.Duration, p int) time.Duration {
	return slices.Sorted(slices.Values(times))[(len(times)*p+99)/100-1]
}

func TestTable(t *testing.T) {
	t.Parallel()
	times := []time.Duration{9e6, 1e6, 2e6, 3e6}
	table := ratioRow("below", percentile(times, 50), percentile(times, 99), 6).String() +
		row{work: "above", figure: 60.1, limit: 60, unit: "ms"}.String() +
		row{work: "no limit", figure: 17.44, unit: "MB"}.String()
	const want = `| below | 2 ms | 9 ms | 4.5 × | 6 × |
| above |  |  | 60.1 ms | 60 ms, missed |
| no limit |  |  | 17.4 MB |  |
`
	if table != want {
		t.Errorf("got\n%swant\n%s", table, want)
	}
}
