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

// What an exporter reports about its own scrapes.
var (
	up = &metric.Desc{Name: "kamailio_up", Type: metric.Gauge,
		Help: "1 if Kamailio replied to at least one call of this scrape, 0 if not."}
	totalScrapes = &metric.Desc{Name: "kamailio_exporter_total_scrapes", Type: metric.Counter,
		Help: "Scrapes of Kamailio; scrapes that arrived together and shared the replies count once."}
	failedScrapes = &metric.Desc{Name: "kamailio_exporter_failed_scrapes", Type: metric.Counter,
		Help: "Scrapes of Kamailio in which any method failed; scrapes that arrived together and shared the replies count once."}
	collectorSuccess = &metric.Desc{Name: "kamailio_exporter_collector_success", Type: metric.Gauge,
		Help: "1 if the method's reply arrived and could be read, 0 if not.", Labels: []string{"collector"}}
	collectorDuration = &metric.Desc{Name: "kamailio_exporter_collector_duration_seconds", Type: metric.Gauge,
		Help: "Time from the reply before it to the method's reply, and the time to read it.", Labels: []string{"collector"}}
	skipped = &metric.Desc{Name: "kamailio_exporter_skipped_total", Type: metric.Counter,
		Help: "Parts of replies that were left out or cut, because they could not be a sample or are unknown.", Labels: []string{"collector", "reason"}}
)

// Metrics returns the families that every scrape has besides the collectors'.
func Metrics() []*metric.Desc {
	return []*metric.Desc{up, totalScrapes, failedScrapes, collectorSuccess, collectorDuration, skipped}
}

// report turns outcomes into samples and log lines, and counts.
type report struct {
	name   string // of the target, in logs
	logger *slog.Logger
	log    problemLog

	mu     sync.Mutex
	ended  int // polls
	failed int
	skips  map[skipKey]*skipCount
	budget lineBudget // of lines about what was left out
	spare  *metric.Set
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

// samples returns those of a poll that is not over.
func (r *report) samples(results []Result) *metric.Set {
	set, _, _ := r.collect(results)
	r.addCounters(set)
	return set
}

// conclude counts a poll that is over, logs what is new about it, and returns its
// samples.
func (r *report) conclude(results []Result) *metric.Set {
	set, answered, problems := r.collect(results)
	r.count(set, len(problems) > 0)
	r.log.add(problems, answered)
	r.addCounters(set)
	return set
}

// collect adds the samples of all results to a Set.
func (r *report) collect(results []Result) (set *metric.Set, answered bool, problems []problem) {
	set = r.newSet()
	for _, result := range results {
		ok, failed := result.AddTo(set)
		answered = answered || ok
		problems = append(problems, failed...)
	}
	set.Add(up, value(answered))
	return set, answered, problems
}

// newSet returns the spare Set, if there is one: it has about the memory that is
// needed.
func (r *report) newSet() *metric.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.spare; set != nil {
		r.spare = nil
		return set
	}
	return metric.NewSet()
}

// recycle takes back a Set that is not used any more.
func (r *report) recycle(set *metric.Set) {
	set.Reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = set
}

// dropSpare frees the memory of the spare Set.
func (r *report) dropSpare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = nil
}

// polls returns how many polls are over.
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

func (r *report) count(set *metric.Set, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
	if failed {
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
			r.logger.Warn("Part of Kamailio's replies was left out or cut; this is logged once, and counted in "+skipped.Name,
				"target", r.name, "collector", skip.Collector, "reason", skip.Reason, "count", skip.Count, "example", printable(skip.Example))
		}
	}
}

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
