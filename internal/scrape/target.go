// Package scrape asks a Kamailio for its metrics: it decides which methods to
// call, sends all calls in one batch, gives each reply to its collector, and
// reports what failed.
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

// Target is one Kamailio. It owns the connection to it. It may be used concurrently.
type Target struct {
	sources []Source // the first one is RPC
	timeout time.Duration
	report  *report

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	polls  sync.WaitGroup

	mu      sync.Mutex
	current *poll
}

// NewTarget returns a target. It does not connect yet. The logger gets a line for each problem when it appears, and one when
// all is well again.
func NewTarget(cfg *config.Target, logger *slog.Logger) *Target {
	client := dial.NewTarget(cfg.URI, dial.Options{HTTP: cfg.HTTP})
	return newTarget(client, cfg, logger)
}

// newTarget returns a target that is asked through client.
func newTarget(client Client, cfg *config.Target, logger *slog.Logger) *Target {
	t := &Target{
		sources: []Source{newRPCSource(client, cfg.URI, cfg.Module)},
		timeout: cfg.Module.Timeout,
		report:  newReport(cfg.URI.Redacted(), logger),
	}
	if cfg.XHTTPProm != nil {
		t.sources = append(t.sources, pageSource{cfg.XHTTPProm})
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close ends the poll that is running, without counting it, and closes the
// sources.
func (t *Target) Close() error {
	t.cancel()
	t.polls.Wait()
	var failed []error
	for _, source := range t.sources {
		failed = append(failed, source.Close())
	}
	return errors.Join(failed...)
}

// Scrape polls Kamailio, or joins the poll that is under way, and returns the
// samples. When ctx is done it returns the samples of the replies that have
// arrived by then; the poll goes on for the time that the target has. The Set must
// not be changed. It must not be used any more after release, which has to be
// called once, and makes its memory available to another scrape.
func (t *Target) Scrape(ctx context.Context) (found *metric.Set, release func()) {
	p := t.join()
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
		<-p.done // soon: the samples are being made
	}
	return p.samples, func() { t.leave(p) }
}

// endsTogether is the difference below which a scrape that may take as long as the
// poll ends with it.
const endsTogether = 50 * time.Millisecond

// join starts a poll, or joins the one that is under way.
func (t *Target) join() *poll {
	t.mu.Lock()
	defer t.mu.Unlock()
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

// leave ends a scrape's use of a poll. The last one makes the memory of the result
// available.
func (t *Target) leave(p *poll) {
	t.mu.Lock()
	p.waiting--
	unused := p.waiting == 0 && p.samples != nil
	t.mu.Unlock()
	if unused {
		t.report.recycle(p.samples)
	}
}

// finish publishes the result of a poll, and makes room for the next poll.
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

// partial returns the samples of the replies that have arrived so far. Scrapes
// that give up while no other reply arrives share them. It returns nil if the poll
// is over.
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
