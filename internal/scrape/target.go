// Package scrape carries out scrapes of a Kamailio: which methods to ask, one
// batch for all of them, each reply to its collector, and what it all cost.
package scrape

import (
	"context"
	"errors"
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
	// Methods are the RPC methods that the server has, and whether it answered
	// just now.
	Methods(ctx context.Context) (methods []string, asked bool, err error)
}

// Options are the settings of a Target.
type Options struct {
	// URI names the target in logs, and tells how it is reached.
	URI string
	// Auto uses every collector whose method the server has and whose cost
	// does not grow with the traffic.
	Auto bool
	// Named are collectors to use in any case.
	Named []*collector.Collector
	// JSONRPC tells that the target is reached by JSON-RPC, over which not all
	// methods answer.
	JSONRPC bool
	// Settings are what users chose about collectors.
	Settings collector.Settings
	// UserMetrics is where the routing script's own metrics are, nil for
	// nowhere.
	UserMetrics *xhttpprom.Client
	// Timeout is the most that a round of questions to Kamailio may take.
	Timeout time.Duration
	// Logger gets a line for each failure when it appears, and one when all
	// is well again.
	Logger *slog.Logger
}

// Target is one Kamailio. It may be used concurrently.
type Target struct {
	client  Client
	options Options

	mu      sync.Mutex
	current *round

	report *report
}

// NewTarget makes a target that is asked through client.
func NewTarget(client Client, options Options) *Target {
	return &Target{client: client, options: options, report: newReport(options)}
}

// round is one round of questions, shared by all scrapes that come while it
// lasts.
type round struct {
	waiting int // scrapes; guarded by Target.mu
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when result is there
	result  *metric.Set

	mu      sync.Mutex
	outcome outcome
}

// outcome is what a round has brought so far.
type outcome struct {
	start    time.Time
	answered bool // by any reply, a fault included
	jobs     []job
	err      error // why nothing could be asked
	user     userMetrics
}

// userMetrics are those of the routing script.
type userMetrics struct {
	page xhttpprom.Page
	took time.Duration // zero as long as there is no answer
	err  error
}

// job is what one collector asks in a round. A reply that is not there yet is
// zero.
type job struct {
	collector *collector.Collector
	answers   []collector.Answer
}

func newJob(c *collector.Collector, calls []rpc.Call) job {
	j := job{c, make([]collector.Answer, len(calls))}
	for i, call := range calls {
		j.answers[i].Call = call
	}
	return j
}

// Scrape asks Kamailio, or joins a round of questions that is under way, and
// returns the samples. When ctx is done it returns with what has been answered
// by then; ctx also bounds nobody else's scrape. The Set is not to be changed, and
// not to be used any more when release has been called, once, which gives its
// memory to another scrape.
func (t *Target) Scrape(ctx context.Context) (found *metric.Set, release func()) {
	r := t.join()
	select {
	case <-r.done:
		return r.result, func() {
			if t.leave(r, nil) == 0 {
				t.report.recycle(r.result)
			}
		}
	case <-ctx.Done():
	}
	if t.leave(r, ctx.Err()) == 0 {
		<-r.done // soon, it is cancelled
		found = r.result
	} else {
		found = t.report.samples(r.snapshot())
	}
	return found, func() { t.report.recycle(found) }
}

// join starts a round, or joins the one that is under way.
func (t *Target) join() *round {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		t.current = &round{cancel: cancel, done: make(chan struct{})}
		t.current.outcome.start = time.Now()
		go t.run(ctx, t.current)
	}
	t.current.waiting++
	return t.current
}

// leave tells that a scrape waits no longer, and why. A round that nobody waits
// for is cancelled. It returns how many still wait.
func (t *Target) leave(r *round, why error) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.waiting--
	if r.waiting == 0 {
		r.cancel(why)
		t.end(r)
	}
	return r.waiting
}

// end makes room for the next round. The caller holds mu.
func (t *Target) end(r *round) {
	if t.current == r {
		t.current = nil
	}
}

