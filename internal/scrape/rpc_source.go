package scrape

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Client is what calls a target's RPC methods; dial.Client is one.
type Client interface {
	// Stream sends calls and yields their replies; see [rpc.Client].
	Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply]
	// Close closes the connection; see [rpc.Client].
	Close() error
	// Methods returns the RPC methods that the server has. asked reports whether
	// the server replied just now; a fault is a reply.
	Methods(ctx context.Context) (methods []string, asked bool, err error)
	// Connection returns a number that changes with each new connection, or 0 if there is none that shows a restart of
	// the server.
	Connection() uint64
}

// rpcSource is the RPC of a target. It decides which methods to call, sends all calls in one batch, and keeps the replies for
// their collectors.
type rpcSource struct {
	client Client
	target dial.Target
	module *config.Module
	named  []*collector.Collector // of the module, in the order in which they are asked

	// Owned by the fetch that is running.
	known []*collector.Collector // the server is known to have their methods
	lost  lostReplies
	// settled are the replies that are valid until Kamailio restarts. They came over the connection.
	settled    map[*collector.Collector][]collector.Answer
	connection uint64
}

func newRPCSource(client Client, target dial.Target, module *config.Module) *rpcSource {
	named := slices.Clone(module.Named)
	sortForBatch(named)
	return &rpcSource{client: client, target: target, module: module, named: named, lost: lostReplies{}, settled: map[*collector.Collector][]collector.Answer{}}
}

// Begin implements Source.
func (s *rpcSource) Begin() Fetch {
	return &rpcFetch{rpcSource: s, outcome: outcome{start: time.Now()}}
}

// Close implements Source.
func (s *rpcSource) Close() error { return s.client.Close() }

// rpcFetch is the calls of one poll and their replies.
type rpcFetch struct {
	*rpcSource

	mu      sync.Mutex
	outcome outcome
	changes int // of outcome
	over    bool
}

