package scrape

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// HistoryLength is the number of polls that a target remembers.
const HistoryLength = 60

// Poll is a poll that has ended.
type Poll struct {
	Begun time.Time
	// Duration is the time that the poll took.
	Duration time.Duration
	// Up reports whether Kamailio replied to a call.
	Up bool
	// Failed is the number of methods that failed, and of SIP sockets that did not respond. It is 0 if Kamailio is not up.
	Failed int
	// Series is the number of series of the poll, without those of the exporter's own process.
	Series int
	// Traffic has counters of the poll.
	Traffic Traffic
}

// Traffic has numbers of a poll. A number that the poll does not have is NaN.
type Traffic struct {
	// Calls is the number of calls in progress.
	Calls float64
	// Requests is the number of SIP requests received since the start of Kamailio.
	Requests float64
	// Replies are the numbers of SIP replies received since the start of Kamailio, by class: 1xx to 6xx.
	Replies [6]float64
}

// Known reports whether the poll has any of the numbers.
func (t Traffic) Known() bool {
	return !math.IsNaN(t.Calls) || !math.IsNaN(t.Requests) || slices.ContainsFunc(t.Replies[:], func(v float64) bool { return !math.IsNaN(v) })
}

// Summary is the state of a target after its last poll.
type Summary struct {
	// Polled reports whether a poll has ended. If not, the other fields are zero.
	Polled bool
	// Up reports whether Kamailio replied to a call of the last poll.
	Up bool
	// Since is the time of the first of the last polls in a row in which Up had its value. It is later if the target is up and nothing
	// fails any more: then it is the time of the first poll without failures.
	Since time.Time
	// Reason is one of [hint.Reasons] if Kamailio is down, and "" otherwise.
	Reason string
	// Module is the module of the last poll.
	Module string
	// Last is the last poll.
	Last Poll
	// Methods is the number of methods that fail.
	Methods int
	// SIP is the number of SIP sockets that do not respond.
	SIP int
	// Failing is the time since which a method or a SIP socket fails, the earliest one if there are several. It is zero if none does.
	Failing time.Time
	// Peers is the number of gateways, registrations, proxies and nodes that are not up.
	Peers int
	// Version is the version of Kamailio when it was last up, "" if it is not known. It is text of the server.
	Version string
	// Started is the time at which Kamailio started, zero if it is not known.
	Started time.Time
}

// Method is the state of an RPC method, or of another collector.
type Method struct {
	Name string
	// Module is the name of the module whose poll called the method last.
	Module string
	// Polled is the time of the last poll that called the method.
	Polled time.Time
	// Failing reports whether the method failed in its last poll.
	Failing bool
	// Since is the time of the first poll since which Failing has its value.
	Since time.Time
	// Took is the time from the previous reply to the reply of this method. It is 0 if that is not known.
	Took time.Duration
	// Series is the number of series of the last poll.
	Series int
	// Error is the text of the last error of the method, and Hint says what the user can do. Error may have text of a server. Both
	// are "" if there is none. If no call could be made, there is a [Problem] instead.
	Error, Hint string
	// Failed is the time of the last poll that had Error.
	Failed time.Time
	// Skips are the parts of replies that were dropped or shortened since the exporter started, by reason.
	Skips map[metric.Reason]int
}

// Problem is an error of the last poll of a module that is not about one method.
type Problem struct {
	Module string
	// Since is the time of the first of the polls in a row that had the problem.
	Since time.Time
	// Error is the text of the error, which may have text of a server. Hint says what the user can do, "" if that is not known.
	Error, Hint string

	kind string
}

// SIPSocket is the last probe of a SIP socket.
type SIPSocket struct {
	sipprobe.Result
	// Since is the time of the first of the probes in a row with the same Failure.
	Since time.Time
}

