package scrape

import (
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// rpcResult has the replies that a Fetch of RPC methods got.
type rpcResult struct {
	outcome
	over   bool // no more replies arrive
	module *config.Module
	target dial.Target
}

// AddTo implements Result. It passes each reply to its collector.
func (r *rpcResult) AddTo(set *metric.Set) summary {
	if r.err != nil {
		return summary{answered: r.answered, problems: r.addFailure(set), polled: unpolled(r.expected)}
	}
	failures := failures{}
	all := summary{answered: r.answered}
	before := r.start
	for i := range r.jobs {
		j := &r.jobs[i]
		used := polled{collector: j.collector.Method}
		switch {
		case !r.over && j.isPending():
			all.pending = append(all.pending, used.collector)
		case j.isAbsent():
			used.absent = true
			if !j.noSuchMethod() {
				failures.of(j.inTime()[0].Err) // without the collector
			}
		default:
			if before, used.took = r.addJob(set, j, before, failures); !j.answered() {
				used.took = 0 // of the collector only
			}
		}
		all.polled = append(all.polled, used)
	}
	if r.module.Settings.NoLegacySeries {
		set.DropLegacy()
	}
	all.problems = r.withHints(failures.problems())
	return all
}

// unpolled returns collectors whose methods could not be called.
func unpolled(collectors []*collector.Collector) []polled {
	var all []polled
	for _, c := range collectors {
		all = append(all, polled{collector: c.Method})
	}
	return all
}

// addFailure adds the samples of a poll that could not make any call.
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

// isAbsent reports whether the server does not have the method of the job, or may not have it and did not reply.
func (j *job) isAbsent() bool { return j.guessed && (j.noSuchMethod() || !j.known && !j.answered()) }

// addJob passes the replies of a job to its collector. before is when the replies of the job before it arrived. It returns
// when the replies of this job arrived, and the time between the two, with the time of the collector.
func (r *rpcResult) addJob(set *metric.Set, j *job, before time.Time, failures failures) (last time.Time, took time.Duration) {
	method := j.collector.Method
	start := time.Now()
	var err error
	switch {
	case j.lost:
		err = hint.ErrLostReply
	case j.prepared != nil:
		err = j.prepared.Add(set, r.module.Settings, j.collector)
	case j.collector.IsCustom():
		err = errOutOfTime
	default:
		err = j.collector.Collect(set, r.module.Settings, j.inTime())
	}
	failures.add(method, err)
	took = time.Since(start)
	if last := j.lastReceived(); !last.IsZero() {
		took += last.Sub(before)
		before = last
	}
	set.Add(collectorSuccess, value(err == nil), method)
	set.Add(collectorDuration, took.Seconds(), method)
	return before, took
}

// failures has the collectors that failed, by the text of the error. All collectors may
// have the same error.
type failures map[string]*problem

func (f failures) add(collector string, err error) {
	if err != nil {
		failed := f.of(err)
		failed.collectors = append(failed.collectors, collector)
	}
}

// of returns the problem with this error, which it adds if it is new.
func (f failures) of(err error) *problem {
	text := err.Error()
	if f[text] == nil {
		f[text] = &problem{err: err}
	}
	return f[text]
}

// problems returns the problems, sorted by their collectors.
func (f failures) problems() []problem {
	var all []problem
	for _, failed := range f {
		all = append(all, *failed)
	}
	slices.SortFunc(all, func(a, b problem) int { return slices.Compare(a.collectors, b.collectors) })
	return all
}
