// Package scrape polls targets: it decides which methods to call, sends all calls
// in one batch, gives each reply to its collector, and counts and logs failures.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Target is one Kamailio. It owns the connections to it. It may be used concurrently.
type Target struct {
	cfg     *config.Target
	modules []*targetModule // as in cfg
	report  *report
	running *atomic.Int64 // number of polls of all targets

	ctx    context.Context // canceled by Close
	cancel context.CancelFunc
	polls  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	current *poll   // nil if no poll is running
	queue   []*poll // polls that wait for the end of the current one, in order
	queued  int     // number of scrapes that wait for the polls of queue
}

// targetModule is a module of a target, with the sources that have its settings. Polls of a target run one after another, and
// use it one after another.
type targetModule struct {
	*config.Module
	sources []Source // the first one is RPC
	log     problemLog

	mu   sync.Mutex
	last lastPoll // guarded by mu
}

// idleTimeout is the time after which an unused connection to Kamailio is closed. It is shorter than the 120 s after which ctl
// closes it, and frees one of the 128 connections that ctl serves.
const idleTimeout = 90 * time.Second

// NewTarget returns a target. It does not connect yet. Each new problem, and the end of all problems, is logged to logger.
func NewTarget(cfg *config.Target, logger *slog.Logger) *Target {
	client := dial.NewTarget(cfg.URI, dial.Options{HTTP: cfg.HTTP, IdleTimeout: idleTimeout})
	return newTarget(client, cfg, logger)
}

