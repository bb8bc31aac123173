package scrape

import (
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// rpcResult is the replies of a target to the calls of a poll.
type rpcResult struct {
	outcome
	module *config.Module
	target dial.Target
}

// AddTo implements Result. It gives each reply to its collector.
func (r *rpcResult) AddTo(set *metric.Set) (answered bool, problems []problem) {
	if r.err != nil {
		return r.answered, r.addFailure(set)
	}
	failures := failures{}
	before := r.start
	for i := range r.jobs {
		before = r.addJob(set, &r.jobs[i], before, failures)
	}
	if r.module.Settings.NoLegacySeries {
		set.DropLegacy()
	}
	return r.answered, r.withHints(failures.problems())
}

// addFailure adds what is known if nothing could be asked.
func (r *rpcResult) addFailure(set *metric.Set) []problem {
	for _, c := range r.expected {
		set.Add(collectorSuccess, 0, c.Method)
	}
	err := r.err
	if outOfTime(err) {
		err = errOutOfTime
	}
	return r.withHints([]problem{{err: err}})
}

func (r *rpcResult) withHints(problems []problem) []problem {
	for i := range problems {
		problems[i].hint = hint.For(problems[i].err, r.target)
	}
	return problems
}

// addJob gives one collector its replies. before is when the replies before them arrived; it returns when these did.
func (r *rpcResult) addJob(set *metric.Set, j *job, before time.Time, failures failures) time.Time {
	method := j.collector.Method
	if j.guessed && j.onlyTried() {
		return before
	}
	if j.guessed && !j.known && !j.answered() {
		failures.addUnnamed(j.inTime()[0].Err)
		return before
	}
	start := time.Now()
	err := hint.ErrLostReply
	if !j.lost {
		err = j.collector.Collect(set, r.module.Settings, j.inTime())
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

// failures are the collectors that failed, by the text of the error: one error can
// fail all.
type failures map[string]*problem

func (f failures) add(collector string, err error) {
	if err != nil {
		failed := f.of(err)
		failed.collectors = append(failed.collectors, collector)
	}
}

// addUnnamed adds an error of a method that the server may not have.
func (f failures) addUnnamed(err error) { f.of(err) }

func (f failures) of(err error) *problem {
	text := err.Error()
	if f[text] == nil {
		f[text] = &problem{err: err}
	}
	return f[text]
}

// problems returns the errors, sorted by their collectors.
func (f failures) problems() []problem {
	var all []problem
	for _, failed := range f {
		all = append(all, *failed)
	}
	slices.SortFunc(all, func(a, b problem) int { return slices.Compare(a.collectors, b.collectors) })
	return all
}
