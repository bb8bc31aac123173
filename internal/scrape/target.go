// Package scrape asks a Kamailio for its metrics: it decides which methods to
// call, sends all calls in one batch, gives each reply to its collector, and
// reports what failed.
package scrape

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Client is what a Target asks; dial.Client is one.
type Client interface {
	// Stream sends calls and yields their replies; see [rpc.Client].
	Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply]
	// Close closes the connection; see [rpc.Client].
	Close() error
	// Methods returns the RPC methods that the server has. asked reports whether
	// the server replied just now; a fault is a reply.
	Methods(ctx context.Context) (methods []string, asked bool, err error)
}

// Options are the settings of a Target.
type Options struct {
	// URI names the target in logs. It also says how the target is reached, as
	// dial.ParseTarget reads it.
	URI string
	// Auto uses every collector whose method the server has and whose cost does
	// not grow with the traffic.
	Auto bool
	// Named are collectors to use in any case.
	Named []*collector.Collector
	// JSONRPC leaves out the methods that Kamailio does not answer completely
	// over JSON-RPC.
	JSONRPC bool
	// Settings are what users chose about collectors.
	Settings collector.Settings
	// UserMetrics fetches the metrics of the routing script; nil if there are
	// none.
	UserMetrics *xhttpprom.Client
	// Timeout is the maximum duration of a poll. It must be positive.
	Timeout time.Duration
	// Logger gets a line for each problem when it appears, and one when all is
	// well again.
	Logger *slog.Logger
}

// Target is one Kamailio. It may be used concurrently.
type Target struct {
	client   Client
	options  Options
	endpoint dial.Target // zero if the URI is not one
	report   *report

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	polls  sync.WaitGroup

	mu      sync.Mutex
	current *poll

	// Owned by the current poll.
	known []*collector.Collector // the server is known to have their methods
	lost  lostReplies
}

// NewTarget makes a target that is asked through client.
func NewTarget(client Client, options Options) *Target {
	options.Named = slices.Clone(options.Named)
	sortForBatch(options.Named)
	endpoint, _ := dial.ParseTarget(options.URI)
	t := &Target{client: client, options: options, endpoint: endpoint, report: newReport(options), lost: lostReplies{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close ends the poll that is under way, without counting it, and closes the
// client.
func (t *Target) Close() error {
	t.cancel()
	t.polls.Wait()
	return t.client.Close()
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
	return p.result, func() { t.leave(p) }
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
		t.current = &poll{ends: now.Add(t.options.Timeout), done: make(chan struct{})}
		t.current.outcome.start = now
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
	unused := p.waiting == 0 && p.result != nil
	t.mu.Unlock()
	if unused {
		t.report.recycle(p.result)
	}
}

// finish publishes the result of a poll, and makes room for the next poll.
func (t *Target) finish(p *poll, result *metric.Set) {
	t.mu.Lock()
	p.result = result
	t.current = nil
	unused := p.waiting == 0
	t.mu.Unlock()
	close(p.done)
	if unused {
		t.report.recycle(result)
	}
	memory.afterPoll(t.report)
}

// partial returns the samples of the replies that have arrived so far. Scrapes
// that give up while no other reply arrives share them. It returns nil if the poll
// is over.
func (t *Target) partial(p *poll) *part {
	p.making.Lock()
	defer p.making.Unlock()
	o, changes, over := p.snapshot()
	if over {
		return nil
	}
	if p.part == nil || p.part.changes != changes {
		p.part = &part{set: t.report.samples(o), changes: changes}
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
