package web

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// countingOwn returns own metrics that count how often they are gathered.
func countingOwn(count *atomic.Int64) *ownMetrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "gathered_total", Help: "Gathered."}, func() float64 {
		return float64(count.Add(1))
	}))
	return &ownMetrics{registry: registry, logger: slog.New(slog.DiscardHandler)}
}

func TestOwnMetricsAreGatheredOnceASecond(t *testing.T) {
	var count atomic.Int64
	own := countingOwn(&count)
	first := own.start()()
	if again := own.start()(); again != first || count.Load() != 1 {
		t.Errorf("gathered %d times, want 1", count.Load())
	}
	first.gathered = time.Now().Add(-ownAge)
	later := own.start()()
	if count.Load() != 2 {
		t.Errorf("gathered %d times, want 2", count.Load())
	}
	pieces := later.text[metric.Text]()
	if len(pieces) != 1 || !strings.HasSuffix(string(pieces[0].text), "\ngathered_total 2\n") {
		t.Errorf("got %s", pieces)
	}
}

func TestConcurrentRequestsGatherOwnMetricsOnce(t *testing.T) {
	var count atomic.Int64
	own := countingOwn(&count)
	var requests sync.WaitGroup
	for range 50 {
		requests.Go(func() { own.start()() })
	}
	requests.Wait()
	if count.Load() != 1 {
		t.Errorf("gathered %d times", count.Load())
	}
}

func TestFailureOfOwnMetricsIsLogged(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(brokenCollector{})
	var log bytes.Buffer
	own := &ownMetrics{registry: registry, logger: slog.New(slog.NewTextHandler(&log, nil))}
	if families := own.start()(); len(families.families) != 0 || !strings.Contains(log.String(), "Gathering the exporter's own metrics failed") {
		t.Errorf("families %v, log %s", families.families, log.String())
	}
}

var brokenDesc = prometheus.NewDesc("broken", "Broken.", nil, nil)

type brokenCollector struct{}

func (brokenCollector) Describe(descs chan<- *prometheus.Desc) { descs <- brokenDesc }

func (brokenCollector) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.NewInvalidMetric(brokenDesc, errors.New("broken"))
}
