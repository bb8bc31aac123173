package scrape

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
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

// Client calls the RPC methods of a target. dial.Client implements it.
type Client interface {
	// Stream sends calls and yields their replies; see [rpc.Client].
	Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply]
	// Close closes the connection; see [rpc.Client].
	Close() error
	// Methods returns the RPC methods of the server. asked reports whether the
	// server replied to this call; a fault is a reply.
	Methods(ctx context.Context) (methods []string, asked bool, err error)
	// Connection returns a number that changes with each new connection, or 0 if there is no connection or it does not
	// show a restart of the server.
	Connection() uint64
	// PeerPID returns the PID of the process that listens for the current connection, or 0 if it is not known.
	PeerPID() int
}

// rpcSource calls the RPC methods of a target. It decides which methods to call and sends all calls in one batch.
type rpcSource struct {
	client Client
	target dial.Target
	module *config.Module
	named  []*collector.Collector // those of the module, in the order of their calls

	// Used by the running Fetch only.
	known []*collector.Collector // collectors whose methods the server had in an earlier poll
	lost  lostReplies
	start collector.Start
	// settled has the replies that are valid until Kamailio restarts. They came over the connection with the number
	// connection.
	settled    map[*collector.Collector][]collector.Reply
	connection uint64
}

func newRPCSource(client Client, target dial.Target, module *config.Module) *rpcSource {
	named := slices.Clone(module.Named)
	sortForBatch(named)
	return &rpcSource{client: client, target: target, module: module, named: named, lost: lostReplies{}, settled: map[*collector.Collector][]collector.Reply{}}
}

// Begin implements Source.
func (s *rpcSource) Begin(only []string) Fetch {
	return &rpcFetch{rpcSource: s, only: only, outcome: outcome{start: time.Now()}}
}

// Close implements Source.
func (s *rpcSource) Close() error { return s.client.Close() }

// rpcFetch has the calls of one poll and their replies.
type rpcFetch struct {
	*rpcSource
	only []string // the methods to call; none means all

	mu      sync.Mutex
	outcome outcome
	changes int // of outcome
	over    bool
}

