package scrape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// poll is one round of calls, shared by all scrapes that arrive while it runs.
type poll struct {
	ends time.Time     // when it ends at the latest
	done chan struct{} // closed when result is set

	waiting int         // scrapes; guarded by Target.mu
	result  *metric.Set // guarded by Target.mu until done

	mu      sync.Mutex
	outcome outcome
	changes int // of outcome
	over    bool

	making sync.Mutex // held while part is made
	part   *part      // of what arrived last; guarded by making
}

// part is the samples of the replies that had arrived at some time, for scrapes
// that do not wait for the rest. Fields are guarded by poll.making.
type part struct {
	set     *metric.Set
	changes int // of the outcome
	users   int
}

// outcome is what a poll has brought so far.
type outcome struct {
	start    time.Time
	answered bool // by any reply, a fault included
	jobs     []job
	err      error // why nothing could be asked
	user     userMetrics
	// expected are the collectors that fail if nothing could be asked.
	expected []*collector.Collector
}

// userMetrics are those of the routing script.
type userMetrics struct {
	page xhttpprom.Page
	took time.Duration // zero as long as there is no answer
	err  error
}

// job is what one collector asks in a poll. A reply that has not arrived yet is
// zero.
type job struct {
	collector *collector.Collector
	answers   []collector.Answer
	// guessed says that the method is not named, and that the server did not say
	// whether it has it.
	guessed bool
	// known says that the server is known to have the method.
	known bool
	// lost says that the method is not asked, or was not answered, because its
	// reply does not seem to fit in a datagram.
	lost bool
}

func newJob(c *collector.Collector, calls []rpc.Call) job {
	j := job{collector: c, answers: make([]collector.Answer, len(calls))}
	for i, call := range calls {
		j.answers[i].Call = call
	}
	return j
}

// run carries out a poll.
func (t *Target) run(p *poll) {
	ctx, cancel := context.WithDeadline(t.ctx, p.ends)
	defer cancel()
	var fetch sync.WaitGroup
	if t.options.UserMetrics != nil {
		fetch.Go(func() { t.fetchUserMetrics(ctx, p) })
	}
	t.ask(ctx, p)
	fetch.Wait()
	o := p.end()
	if t.ctx.Err() != nil {
		t.finish(p, t.report.samples(o)) // the exporter ends, which says nothing about Kamailio
		return
	}
	t.finish(p, t.report.conclude(o))
}

// ask makes all calls to Kamailio and notes the replies.
func (t *Target) ask(ctx context.Context, p *poll) {
	chosen, err := t.choose(ctx, p)
	if err != nil {
		expected := t.expected()
		p.note(func(o *outcome) { o.err, o.expected = err, expected })
		return
	}
	t.batch(ctx, p, t.addJobs(p, chosen))
	if second := t.askAgain(p); len(second) > 0 {
		t.batch(ctx, p, second)
	}
	t.learn(p, chosen)
}

// addJobs makes the jobs of the poll, and returns the indices of those to ask now.
func (t *Target) addJobs(p *poll, chosen choice) (first []int) {
	p.note(func(o *outcome) {
		for _, c := range chosen.collectors {
			calls := c.Calls(t.options.Settings)
			if len(calls) == 0 {
				continue
			}
			j := newJob(c, calls)
			j.guessed = chosen.guessed && !slices.Contains(t.options.Named, c)
			j.known = slices.Contains(t.known, c)
			j.lost = t.lost.leaveOut(c)
			if !j.lost {
				first = append(first, len(o.jobs))
			}
			o.jobs = append(o.jobs, j)
		}
		slices.SortStableFunc(first, func(a, b int) int { return t.lost.compare(o.jobs[a].collector, o.jobs[b].collector) })
	})
	return first
}

