package scrape

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// poll gets the data of the sources of a target once. All scrapes with the same key that arrive while it runs share it.
type poll struct {
	pollKey
	started chan struct{} // closed when ends is set
	begun   time.Time
	ends    time.Time     // latest end
	done    chan struct{} // closed when samples is set

	waiting int         // number of scrapes; guarded by Target.mu
	samples *metric.Set // guarded by Target.mu until done
	story   string      // set before samples
	details *Details    // set before samples

	mu      sync.Mutex
	fetches []Fetch // nil before and after the poll; guarded by mu

	making sync.Mutex // held while part is made
	part   *part      // the latest one, nil if it is not used; guarded by making
}

// part holds the samples of the replies that arrived before some time. Scrapes get it that cannot wait for the other replies.
// Its fields are guarded by poll.making.
type part struct {
	set     *metric.Set
	story   string
	details *Details
	changes int // of the results
	users   int
}

// newPoll returns a poll that has not started.
func newPoll(key pollKey) *poll {
	return &poll{pollKey: key, started: make(chan struct{}), done: make(chan struct{})}
}

// begin starts the poll's time and begins its fetches.
func (p *poll) begin() {
	p.begun = time.Now()
	p.ends = p.begun.Add(budget(p.module.Timeout))
	only := strings.Fields(p.collect)
	p.mu.Lock()
	for _, source := range p.module.sources {
		if fetch := source.Begin(only); fetch != nil {
			p.fetches = append(p.fetches, fetch)
		}
	}
	p.mu.Unlock()
	close(p.started)
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
		t.finish(p, spare.get()) // Close stopped the poll: nothing is known about Kamailio
		return
	}
	samples := t.report.conclude(p, results)
	p.story, p.details = t.story(p, results), t.details(p, results)
	t.finish(p, samples)
}

// partial returns the samples of the replies that have arrived so far. Scrapes that
// give up before the next reply share them. It returns nil if the poll has ended.
func (t *Target) partial(p *poll) *part {
	p.making.Lock()
	defer p.making.Unlock()
	results, changes, ok := p.results()
	if !ok {
		return nil
	}
	if p.part == nil || p.part.changes != changes {
		p.part = &part{set: t.report.samples(p, results), story: t.story(p, results), details: t.details(p, results), changes: changes}
	}
	p.part.users++
	return p.part
}

// releasePart ends the use of a part by a scrape. The last scrape recycles the samples.
func (p *poll) releasePart(part *part) {
	p.making.Lock()
	defer p.making.Unlock()
	part.users--
	if part.users > 0 {
		return
	}
	if p.part == part {
		p.part = nil
	}
	spare.put(part.set)
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
