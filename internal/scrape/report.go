package scrape

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// The families about the scrapes themselves.
var (
	up = &metric.Desc{Name: "kamailio_up", Type: metric.Gauge,
		Help: "1 if Kamailio replied to at least one call of the scrape, 0 if not."}
	totalScrapes = &metric.Desc{Name: "kamailio_exporter_total_scrapes", Type: metric.Counter,
		Help: "Number of times that Kamailio was polled. Scrapes that arrive during a poll share it, and it counts once."}
	failedScrapes = &metric.Desc{Name: "kamailio_exporter_failed_scrapes", Type: metric.Counter,
		Help: "Number of times that Kamailio was polled and at least one method failed. Scrapes that arrive during a poll share it, and it counts once."}
	collectorSuccess = &metric.Desc{Name: "kamailio_exporter_collector_success", Type: metric.Gauge,
		Help: "1 if the reply of the method arrived and was parsed, 0 if not.", Labels: []string{"collector"}}
	collectorDuration = &metric.Desc{Name: "kamailio_exporter_collector_duration_seconds", Type: metric.Gauge,
		Help: "Seconds from the previous reply to the reply of this method, plus the time to parse it.", Labels: []string{"collector"}}
	skipped = &metric.Desc{Name: "kamailio_exporter_skipped_total", Type: metric.Counter,
		Help: "Number of reply fields that were dropped or shortened, by reason.", Labels: []string{"collector", "reason"}}
)

// Metrics returns the families about the scrapes themselves.
func Metrics() []*metric.Desc {
	return []*metric.Desc{up, totalScrapes, failedScrapes, collectorSuccess, collectorDuration, skipped}
}

// report turns the results of a target's polls into samples and log lines, and counts polls.
type report struct {
	name   string // of the target, for the log
	logger *slog.Logger
	log    problemLog // used by the poll that ends

	mu     sync.Mutex
	ended  int // number of polls
	failed int // number of polls with a problem
	last   lastPoll
	skips  map[skipKey]*skipCount
	budget lineBudget  // of log lines about dropped fields
	spare  *metric.Set // for the next poll; may be nil
}

type skipKey struct {
	collector string
	reason    metric.Reason
}

type skipCount struct {
	count  int
	logged bool
}

func newReport(name string, logger *slog.Logger) *report {
	return &report{
		name:   name,
		logger: logger,
		log:    problemLog{name: name, logger: logger},
		skips:  map[skipKey]*skipCount{},
	}
}

// samples returns the samples of a poll that is still running. What is not known yet has the value of the last poll if that
// failed, and no series otherwise: it must neither look like a failure nor hide one.
func (r *report) samples(results []Result) *metric.Set {
	set, all := r.collect(results)
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	switch {
	case all.answered:
		set.Add(up, 1)
	case last.ended && !last.answered:
		set.Add(up, 0)
	}
	for _, collector := range all.pending {
		if last.failed[collector] {
			set.Add(collectorSuccess, 0, collector)
		}
	}
	r.addCounters(set)
	return set
}

// conclude counts a poll that has ended, logs its new problems, and returns its
// samples.
func (r *report) conclude(results []Result) *metric.Set {
	set, all := r.collect(results)
	set.Add(up, value(all.answered))
	r.count(set, all)
	r.log.add(all.problems, all.answered)
	r.addCounters(set)
	return set
}

// collect returns a Set with the samples of all results, and their summary.
func (r *report) collect(results []Result) (*metric.Set, summary) {
	set := r.newSet()
	var all summary
	for _, result := range results {
		one := result.AddTo(set)
		all.answered = all.answered || one.answered
		all.problems = append(all.problems, one.problems...)
		all.pending = append(all.pending, one.pending...)
	}
	return set, all
}

// lastPoll is what a report remembers of the last poll that ended.
type lastPoll struct {
	ended    bool // there was one
	answered bool
	failed   map[string]bool // the collectors that failed; does not change
}

func newLastPoll(all summary) lastPoll {
	last := lastPoll{ended: true, answered: all.answered}
	for _, problem := range all.problems {
		for _, collector := range problem.collectors {
			if last.failed == nil {
				last.failed = map[string]bool{}
			}
			last.failed[collector] = true
		}
	}
	return last
}

// newSet returns an empty Set. It is the spare one if there is one, because that has
// about as much memory as is needed.
func (r *report) newSet() *metric.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.spare; set != nil {
		r.spare = nil
		return set
	}
	return metric.NewSet()
}

// recycle makes a Set that is no longer used the spare one.
func (r *report) recycle(set *metric.Set) {
	set.Reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = set
}

// dropSpare drops the spare Set, so that its memory can be freed.
func (r *report) dropSpare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = nil
}

// polls returns the number of polls that have ended.
func (r *report) polls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func value(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// count counts a poll that has ended and its dropped fields. The first dropped field of
// each collector and reason is logged.
func (r *report) count(set *metric.Set, all summary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = newLastPoll(all)
	r.ended++
	if len(all.problems) > 0 {
		r.failed++
	}
	for _, skip := range set.Skips() {
		key := skipKey{skip.Collector, skip.Reason}
		counted := r.skips[key]
		if counted == nil {
			counted = &skipCount{}
			r.skips[key] = counted
		}
		counted.count += skip.Count
		if !counted.logged && r.budget.left() > 0 {
			r.budget.used++
			counted.logged = true
			r.logger.Warn("Dropped or shortened fields of a reply; this is logged once and counted in "+skipped.Name,
				"target", r.name, "collector", skip.Collector, "reason", skip.Reason, "count", skip.Count, "example", printable(skip.Example))
		}
	}
}

// addCounters adds the samples of the report's own counters.
func (r *report) addCounters(set *metric.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set.Add(totalScrapes, float64(r.ended))
	set.Add(failedScrapes, float64(r.failed))
	keys := slices.SortedFunc(maps.Keys(r.skips), func(a, b skipKey) int {
		return cmp.Or(strings.Compare(a.collector, b.collector), strings.Compare(string(a.reason), string(b.reason)))
	})
	for _, key := range keys {
		set.Add(skipped, float64(r.skips[key].count), key.collector, string(key.reason))
	}
}