// Run implements Fetch.
func (s *rpcFetch) Run(ctx context.Context) {
	s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// Result implements Fetch.
func (s *rpcFetch) Result() (result Result, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outcome
	if !s.over { // replies that arrive later do not change it
		o.jobs = slices.Clone(o.jobs)
		for i := range o.jobs {
			o.jobs[i].answers = slices.Clone(o.jobs[i].answers)
		}
	}
	return &rpcResult{o, s.module, s.target}, s.changes
}

func (s *rpcFetch) note(change func(*outcome)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	change(&s.outcome)
}

// outcome is what a fetch has brought so far.
type outcome struct {
	start    time.Time
	answered bool // by any reply, a fault included
	jobs     []job
	err      error // why nothing could be asked
	// expected are the collectors that fail if nothing could be asked.
	expected []*collector.Collector
}

// job is what one collector asks in a poll. A reply that has not arrived yet is
// zero.
type job struct {
	collector *collector.Collector
	answers   []collector.Answer
	// settled are replies of an earlier poll that are still valid.
	settled []collector.Answer
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

// ask makes all calls to Kamailio and notes the replies.
func (s *rpcFetch) ask(ctx context.Context) {
	chosen, err := s.choose(ctx)
	if err != nil {
		expected := s.expected()
		s.note(func(o *outcome) { o.err, o.expected = err, expected })
		return
	}
	if connection := s.client.Connection(); connection == 0 || connection != s.connection {
		clear(s.settled)
		s.connection = connection
	}
	s.batch(ctx, s.addJobs(chosen))
	if second := s.askAgain(); len(second) > 0 {
		s.batch(ctx, second)
	}
	s.learn(chosen)
}

// addJobs makes the jobs of the poll, and returns the indices of those to ask now.
func (s *rpcFetch) addJobs(chosen choice) (first []int) {
	s.note(func(o *outcome) {
		for _, c := range chosen.collectors {
			calls := c.Calls(s.module.Settings)
			if len(calls) == 0 {
				continue
			}
			settled := s.settled[c]
			if settled != nil {
				calls = calls[:1]
			}
			j := newJob(c, calls)
			j.settled = settled
			j.guessed = chosen.guessed && !slices.Contains(s.named, c)
			j.known = slices.Contains(s.known, c)
			j.lost = s.lost.leaveOut(c)
			if !j.lost {
				first = append(first, len(o.jobs))
			}
			o.jobs = append(o.jobs, j)
		}
		slices.SortStableFunc(first, func(a, b int) int { return s.lost.compare(o.jobs[a].collector, o.jobs[b].collector) })
	})
	return first
}

// askAgain replaces the calls of collectors that need a second batch, and returns
// the indices of their jobs.
func (s *rpcFetch) askAgain() (second []int) {
	s.note(func(o *outcome) {
		for i, j := range o.jobs {
			if j.lost {
				continue
			}
			calls := j.collector.Again(s.module.Settings, j.answers)
			if j.settled != nil && s.client.Connection() != s.connection { // Kamailio may have restarted since
				calls = j.collector.Calls(s.module.Settings)
			}
			if len(calls) > 0 {
				second = append(second, i)
				o.jobs[i] = newJob(j.collector, calls)
				o.jobs[i].guessed, o.jobs[i].known = j.guessed, j.known
			}
		}
	})
	return second
}

// batch makes the calls of these jobs in one batch.
func (s *rpcFetch) batch(ctx context.Context, jobs []int) {
	type place struct{ job, answer int }
	var calls []rpc.Call
	var places []place
	for _, i := range jobs {
		for k, answer := range s.outcome.jobs[i].answers { // only this goroutine writes to it
			call := answer.Call
			call.Idempotent = true // collectors only read
			calls = append(calls, call)
			places = append(places, place{i, k})
		}
	}
	for i, reply := range s.client.Stream(ctx, calls...) {
		reply.Err = withShortReason(reply.Err)
		s.note(func(o *outcome) {
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
func (s *rpcFetch) choose(ctx context.Context) (choice, error) {
	if !s.module.Auto {
		return choice{collectors: s.named}, nil
	}
	methods, asked, err := s.methods(ctx)
	s.note(func(o *outcome) { o.answered = asked })
	switch {
	case err == nil && hasAny(methods):
		return choice{collectors: s.collectors(func(c *collector.Collector) bool { return c.Auto && slices.Contains(methods, c.Method) })}, nil
	case isLate(ctx, err) && len(s.known) > 0:
		return choice{s.expected(), true}, nil
	case err != nil && !isLate(ctx, err) && !cannotTell(err):
		return choice{}, err
	}
	return choice{s.collectors(func(c *collector.Collector) bool { return c.Auto }), true}, nil
}

// hasAny reports whether any collector's method is among these.
func hasAny(methods []string) bool {
	return slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return slices.Contains(methods, c.Method) })
}

// collectors returns those that are wanted, and those that are named, in the order
// in which they are asked.
func (s *rpcSource) collectors(wanted func(*collector.Collector) bool) []*collector.Collector {
	var chosen []*collector.Collector
	for _, c := range collector.All {
		if s.target.Protocol == dial.JSONRPC && c.BINRPCOnly {
			continue
		}
		if wanted(c) || slices.Contains(s.named, c) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// expected returns the collectors that are named, and those whose methods the
// server is known to have.
func (s *rpcSource) expected() []*collector.Collector {
	return s.collectors(func(c *collector.Collector) bool { return slices.Contains(s.known, c) })
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
func (s *rpcFetch) learn(chosen choice) {
	s.note(func(o *outcome) {
		switch {
		case !s.module.Auto:
		case !chosen.guessed:
			s.known = chosen.collectors
		case o.allUnknown():
			o.err, o.answered, o.expected = hint.ErrNotKamailio, false, s.expected()
		default:
			s.known = s.learned(o.jobs)
		}
		if isDatagram(s.target) {
			s.lost.update(o)
		}
		s.settle(o.jobs)
	})
}

// settle keeps the replies that are valid until Kamailio restarts. They must have come over one connection.
func (s *rpcSource) settle(jobs []job) {
	if s.connection == 0 || s.client.Connection() != s.connection {
		return
	}
	for _, j := range jobs {
		if len(j.answers) > 1 && j.collector.Settled(j.answers) {
			s.settled[j.collector] = j.answers[1:]
		}
	}
}

// learned returns the collectors whose methods the server is known to have after a
// poll that tried them.
func (s *rpcSource) learned(jobs []job) []*collector.Collector {
	known := slices.Clone(s.known)
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
func (s *rpcSource) methods(ctx context.Context) ([]string, bool, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return s.client.Methods(ctx)
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

// allUnknown reports whether the server answered every call by saying that it does
// not have the method.
func (o *outcome) allUnknown() bool {
	return len(o.jobs) > 0 && !slices.ContainsFunc(o.jobs, func(j job) bool { return !j.onlyTried() })
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
	answers := slices.Concat(j.answers, j.settled)
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
