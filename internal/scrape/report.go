package scrape

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
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
	scrapeDuration = &metric.Desc{Name: "kamailio_exporter_scrape_duration_seconds", Type: metric.Gauge,
		Help: "Seconds that the poll of this scrape took."}
	scrapeTimeout = &metric.Desc{Name: "kamailio_exporter_scrape_timeout_seconds", Type: metric.Gauge,
		Help: "Seconds that a poll may take: the timeout of the module, less the time to send the page."}
	scrapeError = &metric.Desc{Name: "kamailio_exporter_scrape_error", Type: metric.Gauge,
		Help: "1 for the reason why kamailio_up is 0; 0 for all other reasons, and for all reasons if kamailio_up is 1.", Labels: []string{"reason"}}
	skipped = &metric.Desc{Name: "kamailio_exporter_skipped_total", Type: metric.Counter,
		Help: "Number of reply fields that were dropped or shortened, by reason.", Labels: []string{"collector", "reason"}}
)

// Metrics returns the families about the scrapes themselves.
func Metrics() []*metric.Desc {
	return []*metric.Desc{up, totalScrapes, failedScrapes, collectorSuccess, collectorDuration, scrapeDuration, scrapeTimeout, scrapeError, skipped}
}

// report turns the results of a target's polls into samples and log lines, and counts polls.
type report struct {
	name   string // of the target, for the log
	uri    dial.Target
	logger *slog.Logger

	history history

	mu     sync.Mutex
	ended  int // number of polls
	failed int // number of polls with a problem
	skips  map[skipKey]*skipCount
	budget lineBudget // of log lines about dropped fields
}

type skipKey struct {
	collector string
	reason    metric.Reason
}

type skipCount struct {
	count  int
	logged bool
}

func newReport(cfg *config.Target, logger *slog.Logger) *report {
	return &report{name: cmp.Or(cfg.Name, cfg.URI.Redacted()), uri: cfg.URI, logger: logger}
}

// samples returns the samples of a poll that is still running. What is not known yet has the value of the last poll if that
// failed, and no series otherwise: it must neither look like a failure nor hide one.
func (r *report) samples(p *poll, results []Result) *metric.Set {
	set, all := collect(results)
	last := p.module.lastPoll()
	switch {
	case all.answered:
		addUp(set, "")
	case last.reason != "":
		addUp(set, last.reason)
	}
	for _, collector := range all.pending {
		if last.failed[collector] {
			set.Add(collectorSuccess, 0, collector)
		}
	}
	r.addCounters(set, p)
	return set
}

// conclude counts a poll that has ended, logs its new problems, and returns its
// samples.
func (r *report) conclude(p *poll, results []Result) *metric.Set {
	set, all := collect(results)
	var checked []string // the collectors that were used, nil for all of the module
	if p.collect != "" {
		checked = names(all.polled)
	}
	reason := r.reason(all)
	addUp(set, reason)
	p.module.setLastPoll(all.problems, checked, reason)
	r.count(set, all)
	p.module.log.add(all.problems, all.answered, checked)
	p.module.log.addNotices(all.notices)
	p.module.log.addProbes(all.sip)
	r.addCounters(set, p)
	r.history.add(p, set, all, reason)
	return set
}

// reason returns the reason why Kamailio did not reply to any call, "" if it did.
func (r *report) reason(all summary) string {
	if all.answered {
		return ""
	}
	for _, problem := range all.problems {
		if len(problem.collectors) == 0 || problem.collectors[0] != pageCollector {
			return hint.Reason(problem.err, r.uri)
		}
	}
	return hint.Reason(errOutOfTime, r.uri)
}

// addUp adds the samples that say whether Kamailio is up, which it is if reason is "".
func addUp(set *metric.Set, reason string) {
	set.Add(up, value(reason == ""))
	for _, known := range hint.Reasons {
		set.Add(scrapeError, value(known == reason), known)
	}
}

// collect returns a Set with the samples of all results, and their summary.
func collect(results []Result) (*metric.Set, summary) {
	set := spare.get()
	var all summary
	for _, result := range results {
		all.add(result.AddTo(set))
	}
	return set, all
}

// lastPoll is what a module of a target remembers of its last poll that ended.
type lastPoll struct {
	reason string          // why Kamailio did not reply; "" if it did, or if there was no poll
	failed map[string]bool // the collectors that failed; does not change
}

// lastPoll returns what is known of the last poll.
func (m *targetModule) lastPoll() lastPoll {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// setLastPoll remembers a poll that has ended, and which failures of earlier polls it did not check. checked are the collectors
// that it used, nil for all.
func (m *targetModule) setLastPoll(problems []problem, checked []string, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := maps.Clone(m.last.failed)
	maps.DeleteFunc(failed, func(collector string, _ bool) bool {
		return checked == nil || slices.Contains(checked, collector)
	})
	for _, problem := range problems {
		for _, collector := range problem.collectors {
			if failed == nil {
				failed = map[string]bool{}
			}
			failed[collector] = true
		}
	}
	m.last = lastPoll{reason, failed}
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
	r.ended++
	if len(all.problems) > 0 {
		r.failed++
	}
	for _, skip := range set.Skips() {
		key := skipKey{skip.Collector, skip.Reason}
		counted := r.skips[key]
		if counted == nil {
			if r.skips == nil {
				r.skips = map[skipKey]*skipCount{}
			}
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

// addCounters adds the samples of the report's own counters and of the times of the poll.
func (r *report) addCounters(set *metric.Set, p *poll) {
	set.Add(scrapeDuration, time.Since(p.begun).Seconds())
	set.Add(scrapeTimeout, budget(p.module.Timeout).Seconds())
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
