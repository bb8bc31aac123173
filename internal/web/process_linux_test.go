package web

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

func gathered(t *testing.T, collector prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestProcessMetricsAreThoseOfTheLibrary(t *testing.T) {
	want := gathered(t, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	got := gathered(t, newProcessCollector())
	if !slices.EqualFunc(got, want, func(a, b *dto.MetricFamily) bool {
		return a.GetName() == b.GetName() && a.GetHelp() == b.GetHelp() && a.GetType() == b.GetType() && len(a.GetMetric()) == 1
	}) {
		t.Fatalf("families %v, want %v", got, want)
	}
	for i := range want {
		a, b := value(got[i]), value(want[i])
		if math.Abs(a-b) > 0.5*math.Abs(b) || b != 0 && a == 0 {
			t.Errorf("%s is %v, the library says %v", want[i].GetName(), a, b)
		}
		constant := []string{"process_max_fds", "process_start_time_seconds", "process_virtual_memory_max_bytes"}
		if slices.Contains(constant, want[i].GetName()) && a != b {
			t.Errorf("%s is %v, the library says %v", want[i].GetName(), a, b)
		}
	}
}

func value(family *dto.MetricFamily) float64 {
	return family.GetMetric()[0].GetGauge().GetValue() + family.GetMetric()[0].GetCounter().GetValue()
}

func TestIPExtensions(t *testing.T) {
	for netstat, want := range map[string][]float64{
		"TcpExt: InOctets\nTcpExt: 5\nIpExt: A InOctets OutOctets\nIpExt: 1 2 3\n": {2, 3},
		"IpExt: OutOctets B InOctets\nIpExt: 1 2 3\n":                              {3, 1},
		"IpExt: OutOctets\nIpExt: 1 2 3\n":                                         {0, 1},
		"IpExt: OutOctets\n":                                                       {0, 0},
		"":                                                                         {0, 0},
	} {
		if got := ipExtensions([]byte(netstat), "InOctets", "OutOctets"); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", netstat, got, want)
		}
	}
}

// TestProcessMetricsAreReadWhereTheyStand has a process that the test made up.
func TestProcessMetricsAreReadWhereTheyStand(t *testing.T) {
	dir := t.TempDir()
	stat := "7 (a) name 1 2 3) S 4 5 6 7 8 9 10 11 12 13 1400 1500 16 17 18 19 20 21 2200 23000 24 25 26"
	for name, content := range map[string]string{"stat": stat, "net/netstat": "IpExt: InOctets OutOctets\nIpExt: 2 3\n", "fd/0": "", "fd/1": ""} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	collector := processCollector{dir, func() (float64, error) { return 1000, nil }}
	want := map[string]float64{
		"process_cpu_seconds_total":            29,
		"process_network_receive_bytes_total":  2,
		"process_network_transmit_bytes_total": 3,
		"process_open_fds":                     2,
		"process_resident_memory_bytes":        24 * float64(os.Getpagesize()),
		"process_start_time_seconds":           1022,
		"process_virtual_memory_bytes":         23000,
	}
	families := gathered(t, collector)
	for _, family := range families {
		if want, ok := want[family.GetName()]; ok && value(family) != want {
			t.Errorf("%s is %v, want %v", family.GetName(), value(family), want)
		}
	}
	if len(families) != len(want)+2 { // and the limits
		t.Errorf("families %v", families)
	}
}

func TestProcessThatIsNotThere(t *testing.T) {
	for _, family := range gathered(t, processCollector{t.TempDir(), readBootTime}) {
		if !strings.Contains(family.GetName(), "max") {
			t.Errorf("there is %v", family)
		}
	}
}
