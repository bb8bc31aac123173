package scrape

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// pollOnce polls a target with a selection.
func pollOnce(t *testing.T, s Selection) {
	t.Helper()
	scraped, err := s.Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scraped.Release()
}

// TestSinceStartsWhenNothingFails polls a target of which a method fails in the second of three polls.
func TestSinceStartsWhenNothingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{}
		target, _ := newModulesTarget(t, client)
		start := time.Now()
		ok := answer{records: []any{rpc.Members{{Name: "200", Value: 3}}}}
		for i, sl := range []answer{ok, {err: &rpc.Fault{Code: 500, Reason: "out of memory"}}, ok, ok} {
			client.answers = map[string]answer{"core.uptime": uptimeAnswer, "sl.stats": sl}
			pollOnce(t, selected(t, target, ""))
			want := []time.Time{start, start, start.Add(2 * time.Minute), start.Add(2 * time.Minute)}[i]
			if s := target.Summary(); !s.Up || s.Since != want || s.Failing.IsZero() != (i != 1) {
				t.Errorf("poll %d: %+v, want the time %v", i, s, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestHistory polls a target that works, of which a method fails, that is down, and that works again.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		works := map[string]answer{"core.uptime": uptimeAnswer, "sl.stats": {records: []any{rpc.Members{{Name: "200", Value: 3}}}}, "tm.stats": tmAnswer}
		client := &script{answers: works}
		target, _ := newModulesTarget(t, client)
		if got := target.Summary(); got.Polled || len(target.Polls()) != 0 {
			t.Errorf("before the first poll: %+v", got)
		}
		start := time.Now()
		step := func(failing map[string]answer) {
			client.answers = works
			if failing != nil {
				client.answers = failing
			}
			pollOnce(t, selected(t, target, ""))
			time.Sleep(time.Minute)
		}
		fault := map[string]answer{"core.uptime": uptimeAnswer, "tm.stats": tmAnswer, "sl.stats": {err: &rpc.Fault{Code: 500, Reason: "out of memory"}}}
		refused := errors.New("connect: connection refused")
		dead := map[string]answer{"core.uptime": {err: refused}, "sl.stats": {err: refused}}
		step(nil)
		step(fault)
		step(fault)
		d := target.Status()
		sl := d.Methods[1]
		if !d.Summary.Up || d.Summary.Since != start || d.Summary.Methods != 1 || d.Summary.Failing != sl.Since || d.Summary.Module != "fast" || d.Summary.Last.Failed != 1 || sl.Name != "sl.stats" || !sl.Failing ||
			sl.Since != start.Add(time.Minute) || sl.Failed != start.Add(2*time.Minute) || !strings.Contains(sl.Error, "out of memory") || sl.Series != 0 {
			t.Errorf("a method fails: %+v, method %+v", d.Summary, sl)
		}
		if up := d.Methods[0]; up.Failing || up.Since != start || up.Series == 0 || up.Error != "" {
			t.Errorf("the method that works: %+v", up)
		}
		pollOnce(t, selected(t, target, "slow"))
		if s := target.Summary(); s.Methods != 1 || s.Last.Failed != 0 {
			t.Errorf("a poll of another module: %+v", s)
		}
		step(dead)
		if s := target.Summary(); s.Up || s.Since != start.Add(3*time.Minute) || s.Reason == "" || s.Last.Failed != 0 || s.Methods != 2 {
			t.Errorf("down: %+v", s)
		}
		step(nil)
		pollOnce(t, selected(t, target, "slow"))
		d = target.Status()
		if s := d.Summary; !s.Up || !s.Failing.IsZero() || s.Since != start.Add(4*time.Minute) || s.Methods != 0 || s.Module != "slow" || len(d.Methods) != 3 {
			t.Errorf("up again: %+v, methods %+v", s, d.Methods)
		}
		if sl := d.Methods[1]; sl.Failing || sl.Since != start.Add(4*time.Minute) || sl.Failed != start.Add(3*time.Minute) || !strings.Contains(sl.Error, "refused") {
			t.Errorf("the method that failed: %+v", sl)
		}
		var polls []string
		for _, poll := range target.Polls() {
			polls = append(polls, fmt.Sprint(poll.Up, poll.Failed))
		}
		if got, want := strings.Join(polls, ", "), "true 0, true 1, true 1, true 0, false 0, true 0, true 0"; got != want {
			t.Errorf("polls %s, want %s", got, want)
		}
	})
}