// askAgain replaces the calls of collectors that need a second batch, and returns
// the indices of their jobs.
func (t *Target) askAgain(p *poll) (second []int) {
	p.note(func(o *outcome) {
		for i, j := range o.jobs {
			if j.lost {
				continue
			}
			if calls := j.collector.Again(t.options.Settings, j.answers); len(calls) > 0 {
				second = append(second, i)
				o.jobs[i] = newJob(j.collector, calls)
				o.jobs[i].guessed, o.jobs[i].known = j.guessed, j.known
			}
		}
	})
	return second
}

func (t *Target) fetchUserMetrics(ctx context.Context, p *poll) {
	start := time.Now()
	page, err := t.options.UserMetrics.Fetch(ctx)
	p.note(func(o *outcome) { o.user = userMetrics{page, time.Since(start), err} })
}

// batch makes the calls of these jobs in one batch.
func (t *Target) batch(ctx context.Context, p *poll, jobs []int) {
	type place struct{ job, answer int }
	var calls []rpc.Call
	var places []place
	for _, i := range jobs {
		for k, answer := range p.outcome.jobs[i].answers { // only this goroutine writes to it
			call := answer.Call
			call.Idempotent = true // collectors only read
			calls = append(calls, call)
			places = append(places, place{i, k})
		}
	}
	for i, reply := range t.client.Stream(ctx, calls...) {
		reply.Err = withShortReason(reply.Err)
		p.note(func(o *outcome) {
			o.jobs[places[i].job].answers[places[i].answer].Reply = reply
			o.answered = o.answered || !reply.Received.IsZero()
		})
	}
}

// maxReason is the maximum length of the text of a fault, in bytes. Those that
// Kamailio sends are sentences; a longer one would be copied several times on its way
// into the log.
const maxReason = 1000

// withShortReason returns the error with its text cut, if it is a fault.
func withShortReason(err error) error {
	fault, ok := err.(*rpc.Fault) //nolint:errorlint // as a client returns it
	if !ok || len(fault.Reason) <= maxReason {
		return err
	}
	return &rpc.Fault{Code: fault.Code, Reason: strings.Clone(fault.Reason[:maxReason]) + "…"}
}

// choice is what a poll asks.
type choice struct {
	collectors []*collector.Collector // in the order in which they are asked
	// guessed says that the server did not say which methods it has.
	guessed bool
}

// choose returns what to ask.
func (t *Target) choose(ctx context.Context, p *poll) (choice, error) {
	if !t.options.Auto {
		return choice{collectors: t.options.Named}, nil
	}
	methods, asked, err := t.methods(ctx)
	p.note(func(o *outcome) { o.answered = asked })
	switch {
	case err == nil && hasAny(methods):
		return choice{collectors: t.collectors(func(c *collector.Collector) bool { return c.Auto && slices.Contains(methods, c.Method) })}, nil
	case isLate(ctx, err) && len(t.known) > 0:
		return choice{t.expected(), true}, nil
	case err != nil && !isLate(ctx, err) && !cannotTell(err):
		return choice{}, err
	}
	return choice{t.collectors(func(c *collector.Collector) bool { return c.Auto }), true}, nil
}

// hasAny reports whether any collector's method is among these.
func hasAny(methods []string) bool {
	return slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return slices.Contains(methods, c.Method) })
}

