// Package scrape polls targets: it decides which methods to call, sends all calls
// in one batch, gives each reply to its collector, and counts and logs failures.
package scrape

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Target is one Kamailio. It owns the connections to it. It may be used concurrently.
type Target struct {
	sources []Source // the first one is RPC
	timeout time.Duration
	report  *report

	ctx    context.Context // canceled by Close
	cancel context.CancelFunc
	polls  sync.WaitGroup

	mu      sync.Mutex
	current *poll // nil if no poll is running
}

// NewTarget returns a target. It does not connect yet. Each new problem, and the end of all problems, is logged to logger.
func NewTarget(cfg *config.Target, logger *slog.Logger) *Target {
	client := dial.NewTarget(cfg.URI, dial.Options{HTTP: cfg.HTTP})
	return newTarget(client, cfg, logger)
}

// newTarget returns a target whose RPC methods are called with client.
func newTarget(client Client, cfg *config.Target, logger *slog.Logger) *Target {
	t := &Target{
		sources: []Source{newRPCSource(client, cfg.URI, cfg.Modules[0])},
		timeout: cfg.Modules[0].Timeout,
		report:  newReport(cfg.URI.Redacted(), logger),
	}
	if cfg.XHTTPProm != nil {
		t.sources = append(t.sources, pageSource{cfg.XHTTPProm})
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close stops the poll that is running, waits for its end, and closes the sources. The
// poll is not counted. A Scrape that waits for the poll, or that is called later,
// returns an empty Set: nothing is known about Kamailio then. Close may be called again.
func (t *Target) Close() error {
	t.mu.Lock()
	t.cancel() // with mu held, so that join starts no poll after Wait
	t.mu.Unlock()
	t.polls.Wait()
	var failed []error
	for _, source := range t.sources {
		failed = append(failed, source.Close())
	}
	return errors.Join(failed...)
}

// Scrape polls Kamailio, or joins the poll that is running, and returns the
// samples. When ctx is done, it returns the samples of the replies that have
// arrived so far; the poll continues for the timeout of the target. The caller must
// not change the Set, must call release once, and must not use the Set after that:
// its memory is reused for another scrape.
func (t *Target) Scrape(ctx context.Context) (found *metric.Set, release func()) {
	p := t.join()
	if p == nil {
		return metric.NewSet(), func() {}
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if deadline, ok := ctx.Deadline(); ok && p.ends.Sub(deadline) < endsTogether {
			<-p.done
			break
		}
		if part := t.partial(p); part != nil {
			t.leave(p)
			return part.set, func() { t.releasePart(p, part) }
		}
		<-p.done // the poll has ended, its samples are being made
	}
	return p.samples, func() { t.leave(p) }
}

// endsTogether is the maximum difference between the deadline of a scrape and that of
// the poll with which the scrape waits for the end of the poll.
const endsTogether = 50 * time.Millisecond

// join returns the poll that is running. If none is running, it starts one. It
// returns nil if the target is closed.
func (t *Target) join() *poll {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return nil
	}
	if t.current == nil {
		now := time.Now()
		t.current = &poll{ends: now.Add(budget(t.timeout)), done: make(chan struct{})}
		for _, source := range t.sources {
			t.current.fetches = append(t.current.fetches, source.Begin())
		}
		p := t.current
		t.polls.Go(func() { t.run(p) })
	}
	t.current.waiting++
	return t.current
}

// leave ends the use of a poll by a scrape. The last scrape recycles the samples.
func (t *Target) leave(p *poll) {
	t.mu.Lock()
	p.waiting--
	unused := p.waiting == 0 && p.samples != nil
	t.mu.Unlock()
	if unused {
		t.report.recycle(p.samples)
	}
}

// finish sets the samples of a poll, which ends it.
func (t *Target) finish(p *poll, samples *metric.Set) {
	t.mu.Lock()
	p.samples = samples
	t.current = nil
	unused := p.waiting == 0
	t.mu.Unlock()
	close(p.done)
	if unused {
		t.report.recycle(samples)
	}
	memory.afterPoll(t.report)
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
		p.part = &part{set: t.report.samples(results), changes: changes}
	}
	p.part.users++
	return p.part
}

// releasePart ends the use of a part by a scrape. The last scrape recycles the samples.
func (t *Target) releasePart(p *poll, part *part) {
	p.making.Lock()
	defer p.making.Unlock()
	part.users--
	if part.users > 0 {
		return
	}
	if p.part == part {
		p.part = nil
	}
	t.report.recycle(part.set)
}