// TestHistoryOfProblemWithoutMethod has a server that cannot be connected, so that no method is called.
func TestHistoryOfProblemWithoutMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methodsErr: errors.New("connection refused")}
		target, _ := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "sl.stats")})
		start := time.Now()
		for range 2 {
			pollOnce(t, selected(t, target, ""))
			time.Sleep(time.Minute)
		}
		d := target.Status()
		if len(d.Problems) != 1 || d.Problems[0].Since != start || !strings.Contains(d.Problems[0].Error, "refused") {
			t.Errorf("problems %+v", d.Problems)
		}
		if len(d.Methods) != 1 || !d.Methods[0].Failing || d.Methods[0].Error != "" || d.Summary.Up {
			t.Errorf("methods %+v", d.Methods)
		}
	})
}

// TestErrorOfEarlierPoll has a method that fails, and then a server that cannot be connected. The error of the method is that of the
// earlier poll.
func TestErrorOfEarlierPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := map[string]answer{"sl.stats": {err: &rpc.Fault{Code: 500, Reason: "out of memory"}}}
		client := &script{methods: []string{"sl.stats"}, answers: failing}
		target, _ := newTestTarget(t, client, testOptions{Auto: true, Named: named(t, "sl.stats")})
		start := time.Now()
		pollOnce(t, selected(t, target, ""))
		if m := target.Status().Methods[0]; !m.HasError() || m.Failed != start || !strings.Contains(m.Error, "out of memory") {
			t.Errorf("after the fault: %+v", m)
		}
		time.Sleep(time.Minute)
		client.methodsErr = errors.New("connection refused")
		pollOnce(t, selected(t, target, ""))
		d := target.Status()
		if m := d.Methods[0]; len(d.Problems) != 1 || !m.Failing || m.HasError() || m.Failed != start || !strings.Contains(m.Error, "out of memory") {
			t.Errorf("without a connection: problems %+v, method %+v", d.Problems, m)
		}
	})
}

// TestHistoryIsBounded polls more often than is remembered.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	for i := range 3*HistoryLength + 7 {
		h.addPoll(Poll{Series: i})
	}
	target := &Target{report: &report{}}
	target.report.history.polls, target.report.history.oldest = h.polls, h.oldest
	polls := target.Polls()
	if len(polls) != HistoryLength {
		t.Fatalf("%d polls", len(polls))
	}
	for i, poll := range polls {
		if poll.Series != 2*HistoryLength+7+i {
			t.Fatalf("poll %d is number %d", i, poll.Series)
		}
	}
}

// snapshotFamilies returns a Set with families that the status page shows, with as many rows and with text as long as a server
// can send.
func snapshotFamilies(rows int, text string) *metric.Set {
	set := metric.NewSet()
	out := set.Writer("test", 0)
	for name := range rules {
		desc := &metric.Desc{Name: name, Help: "A value.", Labels: []string{"node", "state"}}
		for i := range rows {
			out.Add(desc, float64(i%2), fmt.Sprint(i, text), "inactive")
		}
	}
	return set
}

func TestSnapshot(t *testing.T) {
	set := metric.NewSet()
	out := set.Writer("test", 0)
	state := &metric.Desc{Name: "kamailio_dispatcher_destination_state", Labels: []string{"state", "uri"}}
	for _, row := range []struct{ uri, state string }{
		{"sip:a", "active"}, {`sip:b",state="active"`, "inactive"}, {"sip:c,state=", "inactive"}, {"sip:d", "disabled"},
	} {
		for _, one := range []string{"active", "inactive", "disabled"} {
			out.Add(state, value(one == row.state), one, row.uri)
		}
	}
	private := &metric.Desc{Name: "kamailio_pkg_free_bytes", Labels: []string{"process", "role"}}
	for i, free := range []float64{30, 10, 20} {
		out.Add(private, free, strconv.Itoa(i), "worker")
	}
	states := &metric.Desc{Name: "kamailio_process_states", Labels: []string{"role", "state"}}
	out.Add(states, 2, "timer", "sleeping")
	out.Add(states, 1, "udp receiver", "stopped")
	out.Add(states, 0, "timer", "stopped")
	families := newSnapshot(set).families
	if rows := families[states.Name]; rows.Count != 1 || len(rows.Rows) != 1 || rows.Text(rows.Rows[0], "role") != "udp receiver" {
		t.Errorf("states %+v", rows)
	}
	down := families[state.Name]
	if down.Count != 3 || len(down.Rows) != 3 || down.Text(down.Rows[0], "uri") != `sip:b",state="active"` || down.Text(down.Rows[2], "state") != "disabled" {
		t.Errorf("destinations %+v", down)
	}
	if least := families[private.Name]; len(least.Rows) != 1 || least.Rows[0].Value != 10 || least.Text(least.Rows[0], "process") != "1" {
		t.Errorf("private memory %+v", least)
	}
}

