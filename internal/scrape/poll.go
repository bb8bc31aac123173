package scrape

import (
	"context"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// poll gets the data of all sources of a target once. All scrapes that arrive while it runs share it.
type poll struct {
	ends time.Time     // latest end
	done chan struct{} // closed when samples is set

	waiting int         // number of scrapes; guarded by Target.mu
	samples *metric.Set // guarded by Target.mu until done

	mu      sync.Mutex
	fetches []Fetch // nil after the poll; guarded by mu

	making sync.Mutex // held while part is made
	part   *part      // the latest one, nil if it is not used; guarded by making
}

// part holds the samples of the replies that arrived before some time. Scrapes get it that cannot wait for the other replies.
// Its fields are guarded by poll.making.
type part struct {
	set     *metric.Set
	changes int // of the results
	users   int
}

// run runs a poll to its end.
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
		t.finish(p, metric.NewSet()) // Close stopped the poll: nothing is known about Kamailio
		return
	}
	t.finish(p, t.report.conclude(results))
}

// results returns the data that has arrived so far, and a number that grows with each change of it. ok is false if the poll
// has ended.
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

// end ends the poll and returns its results. The poll drops them: otherwise a scrape whose client reads slowly would keep the
// replies in memory.
func (p *poll) end() []Result {
	results, _, _ := p.results()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches = nil
	return results
}
