package scrape

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// What an exporter says of its own scrapes.
var (
	up = &metric.Desc{Name: "kamailio_up", Type: metric.Gauge,
		Help: "1 if Kamailio answered at least one question of this scrape, 0 if not."}
	totalScrapes = &metric.Desc{Name: "kamailio_exporter_total_scrapes", Type: metric.Counter,
		Help: "Scrapes of Kamailio; scrapes that came together and shared their answers count once."}
	failedScrapes = &metric.Desc{Name: "kamailio_exporter_failed_scrapes", Type: metric.Counter,
		Help: "Scrapes of Kamailio in which any method failed; scrapes that came together and shared their answers count once."}
	collectorSuccess = &metric.Desc{Name: "kamailio_exporter_collector_success", Type: metric.Gauge,
		Help: "1 if the method's answer came and could be read, 0 if not.", Labels: []string{"collector"}}
	collectorDuration = &metric.Desc{Name: "kamailio_exporter_collector_duration_seconds", Type: metric.Gauge,
		Help: "How long the method's answer took, counted from the answer before it, and the reading of it.", Labels: []string{"collector"}}
	skipped = &metric.Desc{Name: "kamailio_exporter_skipped_total", Type: metric.Counter,
		Help: "What was left out of answers, because it could not be a sample or is unknown.", Labels: []string{"collector", "reason"}}
)

// Metrics are the families that every scrape gives besides the collectors'.
func Metrics() []*metric.Desc {
	return []*metric.Desc{up, totalScrapes, failedScrapes, collectorSuccess, collectorDuration, skipped}
}

// report turns outcomes into samples and log lines, and counts.
type report struct {
	options Options
	names   map[string]bool // of all families that are not the routing script's

	mu       sync.Mutex
	scrapes  int
	failed   int
	skips    map[skipKey]int
	problems []problem // of the last round
	spare    *metric.Set
}

type skipKey struct {
	collector string
	reason    metric.Reason
}

// problem is a line for the log.
type problem struct {
	collectors string
	err        error
}

// same tells whether another round had the problem too.
func (p problem) same(other problem) bool {
	return p.collectors == other.collectors && kind(p.err) == kind(other.err)
}

// kind is what an error is about, without what differs each time: addresses,
// cookies, durations, and Kamailio's words.
func kind(err error) string {
	if fault, ok := errors.AsType[*rpc.Fault](err); ok {
		return fmt.Sprintf("fault %d, no such method: %t", fault.Code, fault.NoSuchMethod())
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed.Op + ": " + failed.Err.Error()
	}
	if _, ok := errors.AsType[*binrpc.StallError](err); ok {
		return "stall"
	}
	for _, known := range []error{binrpc.ErrOutOfStep, rpc.ErrClosed, errOutOfTime} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func newReport(options Options) *report {
	r := &report{options: options, names: map[string]bool{}, skips: map[skipKey]int{}}
	for _, desc := range Metrics() {
		r.names[desc.Name] = true
	}
	for _, c := range collector.All {
		for _, desc := range c.Metrics {
			r.names[desc.Name] = true
		}
	}
	return r
}

// samples are those of a round that still goes on.
func (r *report) samples(o outcome) *metric.Set {
	set, _ := r.collect(o)
	r.addCounters(set)
	return set
}

// conclude counts a round that has ended, logs what is new about it, and
// returns its samples.
func (r *report) conclude(o outcome) *metric.Set {
	set, problems := r.collect(o)
	r.count(set, len(problems) > 0)
	r.logProblems(problems, o.answered)
	r.addCounters(set)
	return set
}

// newSet is the spare one, if there is one: its memory is about what is needed.
func (r *report) newSet() *metric.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.spare; set != nil {
		r.spare = nil
		return set
	}
	return metric.NewSet()
}

// recycle takes back a Set that nobody uses any more.
func (r *report) recycle(set *metric.Set) {
	set.Reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = set
}

// collect gives each reply to its collector.
func (r *report) collect(o outcome) (*metric.Set, []problem) {
	set := r.newSet()
	set.Add(up, value(o.answered))
	failures := failures{}
	if r.options.UserMetrics != nil {
		failures.add(userCollector, r.merge(set, o.user))
	}
	if outOfTime(o.err) {
		o.err = errOutOfTime
	}
	if o.err != nil {
		return set, append(failures.problems(), problem{err: o.err})
	}
	before := o.start
	for _, j := range o.jobs {
		method := j.collector.Method
		if j.onlyTried() && !slices.Contains(r.options.Named, j.collector) {
			continue
		}
		start := time.Now()
		err := j.collector.Collect(set, r.options.Settings, j.inTime())
		failures.add(method, err)
		took := time.Since(start)
		if last := j.lastReceived(); !last.IsZero() {
			took += last.Sub(before)
			before = last
		}
		set.Add(collectorSuccess, value(err == nil), method)
		set.Add(collectorDuration, took.Seconds(), method)
	}
	return set, failures.problems()
}

// failures are the collectors that failed, by the text of the error: one error
// can fail all.
type failures map[string]*failure

type failure struct {
	err        error
	collectors []string
}

func (f failures) add(collector string, err error) {
	if err == nil {
		return
	}
	failed := f[err.Error()]
	if failed == nil {
		failed = &failure{err: err}
		f[err.Error()] = failed
	}
	failed.collectors = append(failed.collectors, collector)
}