func TestBusiestProcesses(t *testing.T) {
	desc := &metric.Desc{Name: processTime, Type: metric.Counter, Labels: []string{"process", "role"}}
	start := time.Now()
	take := func(before processTimes, after time.Duration, seconds ...float64) (Rows, processTimes) {
		set := metric.NewSet()
		out := set.Writer("test", 0)
		for i, value := range seconds {
			out.Add(desc, value, strconv.Itoa(i), "receiver")
		}
		s := newSnapshot(set)
		times := s.addProcesses(set, before, start.Add(after))
		return s.families[processTime], times
	}
	first, times := take(processTimes{}, 0, 100, 5, 7)
	if len(first.Rows) != 0 {
		t.Errorf("rates of the first poll: %+v", first)
	}
	second, _ := take(times, 10*time.Second, 101, 10, 3, 8) // process 2 started again, process 3 is new
	if len(second.Rows) != 2 || second.Text(second.Rows[0], "process") != "1" || second.Rows[0].Value != 0.5 || second.Rows[1].Value != 0.1 {
		t.Errorf("busiest %+v", second)
	}
}

// TestHostWithoutReplies has a poll that Kamailio replies to, and two in which only the host shows something.
func TestHostWithoutReplies(t *testing.T) {
	states := &metric.Desc{Name: "kamailio_process_states", Labels: []string{"role", "state"}}
	memory := &metric.Desc{Name: "kamailio_shmem_free_bytes"}
	of := func(stopped float64) *metric.Set {
		set := metric.NewSet()
		set.Add(states, stopped, "ctl handler", "stopped")
		return set
	}
	m := &moduleHistory{methods: map[string]*Method{}}
	replied := of(0)
	replied.Add(memory, 5)
	m.addComplete(&poll{begun: time.Unix(100, 0)}, replied, summary{answered: true})
	for i, stopped := range []float64{1, 0} {
		before := m.families
		m.addComplete(&poll{begun: time.Unix(int64(110+i), 0)}, of(stopped), summary{})
		if rows := m.families[states.Name]; rows.Count != int(stopped) {
			t.Errorf("poll %d: %+v, want %v stopped processes", i, rows, stopped)
		}
		if rows := m.families[memory.Name]; rows.Count != 1 || m.taken != time.Unix(100, 0) {
			t.Errorf("poll %d: what Kamailio replied last is %+v of %v", i, rows, m.taken)
		}
		if before[states.Name].Count != 1-int(stopped) && i > 0 {
			t.Errorf("poll %d changed what a page may be reading", i)
		}
	}
}

// TestTraffic has a poll with numbers, and one without.
func TestTraffic(t *testing.T) {
	set := metric.NewSet()
	out := set.Writer("stats.fetch", 0)
	dialogs := &metric.Desc{Name: "kamailio_dialog_dialogs", Labels: []string{"state"}}
	out.Add(dialogs, 4, "active")
	out.Add(dialogs, 9, "early")
	requests := &metric.Desc{Name: "kamailio_core_received_requests_total", Labels: []string{"method"}}
	out.Add(requests, 10, "INVITE")
	out.Add(requests, 5, "BYE")
	out.Add(&metric.Desc{Name: "kamailio_core_received_replies_total", Labels: []string{"class"}}, 3, "4xx")
	var poll Poll
	if series := countSeries(set, &poll); series["stats.fetch"] != 5 || poll.Series != 5 {
		t.Errorf("series %v, %d", series, poll.Series)
	}
	got := poll.Traffic
	if got.Calls != 4 || got.Requests != 15 || got.Replies[3] != 3 || !math.IsNaN(got.Replies[0]) {
		t.Errorf("traffic %+v", got)
	}
	countSeries(metric.NewSet(), &poll)
	if !math.IsNaN(poll.Traffic.Calls) || !math.IsNaN(poll.Traffic.Requests) {
		t.Errorf("traffic without numbers %+v", poll.Traffic)
	}
}

