package scrape

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
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
	options Options
	names   map[string]bool // of all families that are not the routing script's
	log     problemLog

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

func newReport(options Options) *report {
	r := &report{options: options, names: map[string]bool{}, skips: map[skipKey]*skipCount{}}
	r.log.options = options
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

// samples returns those of a poll that is not over.
func (r *report) samples(o outcome) *metric.Set {
	set, _ := r.collect(o)
	r.addCounters(set)
	return set
}

// conclude counts a poll that is over, logs what is new about it, and returns its
// samples.
func (r *report) conclude(o outcome) *metric.Set {
	set, problems := r.collect(o)
	r.count(set, len(problems) > 0)
	r.log.add(problems, o.answered)
	r.addCounters(set)
	return set
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

// collect gives each reply to its collector.
func (r *report) collect(o outcome) (*metric.Set, []problem) {
	set := r.newSet()
	set.Add(up, value(o.answered))
	failures := failures{}
	if r.options.UserMetrics != nil {
		failures.add(userCollector, r.merge(set, o.user))
	}
	if o.err != nil {
		for _, c := range o.expected {
			set.Add(collectorSuccess, 0, c.Method)
		}
		if outOfTime(o.err) {
			o.err = errOutOfTime
		}
		return set, append(failures.problems(), problem{err: o.err})
	}
	before := o.start
	for i := range o.jobs {
		before = r.collectJob(set, &o.jobs[i], before, failures)
	}
	if r.options.Settings.NoLegacySeries {
		set.DropLegacy()
	}
	return set, failures.problems()
}

// collectJob gives one collector its replies. before is when the replies before
// them arrived; it returns when these did.
func (r *report) collectJob(set *metric.Set, j *job, before time.Time, failures failures) time.Time {
	method := j.collector.Method
	if j.guessed && j.onlyTried() {
		return before
	}
	if j.guessed && !j.known && !j.answered() {
		failures.addUnnamed(j.inTime()[0].Err)
		return before
	}
	start := time.Now()
	err := errLost
	if !j.lost {
		err = j.collector.Collect(set, r.options.Settings, j.inTime())
	}
	failures.add(method, err)
	took := time.Since(start)
	if last := j.lastReceived(); !last.IsZero() {
		took += last.Sub(before)
		before = last
	}
	set.Add(collectorSuccess, value(err == nil), method)
	set.Add(collectorDuration, took.Seconds(), method)
	return before
}

// userCollector is the name under which the routing script's metrics are listed
// among the collectors.
const userCollector = "xhttp_prom"

// merge adds the routing script's metrics, except those whose names are taken.
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

// taken reports whether a name may be that of one of our own families, also with
// the endings that a histogram adds to its name.
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
			r.options.Logger.Warn("Part of Kamailio's replies was left out or cut; this is logged once, and counted in "+skipped.Name,
				"target", r.options.URI, "collector", skip.Collector, "reason", skip.Reason, "count", skip.Count, "example", printable(skip.Example))
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
