package scrape

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// story is a text about a poll, for a user who looks for a fault.
type story struct {
	strings.Builder
	setting func(key string) string // returns the name of a setting for users
	hint    string                  // of the last error that has one
}

// story returns the text about a poll. It is empty if the poll does not need one.
func (t *Target) story(p *poll, results []Result) string {
	if !p.debug {
		return ""
	}
	s := &story{setting: p.module.log.setting}
	s.line("Target: %s", t.report.name)
	s.line("URI: %s", t.cfg.URI.Redacted())
	s.line("Module: %s", p.module.Name)
	s.line("Settings of the module: %s", orWords(p.module.Set, "default"))
	s.line("Methods: %s", orWords(strings.Fields(p.collect), "all of the module"))
	if t.cfg.AuthName != "" {
		s.line("Auth: %s", t.cfg.AuthName)
	}
	s.line("Started: %s, may take %s", p.begun.UTC().Format(time.RFC3339Nano), budget(p.module.Timeout))
	for _, result := range results {
		result.Describe(s)
	}
	s.line("Ended after %s", since(p.begun, time.Now()))
	return s.String()
}

// orWords returns the names, or the words if there are none.
func orWords(names []string, words string) string { return cmp.Or(strings.Join(names, ", "), words) }

// line writes a line.
func (s *story) line(format string, args ...any) {
	_, _ = fmt.Fprintf(s, format+"\n", args...)
}

// problem writes an error and its hint, which may be empty. A hint that equals the last one is not repeated: if Kamailio hangs, all
// calls have the same.
func (s *story) problem(err error, h hint.Hint) {
	s.line("    error: %s", quoted(err.Error()))
	if text := h.Text(s.setting); text != "" && text != s.hint {
		s.line("    hint: %s", text)
		s.hint = text
	}
}

// maxQuoted is the maximum length of a server's text in a story, in bytes.
const maxQuoted = 1024

// quoted returns a text that may be a server's, cut to maxQuoted and without characters that a terminal could act on.
func quoted(text string) string { return cli.PrintableUpTo(text, maxQuoted) }

// since returns the time between two times, rounded to microseconds.
func since(start, end time.Time) time.Duration { return end.Sub(start).Round(time.Microsecond) }

// Describe implements Result.
func (r *rpcResult) Describe(s *story) {
	s.line("RPC over %s, connection: %s", r.target.Protocol, cmp.Or(r.connection, "in use"))
	if r.listing.called {
		s.line("  system.listMethods: %s", r.listing)
		if r.listing.err != nil {
			s.problem(r.listing.err, hint.For(r.listing.err, r.target))
		}
	}
	if r.err != nil {
		s.line("  no method was called")
		if r.listing.err == nil {
			s.problem(r.err, hint.For(r.err, r.target))
		}
		return
	}
	before := r.start
	for i := range r.jobs {
		before = r.describeJob(s, &r.jobs[i], before)
	}
	s.addSkips(r)
}

// String describes the outcome.
func (l listing) String() string {
	switch {
	case l.err != nil:
		return "no list"
	case l.asked:
		return fmt.Sprintf("%d methods", l.methods)
	default:
		return fmt.Sprintf("%d methods, known from an earlier call", l.methods)
	}
}

// describeJob writes the calls of a job. It returns when its last reply arrived.
func (r *rpcResult) describeJob(s *story, j *job, before time.Time) time.Time {
	if j.lost {
		s.line("  %s: %v", j.collector.Method, hint.ErrLostReply)
		return before
	}
	for _, reply := range j.replies {
		switch {
		case !reply.Received.IsZero():
			s.line("  %s: %d bytes after %s", quoted(reply.Call.String()), reply.Size, since(before, reply.Received))
			before = reply.Received
		case reply.Err == nil:
			s.line("  %s: no reply yet", quoted(reply.Call.String()))
		default:
			s.line("  %s: no reply", quoted(reply.Call.String()))
		}
		if reply.Err != nil {
			s.problem(reply.Err, hint.For(reply.Err, r.target))
		}
	}
	return before
}

// addSkips writes what the collectors could not read.
func (s *story) addSkips(r *rpcResult) {
	set := metric.NewSet()
	for _, problem := range r.AddTo(set).problems {
		s.line("  failed: %s", strings.Join(problem.collectors, ", "))
		s.problem(problem.err, "")
	}
	for _, skip := range set.Skips() {
		s.line("  %s: %d fields were dropped or shortened: %s, for example %s", skip.Collector, skip.Count, skip.Reason, quoted(skip.Example))
	}
}

// Describe implements Result.
func (r pageResult) Describe(s *story) {
	if !r.over {
		s.line("Page of xhttp_prom: not complete yet")
		return
	}
	s.line("Page of xhttp_prom: %d families after %s", len(r.page.Families), r.took.Round(time.Microsecond))
	if r.err != nil {
		s.problem(r.err, hint.XHTTPProm)
	}
	if r.page.BadCount > 0 {
		s.line("    %d lines are not valid, for example %s", r.page.BadCount, quoted(r.page.Bad[0]))
	}
}
