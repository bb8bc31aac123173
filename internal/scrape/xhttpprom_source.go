package scrape

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
)

// pageCollector is the value of the label collector for the page of xhttp_prom.
const pageCollector = "xhttp_prom"

// pageSource gets the page of the Kamailio module xhttp_prom.
type pageSource struct{ client *xhttpprom.Client }

// Begin implements Source.
func (s pageSource) Begin(only []string) Fetch {
	if len(only) > 0 {
		return nil
	}
	return &pageFetch{client: s.client}
}

// Close implements Source.
func (s pageSource) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// pageFetch gets the page once.
type pageFetch struct {
	client *xhttpprom.Client

	mu      sync.Mutex
	result  pageResult
	changes int
}

// pageResult is the content of the page, or the error of getting it.
type pageResult struct {
	over bool // the page has arrived, or does not arrive
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
	f.result = pageResult{true, page, time.Since(start), err}
	f.changes++
}

// Result implements Fetch.
func (f *pageFetch) Result() (result Result, changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result, f.changes
}

// AddTo implements Result. It drops families with the name of one of the exporter's own families.
func (r pageResult) AddTo(set *metric.Set) summary {
	if !r.over {
		return summary{pending: []string{pageCollector}, polled: []polled{{collector: pageCollector}}}
	}
	set.Add(collectorSuccess, value(r.err == nil), pageCollector)
	set.Add(collectorDuration, r.took.Seconds(), pageCollector)
	out := set.Writer(pageCollector, 0)
	for range r.page.BadCount {
		out.Skip(metric.BadValue, r.page.Bad[0])
	}
	own := set.Families()
	for _, family := range r.page.Families {
		if collector.IsTaken(family.GetName()) || hasName(own, family.GetName()) {
			out.Skip(metric.Duplicate, family.GetName())
			continue
		}
		set.Merge(family)
	}
	all := summary{polled: []polled{{collector: pageCollector, took: r.took}}}
	if r.err != nil {
		all.problems = []problem{{[]string{pageCollector}, r.err, hint.XHTTPProm}}
	}
	return all
}

// hasName reports whether a family has the name, or one that a text format writes in the same way.
func hasName(families []*metric.Family, name string) bool {
	base := strings.TrimSuffix(name, "_total")
	return slices.ContainsFunc(families, func(family *metric.Family) bool { return strings.TrimSuffix(family.Desc.Name, "_total") == base })
}