// Status is all that a target remembers, except its polls.
type Status struct {
	Summary Summary
	// Problems are errors that are not about one method.
	Problems []Problem
	// Methods are the methods that polls called, sorted by name.
	Methods []Method
	// SIP are the SIP sockets, sorted by address.
	SIP []SIPSocket
	// Taken is the time of the poll of Families, zero if there is none.
	Taken time.Time
	// Families has the samples of the last poll of all methods of a module to which Kamailio replied, by name.
	Families map[string]Rows
}

// history remembers the last polls of a target for the status page. The zero history is empty. It may be used concurrently.
type history struct {
	mu      sync.Mutex
	polls   []Poll // a ring when it has HistoryLength polls
	oldest  int    // index in the ring
	summary Summary
	modules []*moduleHistory
}

// moduleHistory is what a target remembers of the polls with one module.
type moduleHistory struct {
	name     string
	methods  map[string]*Method
	problems []Problem
	sip      []SIPSocket
	taken    time.Time       // of the last poll to which Kamailio replied
	families map[string]Rows // that the status page shows; it may be reading them, so that they are replaced and not changed
	times    processTimes
}

// maxError is the maximum length of an error that is remembered, in bytes.
const maxError = 512

// add remembers a poll that has ended. set has all its samples.
func (h *history) add(p *poll, set *metric.Set, all summary, reason string) {
	last := Poll{Begun: p.begun, Duration: time.Since(p.begun), Up: reason == ""}
	series := countSeries(set, &last)
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.module(p.module.Name)
	m.addProblems(p, all)
	failed := m.addMethods(p, all, series)
	if p.collect == "" {
		m.addComplete(p, set, all)
	}
	s := &h.summary
	before := *s
	s.Polled, s.Up, s.Reason, s.Module = true, last.Up, reason, p.module.Name
	h.summarize()
	recovered := s.Up && s.Failing.IsZero() && !before.Failing.IsZero()
	if !before.Polled || s.Up != before.Up || recovered {
		s.Since = p.begun
	}
	if last.Up {
		last.Failed = failed + countFailed(all.sip)
	}
	s.Last = last
	h.addPoll(last)
}

// countSeries sets the number of series and the traffic of a poll. It returns the number of series of each collector.
func countSeries(set *metric.Set, poll *Poll) map[string]int {
	poll.Traffic = noTraffic
	series := map[string]int{}
	var collector string // most families have the collector of the one before
	length := 0
	for family := range set.All() {
		if family.Collector() != collector {
			series[collector] += length
			collector, length = family.Collector(), 0
		}
		length += family.Len()
		poll.Series += family.Len()
		poll.Traffic.add(family)
	}
	series[collector] += length
	for _, family := range set.Merged() {
		poll.Series += len(family.GetMetric())
		series[pageCollector] += len(family.GetMetric())
	}
	return series
}

// noTraffic has no numbers.
var noTraffic = Traffic{math.NaN(), math.NaN(), [6]float64{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}}

// Labels of the numbers of Traffic.
var (
	active  = metric.NewPair("state", "active")
	classes = [6]metric.Pair{
		metric.NewPair("class", "1xx"), metric.NewPair("class", "2xx"), metric.NewPair("class", "3xx"),
		metric.NewPair("class", "4xx"), metric.NewPair("class", "5xx"), metric.NewPair("class", "6xx"),
	}
)

// add sets the numbers that a family has.
func (t *Traffic) add(f *metric.Family) {
	switch f.Desc.Name {
	case "kamailio_dialog_dialogs":
		for i := range f.Len() {
			if f.Has(i, active) {
				t.Calls = f.Value(i)
			}
		}
	case "kamailio_core_received_requests_total":
		t.Requests = 0
		for i := range f.Len() {
			t.Requests += f.Value(i)
		}
	case "kamailio_core_received_replies_total":
		for i := range f.Len() {
			for class, pair := range classes {
				if f.Has(i, pair) {
					t.Replies[class] = f.Value(i)
				}
			}
		}
	}
}

// addPoll adds a poll to the ring.
func (h *history) addPoll(poll Poll) {
	if len(h.polls) < HistoryLength {
		h.polls = append(h.polls, poll)
		return
	}
	h.polls[h.oldest] = poll
	h.oldest = (h.oldest + 1) % HistoryLength
}