// TestSIPSinceStartsWithEachFailure probes a socket that fails, in another way, and not.
func TestSIPSinceStartsWithEachFailure(t *testing.T) {
	m := &moduleHistory{}
	start := time.Now()
	socket := sipprobe.Socket{Transport: "udp", Host: "127.0.0.1", Port: 5060}
	want := []time.Duration{0, 0, 2, 3}
	for i, failure := range []sipprobe.Failure{sipprobe.Timeout, sipprobe.Timeout, sipprobe.Refused, ""} {
		m.addSIP(&poll{begun: start.Add(time.Duration(i))}, []sipprobe.Result{{Socket: socket, Failure: failure}})
		if since := m.sip[0].Since.Sub(start); since != want[i] {
			t.Errorf("probe %d: since %d, want %d", i, since, want[i])
		}
	}
}

// memoryLimit is the maximum memory of the history of a target, in bytes.
const memoryLimit = 64 << 10

// TestHistoryNeedsLittleMemory fills the history of many targets with the longest text of a server.
func TestHistoryNeedsLittleMemory(t *testing.T) {
	const targets = 4
	set := snapshotFamilies(100, strings.Repeat("long", 200))
	all := summary{answered: true}
	for i := range 40 {
		method := fmt.Sprintf("module.method%d", i)
		all.polled = append(all.polled, polled{collector: method, took: time.Millisecond})
		all.problems = append(all.problems, problem{[]string{method}, errors.New(method + strings.Repeat("error", maxError)), "raise {timeout}"})
	}
	m := &targetModule{Module: &config.Module{Name: "default"}}
	m.log.setting = func(key string) string { return "--kamailio." + key }
	histories := make([]history, targets)
	before := heap()
	for i := range histories {
		for range HistoryLength {
			p := newPoll(pollKey{module: m})
			p.begun = time.Now()
			histories[i].add(p, set, all, "")
		}
	}
	each := (heap() - before) / targets
	t.Logf("%d bytes for each target", each)
	if each > memoryLimit {
		t.Errorf("%d bytes for each target, the limit is %d", each, memoryLimit)
	}
	runtime.KeepAlive(histories)
	runtime.KeepAlive(set)
}

// heap returns the number of bytes that are in use after a garbage collection.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkHistory measures what a poll adds to the history: one of 500 series, and one of 4,000 destinations.
func BenchmarkHistory(b *testing.B) {
	for _, destinations := range []int{0, 4000} {
		b.Run(strconv.Itoa(destinations), func(b *testing.B) {
			set := metric.NewSet()
			out := set.Writer("stats.fetch", 0)
			for i := range 300 {
				out.Add(&metric.Desc{Name: fmt.Sprintf("kamailio_number_%d", i)}, 1)
			}
			private := &metric.Desc{Name: "kamailio_pkg_free_bytes", Labels: []string{"process", "role"}}
			for i := range 100 {
				out.Add(private, float64(i), strconv.Itoa(i), "worker")
			}
			states := &metric.Desc{Name: "kamailio_dispatcher_destination_state", Labels: []string{"duid", "setid", "state", "uri"}}
			for i := range destinations {
				for _, state := range []string{"active", "inactive", "disabled", "trying"} {
					out.Add(states, value(state == "active"), fmt.Sprint("gateway", i), "1", state, fmt.Sprintf("sip:10.0.0.%d:5060;transport=udp", i))
				}
			}
			all := summary{answered: true}
			for i := range 40 {
				all.polled = append(all.polled, polled{collector: fmt.Sprintf("module.method%d", i)})
			}
			p := newPoll(pollKey{module: &targetModule{Module: &config.Module{Name: "default"}}})
			var h history
			b.ReportAllocs()
			for b.Loop() {
				h.add(p, set, all, "")
			}
		})
	}
}