// Run implements Fetch.
func (s *rpcFetch) Run(ctx context.Context) {
	s.callAll(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// Result implements Fetch.
func (s *rpcFetch) Result() (result Result, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outcome
	if !s.over { // replies that arrive later must not change the result
		o.jobs = slices.Clone(o.jobs)
		for i := range o.jobs {
			o.jobs[i].replies = slices.Clone(o.jobs[i].replies)
		}
	}
	return &rpcResult{o, s.over, s.module, s.target}, s.changes
}

// update changes the outcome.
func (s *rpcFetch) update(change func(*outcome)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	change(&s.outcome)
}

// outcome has the replies that have arrived so far.
type outcome struct {
	start    time.Time
	called   time.Time // begin of the first batch
	answered bool      // a reply arrived; a fault is a reply
	jobs     []job
	listing  listing
	// connection describes the connection, for users.
	connection string
	err        error // not nil if no call could be made
	// expected are the collectors that fail if err is not nil.
	expected []*collector.Collector
}

// listing is the outcome of the call that lists the methods of the server.
type listing struct {
	called  bool // the methods were needed
	asked   bool // the server was called and replied; otherwise they were known from an earlier call, or there was no reply
	methods int  // number of methods
	err     error
}

// job has the calls of one collector in a poll and their replies. A reply that has
// not arrived yet is zero.
type job struct {
	collector *collector.Collector
	replies   []collector.Reply
	// settled are replies of an earlier poll that are still valid. Their calls are not made.
	settled []collector.Reply
	// guessed is true if the method is not named and the server did not list its
	// methods.
	guessed bool
	// known is true if the server had the method in an earlier poll.
	known bool
	// prepared has the samples of a user's own metrics; nil until they are made, and for other collectors.
	prepared *collector.Prepared
	// lost is true if the method is not called, or did not get a reply, because the
	// reply is probably larger than a datagram.
	lost bool
}

func newJob(c *collector.Collector, calls []rpc.Call, start collector.Start) job {
	j := job{collector: c, replies: make([]collector.Reply, len(calls))}
	for i, call := range calls {
		j.replies[i].Call, j.replies[i].Start = call, start
	}
	return j
}

// callAll makes all calls of the poll and adds their replies to the outcome.
func (s *rpcFetch) callAll(ctx context.Context) {
	defer s.describeConnection(s.client.Connection())
	chosen, err := s.choose(ctx)
	if err != nil {
		expected := s.wanted(s.expected())
		s.update(func(o *outcome) { o.err, o.expected = err, expected })
		return
	}
	if connection := s.client.Connection(); connection == 0 || connection != s.connection {
		clear(s.settled)
		s.connection = connection
	}
	first := s.addJobs(chosen)
	s.update(func(o *outcome) { o.called = time.Now() })
	s.batch(ctx, first)
	if second := s.addSecondBatch(); len(second) > 0 {
		s.batch(ctx, second)
	}
	s.prepare(ctx)
	s.learn(chosen)
}

// prepare evaluates the expressions of users' own metrics. Each collector gets an equal part of the time that is left.
func (s *rpcFetch) prepare(ctx context.Context) {
	var custom []int
	for i, j := range s.outcome.jobs { // without mu: only this goroutine writes to it
		if j.collector.IsCustom() && !j.lost {
			custom = append(custom, i)
		}
	}
	for n, i := range custom {
		j := s.outcome.jobs[i]
		limited, cancel := withPart(ctx, len(custom)-n)
		prepared := j.collector.Prepare(limited, j.inTime()[0])
		cancel()
		s.update(func(o *outcome) { o.jobs[i].prepared = prepared })
	}
}

// withPart returns a context with one of several equal parts of the time that is left.
func withPart(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
}

// describeConnection describes the connection at the end of the poll. before is its number at the start.
func (s *rpcFetch) describeConnection(before uint64) {
	text := "new"
	switch s.client.Connection() {
	case 0:
		text = "not kept"
	case before:
		text = "kept from an earlier poll"
	}
	s.update(func(o *outcome) { o.connection = text })
}

// addJobs adds the jobs of the poll, and returns the indices of those whose methods
// are called.
func (s *rpcFetch) addJobs(chosen choice) (first []int) {
	s.update(func(o *outcome) {
		for _, c := range s.wanted(chosen.collectors) {
			calls := c.Calls(s.module.Settings)
			if len(calls) == 0 {
				continue
			}
			settled := s.settled[c]
			if settled != nil {
				calls = calls[:1]
			}
			j := newJob(c, calls, s.start)
			j.settled = settled
			j.guessed = chosen.guessed && !slices.Contains(s.named, c)
			j.known = slices.Contains(s.known, c)
			j.lost = s.lost.pauses(c)
			if !j.lost {
				first = append(first, len(o.jobs))
			}
			o.jobs = append(o.jobs, j)
		}
		slices.SortStableFunc(first, func(a, b int) int { return s.lost.compare(o.jobs[a].collector, o.jobs[b].collector) })
	})
	return first
}

// wanted returns the collectors whose methods the poll may call.
func (s *rpcFetch) wanted(collectors []*collector.Collector) []*collector.Collector {
	if len(s.only) == 0 {
		return collectors
	}
	var wanted []*collector.Collector
	for _, c := range collectors {
		if slices.Contains(s.only, c.Method) {
			wanted = append(wanted, c)
		}
	}
	return wanted
}

// addSecondBatch replaces the calls of collectors that need a second batch, and
// returns the indices of their jobs.
func (s *rpcFetch) addSecondBatch() (second []int) {
	s.update(func(o *outcome) {
		for i, j := range o.jobs {
			if j.lost {
				continue
			}
			calls := j.collector.Again(s.module.Settings, j.replies)
			if j.settled != nil && s.client.Connection() != s.connection { // Kamailio may have restarted since
				calls = j.collector.Calls(s.module.Settings)
			}
			if len(calls) > 0 {
				second = append(second, i)
				o.jobs[i] = newJob(j.collector, calls, s.start)
				o.jobs[i].guessed, o.jobs[i].known = j.guessed, j.known
			}
		}
	})
	return second
}

// batch makes the calls of these jobs in one batch.
func (s *rpcFetch) batch(ctx context.Context, jobs []int) {
	type place struct{ job, reply int }
	var calls []rpc.Call
	var places []place
	for _, i := range jobs {
		for k, reply := range s.outcome.jobs[i].replies { // without mu: only this goroutine writes to it
			call := reply.Call
			call.Idempotent = true // collectors only read
			calls = append(calls, call)
			places = append(places, place{i, k})
		}
	}
	for i, reply := range s.client.Stream(ctx, calls...) {
		reply.Err = withShortReason(reply.Err)
		s.update(func(o *outcome) {
			o.jobs[places[i].job].replies[places[i].reply].Reply = reply
			o.answered = o.answered || !reply.Received.IsZero()
		})
	}
}

// maxReason is the maximum length of a fault's reason, in bytes. Kamailio sends one
// sentence. A very long reason would be copied several times before it is logged.
const maxReason = 1000

// withShortReason returns the error. If it is a fault, its reason is shortened to
// maxReason.
func withShortReason(err error) error {
	fault, ok := err.(*rpc.Fault) //nolint:errorlint // as a client returns it
	if !ok || len(fault.Reason) <= maxReason {
		return err
	}
	return &rpc.Fault{Code: fault.Code, Reason: strings.Clone(fault.Reason[:maxReason]) + "…"}
}

// choice says which methods a poll calls.
type choice struct {
	collectors []*collector.Collector // in the order of their calls
	// guessed is true if the server did not list its methods.
	guessed bool
}

// choose returns the methods to call.
func (s *rpcFetch) choose(ctx context.Context) (choice, error) {
	if !s.module.Auto {
		return choice{collectors: s.named}, nil
	}
	methods, asked, err := s.methods(ctx)
	s.update(func(o *outcome) { o.answered, o.listing = asked, listing{true, asked, len(methods), err} })
	switch {
	case err == nil && hasAny(methods):
		return choice{collectors: s.collectors(func(c *collector.Collector) bool { return c.Auto && slices.Contains(methods, c.Method) })}, nil
	case isLate(ctx, err) && len(s.known) > 0:
		return choice{s.expected(), true}, nil
	case err != nil && !isLate(ctx, err) && !isWithoutList(err):
		return choice{}, err
	}
	return choice{s.collectors(func(c *collector.Collector) bool { return c.Auto }), true}, nil
}

// hasAny reports whether methods has the method of any collector.
func hasAny(methods []string) bool {
	return slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return slices.Contains(methods, c.Method) })
}

