package scrape

import (
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// Details describes a poll as data, as Scraped.Story does in text.
type Details struct {
	// Reason is the reason why kamailio_up is 0, one of hint.Reasons; "" if it is 1.
	Reason string
	// Methods are the methods that were called, in the order of their calls. Methods that auto tried, and that Kamailio
	// does not have, are not among them.
	Methods []MethodDetails
	// Problems are the errors.
	Problems []ProblemDetails
	// Sockets are the SIP sockets that were probed, in the order in which their probes ended.
	Sockets []sipprobe.Result
	// Host describes what was read of Kamailio's host, nil if nothing was to be read.
	Host *HostDetails
}

// HostDetails describes what was read of Kamailio's host.
type HostDetails struct {
	// Processes is the number of processes that were read, Listed the number of those that Kamailio listed, and Sockets the
	// number of sockets whose queues were read.
	Processes, Listed, Sockets int
	// Stopped has the role of each process that a signal or a debugger stopped.
	Stopped []string
	// Asked reports whether the user asked for the series, and not auto.
	Asked bool
	// Problems are the reasons why something is missing.
	Problems []ProblemDetails
}

// MethodDetails describes the calls of one method in a poll.
type MethodDetails struct {
	// Method is the name of the collector.
	Method string
	// Bytes is the size of the replies as they arrived, 0 if none did.
	Bytes int
	// Took is the time from the begin of the first call of the poll, except that of system.listMethods, to the last reply of
	// this method. It is 0 if no reply arrived. If the poll has only this method, it is the time that the method takes.
	Took time.Duration
}

// ProblemDetails describes an error of a poll.
type ProblemDetails struct {
	// Collectors are the collectors that failed because of the error. There are none if no call could be made.
	Collectors []string
	Err        error
	// Hint says what the user can do, with the user's names of settings; "" if the error says everything.
	Hint string
}

// details returns the description of a poll, nil if the poll does not need one.
func (t *Target) details(p *poll, results []Result) *Details {
	if !p.debug {
		return nil
	}
	d := &Details{}
	set := metric.NewSet()
	var all summary
	for _, result := range results {
		all.add(result.AddTo(set))
		result.detail(d)
	}
	d.Reason = t.report.reason(all)
	for _, problem := range all.problems {
		d.Problems = append(d.Problems, ProblemDetails{problem.collectors, problem.err, problem.hint.Text(p.module.log.setting)})
	}
	if d.Host != nil {
		for _, notice := range all.notices {
			d.Host.Problems = append(d.Host.Problems, ProblemDetails{nil, notice.err, notice.hint.Text(p.module.log.setting)})
		}
	}
	return d
}

func (r *rpcResult) detail(d *Details) {
	for i := range r.jobs {
		j := &r.jobs[i]
		if j.isAbsent() {
			continue
		}
		method := MethodDetails{Method: j.collector.Method}
		for _, reply := range j.replies {
			method.Bytes += reply.Size
		}
		if last := j.lastReceived(); !last.IsZero() {
			method.Took = last.Sub(r.called)
		}
		d.Methods = append(d.Methods, method)
	}
}

func (r pageResult) detail(*Details) {}

func (r sipResult) detail(d *Details) { d.Sockets = slices.Clone(r.probes) }