// newTarget returns a target whose RPC methods are called with client.
func newTarget(client Client, cfg *config.Target, logger *slog.Logger) *Target {
	t := &Target{cfg: cfg, report: newReport(cfg, logger), running: new(atomic.Int64)}
	latest := newLatestProbes()
	for _, module := range cfg.Modules {
		m := &targetModule{Module: module, sources: []Source{newRPCSource(client, cfg.URI, module)}}
		m.log = problemLog{
			name:    t.report.name,
			logger:  logger,
			setting: func(key string) string { return cfg.SettingName(module, key) },
		}
		if cfg.XHTTPProm != nil {
			m.sources = append(m.sources, pageSource{cfg.XHTTPProm})
		}
		if sip := newSIPSource(client, cfg, module, latest); sip != nil {
			m.sources = append(m.sources, sip)
		}
		if host := newHostSource(client, cfg, module); host != nil {
			m.sources = append(m.sources, host)
		}
		t.modules = append(t.modules, m)
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Close stops the polls that are running, waits for their end, and closes the sources. The
// polls are not counted. A Scrape that waits for one of the polls returns an empty Set:
// nothing is known about Kamailio then. A later Scrape returns [ErrClosed]. Close may be
// called again.
func (t *Target) Close() error {
	t.refuse()
	t.cancel()
	return t.closeSources()
}

// refuse has later scrapes fail with ErrClosed.
func (t *Target) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true // with mu held, so that join starts no poll after Wait
}

// retire closes a target that refuses scrapes when its polls have ended.
func (t *Target) retire() error {
	err := t.closeSources()
	t.cancel()
	return err
}

// closeSources waits for the end of all polls and closes the sources.
func (t *Target) closeSources() error {
	t.polls.Wait()
	var failed []error
	for _, module := range t.modules {
		for _, source := range module.sources {
			failed = append(failed, source.Close())
		}
	}
	return errors.Join(failed...)
}

// Selection says what a scrape gets from a target. Scrapes with equal selections share polls.
type Selection struct {
	target *Target
	pollKey
}

// pollKey identifies polls with the same content.
type pollKey struct {
	module  *targetModule
	collect string // the methods, sorted and separated by spaces; "" for all of the module
	debug   bool
}

// Select returns the selection of a module, "" for the default module, and of some of its methods; none means all. The error
// lists the allowed modules or methods.
func (t *Target) Select(module string, collect []string) (Selection, error) {
	m := t.modules[0]
	if module != "" {
		i := slices.IndexFunc(t.modules, func(m *targetModule) bool { return m.Name == module })
		if i < 0 {
			return Selection{}, fmt.Errorf("the target has no module %.100q; its modules are %s", module, strings.Join(t.moduleNames(), ", "))
		}
		m = t.modules[i]
	}
	allowed := t.methods(m.Module)
	for _, method := range collect {
		if !slices.Contains(allowed, method) {
			return Selection{}, fmt.Errorf("%.100q is not a method of module %s; its methods are %s", method, m.Name, strings.Join(allowed, ", "))
		}
	}
	collect = slices.Compact(slices.Sorted(slices.Values(collect)))
	return Selection{t, pollKey{module: m, collect: strings.Join(collect, " ")}}, nil
}

func (t *Target) moduleNames() []string {
	var names []string
	for _, module := range t.modules {
		names = append(names, module.Name)
	}
	return names
}

// methods returns the methods that a module may call, sorted.
func (t *Target) methods(module *config.Module) []string {
	var methods []string
	for _, c := range slices.Concat(collector.All, module.Custom) {
		if c.BINRPCOnly && t.cfg.URI.Protocol == dial.JSONRPC {
			continue
		}
		if module.Auto && c.Auto || slices.Contains(module.Named, c) {
			methods = append(methods, c.Method)
		}
	}
	slices.Sort(methods)
	return methods
}

// Debug returns a selection whose scrapes have [Scraped.Story] and [Scraped.Details].
func (s Selection) Debug() Selection {
	s.debug = true
	return s
}

// Errors of [Selection.Scrape].
var (
	// ErrClosed means that the target was closed, or removed by a reload.
	ErrClosed = errors.New("the target is closed")
	// ErrBusy means that too many scrapes wait for the target.
	ErrBusy = fmt.Errorf("%d requests with another module or other methods already wait for this target: try again later", maxQueued)
	// ErrNoTurn means that the time of the scrape ended before polls with other selections did.
	ErrNoTurn = errors.New("polls of this target with another module or other methods lasted until the scrape timeout: try again later")
)

// maxQueued is the maximum number of scrapes of a target that wait for polls with other selections.
const maxQueued = 2

// Scraped is the result of a scrape.
type Scraped struct {
	// Set has the samples. It must not be changed.
	Set *metric.Set
	// Story describes the poll in text for users. It is empty except for [Selection.Debug].
	Story string
	// Details describes the poll as data. It is nil except for [Selection.Debug].
	Details *Details
	// Release must be called once, after the last use of the Set: its memory is reused for another scrape.
	Release func()
}

// Up reports whether Kamailio is known to have replied to a call.
func (s Scraped) Up() bool {
	for _, family := range s.Set.Families() {
		if family.Desc == up && family.Len() > 0 {
			value, _ := family.Sample(0)
			return value == 1
		}
	}
	return false
}

// Scrape polls Kamailio, or joins a poll with the same selection, and returns the
// samples. Polls of one target run one after another. When ctx is done, it returns the samples of
// the replies that have arrived so far; the poll continues for the timeout of the module.
func (s Selection) Scrape(ctx context.Context) (Scraped, error) {
	t := s.target
	p, err := t.join(s)
	if err != nil {
		return Scraped{}, err
	}
	select {
	case <-p.started:
	case <-ctx.Done():
		if t.leaveQueue(p) {
			return Scraped{}, ErrNoTurn
		}
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		deadline, ok := ctx.Deadline()
		if ok && p.ends.Sub(deadline) < endsTogether && !errors.Is(ctx.Err(), context.Canceled) { // which means that the client has disconnected
			<-p.done
			break
		}
		if part := t.partial(p); part != nil {
			t.leave(p)
			return Scraped{part.set, part.story, part.details, func() { p.releasePart(part) }}, nil
		}
		<-p.done // the poll has ended, its samples are being made
	}
	return Scraped{p.samples, p.story, p.details, func() { t.leave(p) }}, nil
}

// endsTogether is the maximum difference between the deadline of a scrape and that of
// the poll with which the scrape waits for the end of the poll.
const endsTogether = 50 * time.Millisecond

// join returns a poll with the selection. It is the current one or a queued one, or a new one that starts at once if no poll is
// running.
func (t *Target) join(s Selection) (*poll, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if t.current == nil {
		t.start(newPoll(s.pollKey))
	}
	p := t.current
	if p.pollKey != s.pollKey {
		if t.queued == maxQueued {
			return nil, ErrBusy
		}
		t.queued++
		p = t.enqueue(s.pollKey)
	}
	p.waiting++
	return p, nil
}

// enqueue returns the queued poll with that key. It adds one if there is none. The caller holds mu.
func (t *Target) enqueue(key pollKey) *poll {
	for _, p := range t.queue {
		if p.pollKey == key {
			return p
		}
	}
	p := newPoll(key)
	t.queue = append(t.queue, p)
	return p
}

// start starts a poll. The caller holds mu.
func (t *Target) start(p *poll) {
	t.current = p
	p.begin()
	t.running.Add(1)
	t.polls.Go(func() { t.run(p) })
}

// startNext starts the first queued poll, if there is one. The caller holds mu.
func (t *Target) startNext() {
	t.current = nil
	if len(t.queue) == 0 {
		return
	}
	next := t.queue[0]
	t.queue = slices.Delete(t.queue, 0, 1)
	t.queued -= next.waiting
	t.start(next)
}

// leaveQueue ends the wait of a scrape for a queued poll. It returns false if the poll has started.
func (t *Target) leaveQueue(p *poll) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.queue, p)
	if i < 0 {
		return false
	}
	t.queued--
	p.waiting--
	if p.waiting == 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	}
	return true
}

// leave ends the use of a poll by a scrape. The last scrape recycles the samples.
func (t *Target) leave(p *poll) {
	t.mu.Lock()
	p.waiting--
	unused := p.waiting == 0 && p.samples != nil
	t.mu.Unlock()
	if unused {
		spare.put(p.samples)
	}
}

// finish sets the samples of a poll, which ends it.
func (t *Target) finish(p *poll, samples *metric.Set) {
	t.mu.Lock()
	p.samples = samples
	t.running.Add(-1)
	t.startNext()
	unused := p.waiting == 0
	t.mu.Unlock()
	close(p.done)
	if unused {
		spare.put(samples)
	}
	memory.afterPoll()
}
