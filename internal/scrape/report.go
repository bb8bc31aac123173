package scrape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/rpc"
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

	mu       sync.Mutex
	scrapes  int
	failed   int
	skips    map[skipKey]int
	problems []problem // of the last round
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

func (p problem) same(other problem) bool {
	return p.collectors == other.collectors && p.err.Error() == other.err.Error()
}

func newReport(options Options) report {
	return report{options: options, skips: map[skipKey]int{}}
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
	r.logProblems(problems)
	r.addCounters(set)
	return set
}

// collect gives each reply to its collector.
func (r *report) collect(o outcome) (*metric.Set, []problem) {
	set := metric.NewSet()
	set.Add(up, value(o.answered))
	if outOfTime(o.err) {
		o.err = errOutOfTime
	}
	if o.err != nil {
		return set, []problem{{err: o.err}}
	}
	failures := map[string][]string{} // error text to collectors
	errs := map[string]error{}
	before := o.start
	for i, c := range o.asked {
		reply := o.replies[i]
		if noSuchMethod(reply.Err) && !slices.Contains(r.options.Named, c) {
			continue // it was only tried
		}
		if reply.Err == nil && reply.Received.IsZero() || outOfTime(reply.Err) {
			reply.Err = errOutOfTime
		}
		start := time.Now()
		err := c.Collect(set, reply)
		if err != nil {
			failures[err.Error()] = append(failures[err.Error()], c.Method)
			errs[err.Error()] = err
		}
		took := time.Since(start)
		if !reply.Received.IsZero() {
			took += reply.Received.Sub(before)
			before = reply.Received
		}
		set.Add(collectorSuccess, value(err == nil), c.Method)
		set.Add(collectorDuration, took.Seconds(), c.Method)
	}
	var problems []problem
	for text, collectors := range failures {
		problems = append(problems, problem{strings.Join(collectors, ","), errs[text]})
	}
	slices.SortFunc(problems, func(a, b problem) int { return strings.Compare(a.collectors, b.collectors) })
	return set, problems
}

// errOutOfTime is a call that was not answered before the scrape had to be.
var errOutOfTime = fmt.Errorf("no answer in the time that the scrape had: %w", context.DeadlineExceeded)

// outOfTime tells whether a call ended because the scrape did.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func noSuchMethod(err error) bool {
	fault, ok := errors.AsType[*rpc.Fault](err)
	return ok && fault.NoSuchMethod()
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
				"target", r.options.URI, "collector", skip.Collector, "reason", skip.Reason, "count", skip.Count, "example", skip.Example)
		}
		r.skips[key] += skip.Count
	}
}

func (r *report) addCounters(set *metric.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set.Add(totalScrapes, float64(r.scrapes))
	set.Add(failedScrapes, float64(r.failed))
	for key, n := range r.skips {
		set.Add(skipped, float64(n), key.collector, string(key.reason))
	}
}

// logProblems logs each problem when it is new, and when the last one is gone,
// rather than at each scrape.
func (r *report) logProblems(problems []problem) {
	r.mu.Lock()
	before := r.problems
	r.problems = problems
	r.mu.Unlock()
	for _, p := range problems {
		if slices.ContainsFunc(before, p.same) {
			continue
		}
		args := []any{"target", r.options.URI, "err", p.err}
		if p.collectors != "" {
			args = append(args, "collectors", p.collectors)
		}
		if advice := advise(p.err, r.options.URI); advice != "" {
			args = append(args, "advice", advice)
		}
		r.options.Logger.Error("Scraping Kamailio failed", args...)
	}
	if len(before) > 0 && len(problems) == 0 {
		r.options.Logger.Info("Scraping Kamailio works again", "target", r.options.URI)
	}
}