// run is a round. It ends soon after ctx.
func (t *Target) run(ctx context.Context, r *round) {
	defer close(r.done)
	defer r.cancel(nil)
	limited, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()
	var fetch sync.WaitGroup
	if t.options.UserMetrics != nil {
		fetch.Go(func() { t.fetchUserMetrics(limited, r) })
	}
	t.ask(limited, r)
	fetch.Wait()
	t.mu.Lock()
	t.end(r)
	t.mu.Unlock()
	if errors.Is(context.Cause(ctx), context.Canceled) {
		// Whoever asked went away, which says nothing about Kamailio.
		r.result = t.report.samples(r.snapshot())
		return
	}
	r.result = t.report.conclude(r.snapshot())
}

// ask puts all questions to Kamailio and notes the answers.
func (t *Target) ask(ctx context.Context, r *round) {
	collectors, err := t.choose(ctx, r)
	if err != nil {
		r.note(func(o *outcome) { o.err = err })
		return
	}
	var first []int // indices of jobs
	r.note(func(o *outcome) {
		for _, c := range collectors {
			if calls := c.Calls(t.options.Settings); len(calls) > 0 {
				first = append(first, len(o.jobs))
				o.jobs = append(o.jobs, newJob(c, calls))
			}
		}
	})
	t.batch(ctx, r, first)
	var second []int
	r.note(func(o *outcome) {
		for i, j := range o.jobs {
			if calls := j.collector.Again(t.options.Settings, j.answers); len(calls) > 0 {
				second = append(second, i)
				o.jobs[i] = newJob(j.collector, calls)
			}
		}
	})
	if len(second) > 0 {
		t.batch(ctx, r, second)
	}
}

func (t *Target) fetchUserMetrics(ctx context.Context, r *round) {
	start := time.Now()
	page, err := t.options.UserMetrics.Fetch(ctx)
	r.note(func(o *outcome) { o.user = userMetrics{page, time.Since(start), err} })
}

// batch makes the calls of these jobs in one batch.
func (t *Target) batch(ctx context.Context, r *round, jobs []int) {
	type place struct{ job, answer int }
	var calls []rpc.Call
	var places []place
	for _, i := range jobs {
		for k, answer := range r.outcome.jobs[i].answers { // nobody else writes to it
			call := answer.Call
			call.Idempotent = true // collectors only read
			calls = append(calls, call)
			places = append(places, place{i, k})
		}
	}
	for i, reply := range t.client.Stream(ctx, calls...) {
		r.note(func(o *outcome) {
			o.jobs[places[i].job].answers[places[i].answer].Reply = reply
			o.answered = o.answered || !reply.Received.IsZero()
		})
	}
}

// choose returns the collectors to use, in the order in which they are asked.
func (t *Target) choose(ctx context.Context, r *round) ([]*collector.Collector, error) {
	if !t.options.Auto {
		return t.options.Named, nil
	}
	methods, asked, err := t.methods(ctx)
	r.note(func(o *outcome) { o.answered = asked })
	if err != nil && !cannotTell(ctx, err) {
		return nil, err
	}
	var chosen []*collector.Collector
	for _, c := range collector.All {
		// A server that cannot tell what it has makes us try each method.
		offered := err != nil || slices.Contains(methods, c.Method)
		if t.options.JSONRPC && c.BINRPCOnly {
			continue
		}
		if c.Auto && offered || slices.Contains(t.options.Named, c) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// methods asks what the server has. It may take half of the time, so that a
// server that answers everything but this can be asked all the same.
func (t *Target) methods(ctx context.Context) ([]string, bool, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return t.client.Methods(ctx)
}

// cannotTell tells whether an error means that the server, which is there, cannot
// say what it has.
func cannotTell(ctx context.Context, err error) bool {
	_, fault := errors.AsType[*rpc.Fault](err)
	_, limit := errors.AsType[*rpc.LimitError](err)
	late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	return fault || limit || late || errors.Is(err, dial.ErrNoMethods)
}

func (r *round) note(change func(*outcome)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.outcome)
}

// snapshot is what the round has brought so far, safe from what is still to
// come.
func (r *round) snapshot() outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := r.outcome
	copied.jobs = slices.Clone(copied.jobs)
	for i := range copied.jobs {
		copied.jobs[i].answers = slices.Clone(copied.jobs[i].answers)
	}
	return copied
}