// collectors returns the wanted and the named collectors, in the order of their
// calls.
func (s *rpcSource) collectors(wanted func(*collector.Collector) bool) []*collector.Collector {
	var chosen []*collector.Collector
	for _, c := range slices.Concat(collector.All, s.module.Custom) {
		if s.target.Protocol == dial.JSONRPC && c.BINRPCOnly {
			continue
		}
		if wanted(c) || slices.Contains(s.named, c) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// expected returns the named collectors, and those whose methods the server had in
// an earlier poll, without those that make no call.
func (s *rpcSource) expected() []*collector.Collector {
	all := s.collectors(func(c *collector.Collector) bool { return slices.Contains(s.known, c) })
	return slices.DeleteFunc(all, func(c *collector.Collector) bool { return len(c.Calls(s.module.Settings)) == 0 })
}

// sortForBatch sorts collectors into the order of collector.All, in which those with
// large replies are last; those of users' own metrics come after them. ctl drops the rest of a reply that is not read fast enough,
// and all replies after it.
func sortForBatch(collectors []*collector.Collector) {
	place := func(c *collector.Collector) int {
		if c.IsCustom() {
			return len(collector.All)
		}
		return slices.Index(collector.All, c)
	}
	slices.SortStableFunc(collectors, func(a, b *collector.Collector) int { return place(a) - place(b) })
}

// learn records which methods the server has, which replies were lost, and when Kamailio started.
func (s *rpcFetch) learn(chosen choice) {
	s.update(func(o *outcome) {
		switch {
		case (chosen.guessed || asksCore(o.jobs)) && o.allUnknown():
			o.err, o.answered, o.expected = hint.ErrNotKamailio, false, s.wanted(s.expected())
			if errors.Is(o.listing.err, dial.ErrNoMethods) {
				o.err = fmt.Errorf("%w: %w", o.err, o.listing.err)
			}
		case !s.module.Auto:
		case !chosen.guessed:
			s.known = chosen.collectors
		default:
			s.known = s.learned(o.jobs)
		}
		if isDatagram(s.target) {
			s.lost.update(o)
		}
		s.settle(o.jobs)
		for _, j := range o.jobs {
			for _, reply := range j.replies {
				s.start = s.start.After(reply)
			}
		}
	})
}

// settle keeps the replies that are valid until Kamailio restarts, if all replies of the poll came over one connection.
func (s *rpcSource) settle(jobs []job) {
	if s.connection == 0 || s.client.Connection() != s.connection {
		return
	}
	for _, j := range jobs {
		if len(j.replies) > 1 && j.collector.Settled(j.replies) {
			s.settled[j.collector] = slices.Clone(j.replies[1:]) // without the memory of the first reply
		}
	}
}

// learned returns the new value of known after a poll of a server that did not list
// its methods.
func (s *rpcSource) learned(jobs []job) []*collector.Collector {
	known := slices.Clone(s.known)
	for _, j := range jobs {
		switch {
		case j.noSuchMethod():
			known = slices.DeleteFunc(known, func(c *collector.Collector) bool { return c == j.collector })
		case j.answered() && !slices.Contains(known, j.collector):
			known = append(known, j.collector)
		}
	}
	return known
}

// methods returns the methods of the server. It takes at most half of the time, so
// that a server can be polled that replies to all calls except this one.
func (s *rpcSource) methods(ctx context.Context) ([]string, bool, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return s.client.Methods(ctx)
}

// isWithoutList reports whether an error means that the server replies but does not
// list its methods.
func isWithoutList(err error) bool {
	_, fault := errors.AsType[*rpc.Fault](err)
	_, limit := errors.AsType[*rpc.LimitError](err)
	return fault || limit || errors.Is(err, dial.ErrNoMethods)
}

// isLate reports whether the server did not list its methods in time, and time is left
// for other calls.
func isLate(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

// allUnknown reports whether the reply to every call is that there is no such method.
func (o *outcome) allUnknown() bool {
	return len(o.jobs) > 0 && !slices.ContainsFunc(o.jobs, func(j job) bool { return !j.noSuchMethod() })
}

// asksCore reports whether a method of Kamailio's core is called, which every Kamailio has.
func asksCore(jobs []job) bool {
	return slices.ContainsFunc(jobs, func(j job) bool { return strings.HasPrefix(j.collector.Method, "core.") })
}

// noSuchMethod reports whether the server replied that it does not have the method.
func (j *job) noSuchMethod() bool {
	return !slices.ContainsFunc(j.replies, func(reply collector.Reply) bool {
		fault, ok := errors.AsType[*rpc.Fault](reply.Err)
		return !ok || !fault.NoSuchMethod()
	})
}

// isPending reports whether a reply may still arrive.
func (j *job) isPending() bool {
	if j.collector.IsCustom() && j.prepared == nil {
		return !j.lost
	}
	return !j.lost && slices.ContainsFunc(j.replies, func(reply collector.Reply) bool { return reply.Err == nil && reply.Received.IsZero() })
}

// answered reports whether a reply arrived.
func (j *job) answered() bool { return !j.lastReceived().IsZero() }

// inTime returns the replies, with an error for those that did not arrive in time. They must not be changed.
func (j *job) inTime() []collector.Reply {
	if len(j.settled) == 0 && !slices.ContainsFunc(j.replies, isLateReply) {
		return j.replies
	}
	replies := slices.Concat(j.replies, j.settled)
	for i := range replies {
		if isLateReply(replies[i]) {
			replies[i].Err = errOutOfTime
		}
	}
	return replies
}

// isLateReply reports whether a reply did not arrive in time.
func isLateReply(reply collector.Reply) bool {
	return reply.Err == nil && reply.Received.IsZero() || outOfTime(reply.Err)
}

// lastReceived returns when the last reply arrived, the zero time if none did.
func (j *job) lastReceived() time.Time {
	var last time.Time
	for _, reply := range j.replies {
		if reply.Received.After(last) {
			last = reply.Received
		}
	}
	return last
}

// errOutOfTime is the error of a call whose reply did not arrive before the end of the
// poll.
var errOutOfTime = fmt.Errorf("no reply arrived in time: %w", context.DeadlineExceeded)

// outOfTime reports whether a call failed because its poll ended. If the name of the host was not resolved in time, that is the
// better error.
func outOfTime(err error) bool {
	if _, dns := errors.AsType[*net.DNSError](err); dns {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