// collectors returns those that are wanted, and those that are named, in the order
// in which they are asked.
func (t *Target) collectors(wanted func(*collector.Collector) bool) []*collector.Collector {
	var chosen []*collector.Collector
	for _, c := range collector.All {
		if t.options.JSONRPC && c.BINRPCOnly {
			continue
		}
		if wanted(c) || slices.Contains(t.options.Named, c) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// expected returns the collectors that are named, and those whose methods the
// server is known to have.
func (t *Target) expected() []*collector.Collector {
	return t.collectors(func(c *collector.Collector) bool { return slices.Contains(t.known, c) })
}

// sortForBatch sorts collectors into the order of collector.All, which has those
// whose reply may be large at the end. ctl drops the rest of a reply that is not read
// fast enough, and what follows it is lost.
func sortForBatch(collectors []*collector.Collector) {
	slices.SortFunc(collectors, func(a, b *collector.Collector) int {
		return slices.Index(collector.All, a) - slices.Index(collector.All, b)
	})
}

// learn remembers which methods the server has, and which replies were lost.
func (t *Target) learn(p *poll, chosen choice) {
	p.note(func(o *outcome) {
		switch {
		case !t.options.Auto:
		case !chosen.guessed:
			t.known = chosen.collectors
		case o.allUnknown():
			o.err, o.answered, o.expected = errNoMethods, false, t.expected()
		default:
			t.known = t.learned(o.jobs)
		}
		if isDatagram(t.endpoint) {
			t.lost.update(o)
		}
	})
}

// learned returns the collectors whose methods the server is known to have after a
// poll that tried them.
func (t *Target) learned(jobs []job) []*collector.Collector {
	known := slices.Clone(t.known)
	for _, j := range jobs {
		switch {
		case j.onlyTried():
			known = slices.DeleteFunc(known, func(c *collector.Collector) bool { return c == j.collector })
		case j.answered() && !slices.Contains(known, j.collector):
			known = append(known, j.collector)
		}
	}
	return known
}

// methods asks which methods the server has. It may take half of the time, so that
// there is time left for a server that answers everything but this.
func (t *Target) methods(ctx context.Context) ([]string, bool, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return t.client.Methods(ctx)
}

// cannotTell reports whether an error means that the server is there, and does not
// say which methods it has.
func cannotTell(err error) bool {
	_, fault := errors.AsType[*rpc.Fault](err)
	_, limit := errors.AsType[*rpc.LimitError](err)
	return fault || limit || errors.Is(err, dial.ErrNoMethods)
}

// isLate reports whether the server did not say in time which methods it has, and
// there is time left to ask for something else.
func isLate(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

// errNoMethods is a server that has none of the methods that every Kamailio has.
var errNoMethods = errors.New("the server has none of the methods of a Kamailio")

// allUnknown reports whether the server answered every call by saying that it does
// not have the method.
func (o *outcome) allUnknown() bool {
	return len(o.jobs) > 0 && !slices.ContainsFunc(o.jobs, func(j job) bool { return !j.onlyTried() })
}

func (p *poll) note(change func(*outcome)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	change(&p.outcome)
}

// snapshot returns what the poll has brought so far, which later replies do not
// change, and how often it has changed.
func (p *poll) snapshot() (o outcome, changes int, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o = p.outcome
	o.jobs = slices.Clone(o.jobs)
	for i := range o.jobs {
		o.jobs[i].answers = slices.Clone(o.jobs[i].answers)
	}
	return o, p.changes, p.over
}

// end ends the poll and returns what it has brought. The poll does not keep it, so
// that a scrape whose reader is slow does not keep the replies in memory.
func (p *poll) end() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.outcome
	p.outcome, p.over = outcome{}, true
	return o
}

// onlyTried reports whether the server does not have the method.
func (j *job) onlyTried() bool {
	return !slices.ContainsFunc(j.answers, func(answer collector.Answer) bool {
		fault, ok := errors.AsType[*rpc.Fault](answer.Err)
		return !ok || !fault.NoSuchMethod()
	})
}

// answered reports whether any reply arrived.
func (j *job) answered() bool { return !j.lastReceived().IsZero() }

// inTime returns the answers, with an error for those that did not arrive in time.
func (j *job) inTime() []collector.Answer {
	answers := slices.Clone(j.answers)
	for i, answer := range answers {
		if answer.Err == nil && answer.Received.IsZero() || outOfTime(answer.Err) {
			answers[i].Err = errOutOfTime
		}
	}
	return answers
}

// lastReceived returns when the last of the answers arrived, the zero time if none
// did.
func (j *job) lastReceived() time.Time {
	var last time.Time
	for _, answer := range j.answers {
		if answer.Received.After(last) {
			last = answer.Received
		}
	}
	return last
}

// errOutOfTime is a call that was not answered before the poll ended.
var errOutOfTime = fmt.Errorf("no reply arrived in time: %w", context.DeadlineExceeded)

// outOfTime reports whether a call ended because its poll did.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
