package web

import (
	"math"
	"slices"
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