// module returns the history of a module, which it adds if it is new. The caller holds mu.
func (h *history) module(name string) *moduleHistory {
	for _, m := range h.modules {
		if m.name == name {
			return m
		}
	}
	m := &moduleHistory{name: name, methods: map[string]*Method{}}
	h.modules = append(h.modules, m)
	return m
}

// addProblems replaces the problems that are not about one method.
func (m *moduleHistory) addProblems(p *poll, all summary) {
	before := m.problems
	m.problems = nil
	for _, problem := range all.problems {
		if len(problem.collectors) > 0 {
			continue
		}
		kind, _ := hint.Kind(problem.err)
		since := p.begun
		if i := slices.IndexFunc(before, func(old Problem) bool { return old.kind == kind }); i >= 0 {
			since = before[i].Since
		}
		m.problems = append(m.problems, Problem{m.name, since, errorText(problem.err), problem.hint.Text(p.module.log.setting), kind})
	}
}

// errorText returns the text of an error, shortened.
func errorText(err error) string { return shortened(err.Error(), maxError) }

// countFailed returns the number of probes that failed.
func countFailed(probes []sipprobe.Result) int {
	failed := 0
	for _, probe := range probes {
		if probe.Failure != "" {
			failed++
		}
	}
	return failed
}

// addMethods adds the results of the methods of a poll, and returns the number of those that failed. series has the number of
// series of each.
func (m *moduleHistory) addMethods(p *poll, all summary, series map[string]int) int {
	for _, used := range all.polled {
		if used.absent {
			delete(m.methods, used.collector)
			continue
		}
		method := m.methods[used.collector]
		if method == nil {
			method = &Method{Name: used.collector, Module: m.name, Since: p.begun}
			m.methods[used.collector] = method
		}
		method.Polled, method.Took, method.Series = p.begun, used.took, series[used.collector]
	}
	failed := map[string]bool{}
	for _, problem := range all.problems {
		m.addProblem(p, problem, failed)
	}
	noCall := len(m.problems) > 0 && !all.answered
	for _, used := range all.polled {
		if method := m.methods[used.collector]; method != nil {
			method.setFailing(noCall || failed[used.collector], p.begun)
		}
	}
	return len(failed)
}

// addProblem sets the error of the methods that have a problem, and adds them to failed.
func (m *moduleHistory) addProblem(p *poll, problem problem, failed map[string]bool) {
	text, advice := errorText(problem.err), problem.hint.Text(p.module.log.setting)
	for _, collector := range problem.collectors {
		failed[collector] = true
		if method := m.methods[collector]; method != nil {
			method.Error, method.Hint, method.Failed = text, advice, p.begun
		}
	}
}

// setFailing sets whether the method failed in a poll.
func (m *Method) setFailing(failing bool, begun time.Time) {
	if failing != m.Failing {
		m.Failing, m.Since = failing, begun
	}
}

// HasError reports whether the last poll of the method had Error.
func (m Method) HasError() bool { return m.Failing && m.Error != "" && m.Failed.Equal(m.Polled) }

// addComplete remembers the results of a poll of all methods of the module.
func (m *moduleHistory) addComplete(p *poll, set *metric.Set, all summary) {
	m.addSIP(p, all.sip)
	s := newSnapshot(set)
	m.times = s.addProcesses(set, m.times, p.begun)
	if all.answered {
		maps.DeleteFunc(m.methods, func(_ string, method *Method) bool { return method.Polled != p.begun })
		m.taken = p.begun
	} else {
		keepReplies(s.families, m.families)
	}
	m.families = s.families
}

// keepReplies adds the families of Kamailio's last replies to those of a poll to which it did not reply. That poll has the families of
// the host, which do not need a reply.
func keepReplies(families, last map[string]Rows) {
	for name, rows := range last {
		if !isOfHost(name) {
			families[name] = rows
		}
	}
}

