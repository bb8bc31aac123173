package scrape

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
)

// pageCollector is the name of the page of xhttp_prom among the collectors.
const pageCollector = "xhttp_prom"

// pageSource is the page of the Kamailio module xhttp_prom.
type pageSource struct{ client *xhttpprom.Client }

// Begin implements Source.
func (s pageSource) Begin() Fetch {
	return &pageFetch{client: s.client, result: pageResult{err: errOutOfTime}}
}

// Close implements Source.
func (pageSource) Close() error { return nil }

// pageFetch reads the page once.
type pageFetch struct {
	client *xhttpprom.Client

	mu      sync.Mutex
	result  pageResult
	changes int
}

// pageResult is what was read of the page.
type pageResult struct {
	page xhttpprom.Page
	took time.Duration
	err  error
}

// Run implements Fetch.
func (f *pageFetch) Run(ctx context.Context) {
	start := time.Now()
	page, err := f.client.Fetch(ctx)
	if outOfTime(err) {
		err = errOutOfTime
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result = pageResult{page, time.Since(start), err}
	f.changes++
}

// Result implements Fetch.
func (f *pageFetch) Result() (result Result, changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result, f.changes
}

// AddTo implements Result. It leaves out families whose names are taken.
func (r pageResult) AddTo(set *metric.Set) (answered bool, problems []problem) {
	set.Add(collectorSuccess, value(r.err == nil), pageCollector)
	set.Add(collectorDuration, r.took.Seconds(), pageCollector)
	out := set.Writer(pageCollector, 0)
	for range r.page.BadCount {
		out.Skip(metric.BadValue, r.page.Bad[0])
	}
	for _, family := range r.page.Families {
		if isTaken(family.GetName()) {
			out.Skip(metric.Duplicate, family.GetName())
			continue
		}
		set.Merge(family)
	}
	if r.err == nil {
		return false, nil
	}
	return false, []problem{{[]string{pageCollector}, r.err, hint.XHTTPProm}}
}

// ownNames returns the names of all families that are not the routing script's.
var ownNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, desc := range Metrics() {
		names[desc.Name] = true
	}
	for _, c := range collector.All {
		for _, desc := range c.Metrics {
			names[desc.Name] = true
		}
	}
	return names
})

// isTaken reports whether a name may be that of one of our own families, also with the endings that a histogram adds to its
// name.
func isTaken(name string) bool {
	for _, prefix := range []string{"go_", "process_", "promhttp_", "kamailio_exporter_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	own := ownNames()
	// In OpenMetrics, a counter's family is named without the ending of its samples.
	base := strings.TrimSuffix(name, "_total")
	return own[base] || own[base+"_total"] || own[name+"_count"] || own[name+"_sum"] || own[name+"_bucket"]
}
