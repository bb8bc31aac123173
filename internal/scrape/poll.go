package scrape

import (
	"context"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// poll is one round of asking all sources of a target, shared by all scrapes that arrive while it runs.
type poll struct {
	ends time.Time     // when it ends at the latest
	done chan struct{} // closed when samples is set

	waiting int         // scrapes; guarded by Target.mu
	samples *metric.Set // guarded by Target.mu until done

	mu      sync.Mutex
	fetches []Fetch // nil when the poll is over

	making sync.Mutex // held while part is made
	part   *part      // of what arrived last; guarded by making
}

// part is the samples of the replies that had arrived at some time, for scrapes
// that do not wait for the rest. Fields are guarded by poll.making.
type part struct {
	set     *metric.Set
	changes int // of the results
	users   int
}

// run carries out a poll.
func (t *Target) run(p *poll) {
	ctx, cancel := context.WithDeadline(t.ctx, p.ends)
	defer cancel()
	first, others := p.fetches[0], p.fetches[1:]
	var running sync.WaitGroup
	for _, fetch := range others {
		running.Go(func() { fetch.Run(ctx) })
	}
	first.Run(ctx)
	running.Wait()
	results := p.end()
	if t.ctx.Err() != nil {
		t.finish(p, t.report.samples(results)) // the exporter ends, which says nothing about Kamailio
		return
	}
	t.finish(p, t.report.conclude(results))
}

// results returns what the sources have been told so far, and a number that is higher after each change. ok is false if the
// poll is over.
func (p *poll) results() (results []Result, changes int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fetch := range p.fetches {
		result, more := fetch.Result()
		results = append(results, result)
		changes += more
	}
	return results, changes, len(results) > 0
}

// end ends the poll and returns its results. The poll does not keep them, so that a scrape whose reader is slow does not keep
// the replies in memory.
func (p *poll) end() []Result {
	results, _, _ := p.results()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches = nil
	return results
}