// problems are a line for the log for each error.
func (f failures) problems() []problem {
	var all []problem
	for _, failure := range f {
		all = append(all, problem{strings.Join(failure.collectors, ","), failure.err})
	}
	slices.SortFunc(all, func(a, b problem) int { return strings.Compare(a.collectors, b.collectors) })
	return all
}

// userCollector is the name under which the routing script's metrics stand among
// the collectors.
const userCollector = "xhttp_prom"

// merge adds the routing script's metrics, but for those whose names are taken.
func (r *report) merge(set *metric.Set, user userMetrics) error {
	err := user.err
	if err == nil && user.took == 0 || outOfTime(err) {
		err = errOutOfTime
	}
	set.Add(collectorSuccess, value(err == nil), userCollector)
	set.Add(collectorDuration, user.took.Seconds(), userCollector)
	set.Begin(userCollector, 0)
	defer set.End()
	for range user.page.BadCount {
		set.Skip(metric.BadValue, user.page.Bad[0])
	}
	for _, family := range user.page.Families {
		if r.taken(family.GetName()) {
			set.Skip(metric.Duplicate, family.GetName())
			continue
		}
		set.Merge(family)
	}
	return err
}

// taken tells whether a name may be that of one of our own families, also with
// what a histogram adds to its name.
func (r *report) taken(name string) bool {
	for _, prefix := range []string{"go_", "process_", "promhttp_", "kamailio_exporter_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	// In OpenMetrics, a counter's family is named without the ending of its samples.
	base := strings.TrimSuffix(name, "_total")
	return r.names[base] || r.names[base+"_total"] || r.names[name+"_count"] || r.names[name+"_sum"] || r.names[name+"_bucket"]
}

// errOutOfTime is a call that was not answered before the scrape had to be.
var errOutOfTime = fmt.Errorf("no answer in the time that the scrape had: %w", context.DeadlineExceeded)

// outOfTime tells whether a call ended because the scrape did.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// onlyTried tells whether the server does not have the method.
func (j job) onlyTried() bool {
	return !slices.ContainsFunc(j.answers, func(answer collector.Answer) bool {
		fault, ok := errors.AsType[*rpc.Fault](answer.Err)
		return !ok || !fault.NoSuchMethod()
	})
}

// inTime are the answers, with an error for those that did not come in time.
func (j job) inTime() []collector.Answer {
	answers := slices.Clone(j.answers)
	for i, answer := range answers {
		if answer.Err == nil && answer.Received.IsZero() || outOfTime(answer.Err) {
			answers[i].Err = errOutOfTime
		}
	}
	return answers
}

// lastReceived is when the last of the answers came, zero if none did.
func (j job) lastReceived() time.Time {
	var last time.Time
	for _, answer := range j.answers {
		if answer.Received.After(last) {
			last = answer.Received
		}
	}
	return last
}

func value(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

func (r *report) count(set *metric.Set, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scrapes++
	if failed {
		r.failed++
	}
	for _, skip := range set.Skips() {
		key := skipKey{skip.Collector, skip.Reason}
		if r.skips[key] == 0 {
			r.options.Logger.Warn("Part of Kamailio's answers was left out; this is logged once, and counted in "+skipped.Name,
				"target", r.options.URI, "collector", skip.Collector, "reason", skip.Reason, "count", skip.Count, "example", cut(skip.Example))
		}
		r.skips[key] += skip.Count
	}
}

func (r *report) addCounters(set *metric.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set.Add(totalScrapes, float64(r.scrapes))
	set.Add(failedScrapes, float64(r.failed))
	keys := slices.SortedFunc(maps.Keys(r.skips), func(a, b skipKey) int {
		return cmp.Or(strings.Compare(a.collector, b.collector), strings.Compare(string(a.reason), string(b.reason)))
	})
	for _, key := range keys {
		set.Add(skipped, float64(r.skips[key]), key.collector, string(key.reason))
	}
}

// logProblems logs each problem when it is new, and when the last one is gone,
// rather than at each scrape.
func (r *report) logProblems(problems []problem, answered bool) {
	r.mu.Lock()
	before := r.problems
	r.problems = problems
	r.mu.Unlock()
	message := "Scraping Kamailio failed"
	if answered {
		message = "A part of scraping Kamailio failed"
	}
	for _, p := range problems {
		if slices.ContainsFunc(before, p.same) {
			continue
		}
		args := []any{"target", r.options.URI, "err", cut(p.err.Error())}
		if p.collectors != "" {
			args = append(args, "collectors", p.collectors)
		}
		advice := advise(p.err, r.options.URI)
		if p.collectors == userCollector {
			advice = adviceOnUserMetrics
		}
		if advice != "" {
			args = append(args, "advice", advice)
		}
		r.options.Logger.Error(message, args...)
	}
	if len(before) > 0 && len(problems) == 0 {
		r.options.Logger.Info("Scraping Kamailio works again", "target", r.options.URI)
	}
}

// longestForeign is how much of a text that others made goes into the log.
const longestForeign = 300

func cut(text string) string {
	if len(text) <= longestForeign {
		return text
	}
	return strings.ToValidUTF8(text[:longestForeign], "") + "…"
}