// addSIP replaces the SIP sockets.
func (m *moduleHistory) addSIP(p *poll, probes []sipprobe.Result) {
	before := m.sip
	m.sip = nil
	for _, probe := range probes {
		since := p.begun
		if i := slices.IndexFunc(before, func(old SIPSocket) bool {
			return old.Socket == probe.Socket && old.Failure == probe.Failure
		}); i >= 0 {
			since = before[i].Since
		}
		m.sip = append(m.sip, SIPSocket{probe, since})
	}
}

// peers are families of which a snapshot has only the peers that are not up.
var peers = []string{
	"kamailio_dispatcher_destination_state", "kamailio_uac_registration_up", "kamailio_rtpengine_node_up",
	"kamailio_rtpproxy_node_up", "kamailio_dmq_node_state", "kamailio_cdp_peer_state",
}

// summarize sets the numbers of the summary. The caller holds mu.
func (h *history) summarize() {
	s := &h.summary
	s.Methods, s.SIP, s.Failing, s.Peers = 0, 0, time.Time{}, 0
	for _, m := range h.modules {
		for _, method := range m.methods {
			if method.Failing {
				s.Methods++
				s.addFailing(method.Since)
			}
		}
		for _, socket := range m.sip {
			if socket.Failure != "" {
				s.SIP++
				s.addFailing(socket.Since)
			}
		}
	}
	families, _ := h.families()
	for _, name := range peers {
		s.Peers += families[name].Count
	}
	if _, ok := families[peers[0]]; !ok { // the short form of dispatcher.list
		for _, row := range families["kamailio_dispatcher_set_destinations"].Rows {
			s.Peers += int(row.Value)
		}
	}
	if rows := families["kamailio_build_info"]; len(rows.Rows) > 0 {
		s.Version = rows.Text(rows.Rows[0], "version")
	}
	if rows := families["kamailio_start_time_seconds"]; len(rows.Rows) > 0 {
		s.Started = time.UnixMilli(int64(rows.Rows[0].Value * 1000))
	}
}

// addFailing makes Failing the earlier one of its value and since.
func (s *Summary) addFailing(since time.Time) {
	if s.Failing.IsZero() || since.Before(s.Failing) {
		s.Failing = since
	}
}

// families returns the families of all modules, and the time of the newest ones. If several modules have a family, the newest one is
// used. The caller holds mu.
func (h *history) families() (families map[string]Rows, taken time.Time) {
	byAge := slices.SortedFunc(slices.Values(h.modules), func(a, b *moduleHistory) int { return a.taken.Compare(b.taken) })
	for _, m := range byAge {
		if len(byAge) == 1 {
			return m.families, m.taken
		}
		if families == nil {
			families = map[string]Rows{}
		}
		maps.Copy(families, m.families)
		taken = m.taken
	}
	return families, taken
}

// Summary returns the state after the last poll.
func (t *Target) Summary() Summary {
	h := &t.report.history
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.summary
}

// Polls returns the last polls, at most [HistoryLength], oldest first.
func (t *Target) Polls() []Poll {
	h := &t.report.history
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.polls[h.oldest:], h.polls[:h.oldest])
}

// Status returns what the target remembers of its last polls.
func (t *Target) Status() Status {
	h := &t.report.history
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Status{Summary: h.summary}
	for _, m := range h.modules {
		s.Problems = append(s.Problems, m.problems...)
		s.SIP = append(s.SIP, m.sip...)
		for _, method := range m.methods {
			s.Methods = append(s.Methods, *method)
		}
	}
	s.Families, s.Taken = h.families()
	t.report.addSkips(s.Methods)
	slices.SortFunc(s.Methods, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// addSkips sets the numbers of dropped and shortened parts of replies.
func (r *report) addSkips(methods []Method) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, skip := range r.skips {
		for i := range methods {
			if methods[i].Name != key.collector {
				continue
			}
			if methods[i].Skips == nil {
				methods[i].Skips = map[metric.Reason]int{}
			}
			methods[i].Skips[key.reason] += skip.count
		}
	}
}
