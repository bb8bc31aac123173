package status

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

var now = time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

var site = Site{Base: "./", Metrics: "metrics", Now: now}

// target returns a target that was polled a second ago.
func target(name string, change func(*scrape.Summary), labels ...string) Target {
	s := scrape.Summary{Polled: true, Up: true, Since: ago(time.Hour), Module: "default", Last: scrape.Poll{Begun: ago(time.Second), Duration: 3 * time.Millisecond, Series: 1234}}
	if change != nil {
		change(&s)
	}
	t := Target{Name: name, URI: "unix:/run/kamailio/kamailio_ctl", Labels: map[string]string{}, Summary: s, Polls: func() []scrape.Poll { return []scrape.Poll{s.Last} }}
	for i := 0; i < len(labels); i += 2 {
		t.Labels[labels[i]] = labels[i+1]
	}
	return t
}

func names(f Fleet) string {
	var names []string
	for _, row := range f.Rows {
		names = append(names, row.Name)
	}
	return strings.Join(names, " ")
}

var mixed = []Target{
	target("up", nil, "site", "ams", "role", "sbc"),
	target("peers", func(s *scrape.Summary) { s.Peers = 2 }, "site", "fra"),
	target("waiting", func(s *scrape.Summary) { *s = scrape.Summary{} }),
	target("stale", func(s *scrape.Summary) { s.Last.Begun = ago(11 * time.Minute) }),
	target("sip", func(s *scrape.Summary) { s.SIP, s.Failing = 1, ago(5*time.Minute) }, "site", "fra"),
	target("method", func(s *scrape.Summary) { s.Methods, s.Failing = 2, ago(2*time.Minute) }),
	target("down", func(s *scrape.Summary) {
		s.Up, s.Reason, s.Since, s.Methods = false, "refused", ago(3*time.Hour+12*time.Minute), 9
	}, "site", "AMS1"),
}

func TestFleetShowsWhatIsBrokenFirst(t *testing.T) {
	f := NewFleet(site, mixed, Filter{})
	if got := names(f); got != "down method sip stale waiting peers up" {
		t.Errorf("order %s", got)
	}
	down, method, peers := f.Rows[0], f.Rows[1], f.Rows[5]
	if down.Since.Ago != "3 h 12 min" || !slices.Equal(down.Notes, []string{"connection refused"}) || down.Series != "1\u202f234" || down.Last.Ago != "1 s" {
		t.Errorf("down: %+v", down)
	}
	if method.Since.Ago != "2 min" || !slices.Equal(method.Notes, []string{"2 methods fail"}) {
		t.Errorf("failing: %+v", method)
	}
	if peers.Peers != "2 peers not up" || peers.State != Up {
		t.Errorf("peers: %+v", peers)
	}
	var counts []string
	for _, c := range f.Counts {
		counts = append(counts, c.Number+" "+string(c.State))
	}
	if got := strings.Join(counts, ", "); got != "1 down, 2 failing, 1 stale, 1 waiting, 2 up" {
		t.Errorf("counts %s", got)
	}
}

func TestFilter(t *testing.T) {
	for _, test := range []struct {
		filter Filter
		want   string
	}{
		{Filter{Name: "UP"}, "up"},
		{Filter{Name: "w"}, "down waiting"},
		{Filter{Label: "ams"}, "down up"},
		{Filter{Label: "site=ams"}, "up"},
		{Filter{Label: "  site=fra  "}, "sip peers"},
		{Filter{Label: "ams sbc"}, "up"},
		{Filter{Label: "role"}, "up"},
		{Filter{Label: "site="}, ""},
		{Filter{State: Failing}, "method sip"},
		{Filter{State: Failing, Label: "site=fra"}, "sip"},
		{Filter{Name: "nothing"}, ""},
	} {
		f := NewFleet(site, mixed, test.filter)
		if got := names(f); got != test.want || f.Matching != len(f.Rows) || f.Total != len(mixed) {
			t.Errorf("%+v: %q, %d of %d, want %q", test.filter, got, f.Matching, f.Total, test.want)
		}
	}
}

func TestPagesOfFleet(t *testing.T) {
	var all []Target
	for i := range 2*PageLength + 50 {
		all = append(all, target(fmt.Sprintf("sbc%03d", i), nil, "site", "ams"))
	}
	paused := site
	paused.Paused = true
	for _, test := range []struct {
		page, rows, first int
		previous, next    string
	}{
		{1, 200, 1, "", "?label=site%3Dams&page=2&refresh=off"},
		{2, 200, 201, "?label=site%3Dams&refresh=off", "?label=site%3Dams&page=3&refresh=off"},
		{3, 50, 401, "?label=site%3Dams&page=2&refresh=off", ""},
		{math.MaxInt, 50, 401, "?label=site%3Dams&page=2&refresh=off", ""},
	} {
		f := NewFleet(paused, all, Filter{Label: "site=ams", Page: test.page})
		if len(f.Rows) != test.rows || f.First != test.first || f.Last() != test.first+test.rows-1 || f.Previous != test.previous || f.Next != test.next {
			t.Errorf("page %d: %d rows from %d to %d, previous %s, next %s", test.page, len(f.Rows), f.First, f.Last(), f.Previous, f.Next)
		}
	}
	f := NewFleet(site, mixed, Filter{State: Up, Name: "u"})
	if f.Pause != "?name=u&refresh=off&state=up" || f.Counts[0].Query != "?name=u&state=down" || f.Counts[4].Query != "?name=u" {
		t.Errorf("pause %s, counts %+v", f.Pause, f.Counts)
	}
	if f := NewFleet(site, nil, Filter{}); f.First != 0 || f.Previous != "" || f.Next != "" {
		t.Errorf("no targets: %+v", f)
	}
}

func TestReasonsHaveWords(t *testing.T) {
	for _, reason := range hint.Reasons {
		if reasons[reason] == "" {
			t.Errorf("no words for the reason %s", reason)
		}
	}
	if len(reasons) != len(hint.Reasons) {
		t.Errorf("%d words for %d reasons", len(reasons), len(hint.Reasons))
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"sip:gw1.example.net:5060;transport=udp":                             "sip:gw1.example.net:5060;transport=udp",
		"sip:alice:secret@example.net":                                       "sip:alice:…@example.net",
		"get https://noc:secret@192.0.2.1/RPC: EOF":                          "get https://noc:…@192.0.2.1/RPC: EOF",
		"sip:alice:sec@ret@example.net":                                      "sip:alice:…@example.net",
		"sip:alice:secr…":                                                    "sip:alice:……",
		"sip:" + strings.Repeat("a", 4*shortText-20) + ":secret@example.net": "sip:" + strings.Repeat("a", shortText-5) + "…",
		"sip:alice@example.net:5060":                                         "sip:alice@example.net:5060",
		"a\x1b[2J\u202eb\x00":                                                `a\x1b[2J\u202eb\x00`,
		"not UTF-8 \xff":                                                     "not UTF-8 \ufffd",
		strings.Repeat("é", shortText+1):                                     strings.Repeat("é", shortText-1) + "…",
		strings.Repeat("\u202e", 1<<20):                                      strings.Repeat(`\u202e`, shortText)[:shortText-1] + "…",
		"sip:bob:pass\u202eword@example.net trailer":                         "sip:bob:…@example.net trailer",
	} {
		if got := clean(text, shortText); got != want {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		span(-time.Second):               "0 s",
		span(59 * time.Second):           "59 s",
		span(119 * time.Second):          "1 min",
		span(2 * time.Hour):              "2 h",
		span(26*time.Hour + time.Minute): "1 d 2 h",
		took(0):                          "",
		took(250 * time.Microsecond):     "250 µs",
		took(1500 * time.Microsecond):    "1.5 ms",
		took(230 * time.Millisecond):     "230 ms",
		took(2500 * time.Millisecond):    "2.5 s",
		count(7):                         "7",
		count(1234567):                   "1\u202f234\u202f567",
		count(-123456):                   "-123\u202f456",
		number(math.NaN()):               "–",
		number(math.Inf(-1)):             "-Inf",
		number(math.MaxUint64):           "1.84e+19",
		number(3):                        "3",
		number(0.125):                    "0.12",
		number(12.34):                    "12.3",
		number(1234.5):                   "1\u202f235",
		bytes(1000):                      "1000 B",
		bytes(1 << 20):                   "1.0 MiB",
		bytes(200 << 30):                 "200 GiB",
		bytes(-1e300):                    "-1e+300 B",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// polls returns polls of an up Kamailio, 10 s apart, with this number of requests; a negative one is a failed poll.
func polls(requests ...float64) []scrape.Poll {
	var all []scrape.Poll
	for i, n := range requests {
		nan := math.NaN()
		p := scrape.Poll{Begun: now.Add(time.Duration(i) * 10 * time.Second), Duration: time.Millisecond, Up: n >= 0, Traffic: scrape.Traffic{Calls: nan, Requests: n, Replies: [6]float64{nan, 7, nan, nan, nan, nan}}}
		if !p.Up {
			p.Traffic = scrape.Traffic{Calls: nan, Requests: nan, Replies: [6]float64{nan, nan, nan, nan, nan, nan}}
		}
		all = append(all, p)
	}
	return all
}

func TestTraffic(t *testing.T) {
	history := polls(100, 120, 5, 35, -1, 1000, 1040)
	other := history[0]
	other.Traffic = scrape.Traffic{Calls: math.NaN(), Requests: math.NaN(), Replies: history[4].Traffic.Replies}
	history = slices.Insert(history, 1, other) // a poll of a module without traffic
	lines := traffic(history)
	if len(lines) != 2 || lines[0].Name != "Requests per second" || lines[1].Name != "2xx replies per second" {
		t.Fatalf("lines %+v", lines)
	}
	if l := lines[0]; l.Now != "4" || l.Least != "2" || l.Most != "4" || strings.Count(l.Path, "M") != 3 || l.Label() != "Requests per second: now 4, lowest 2, highest 4" {
		t.Errorf("requests %+v, want 2, a restart, 3, an outage, 4", l)
	}
	if lines := traffic(polls(-1, -1)); len(lines) != 0 {
		t.Errorf("an outage: %+v", lines)
	}
}

// TestLineStaysInItsBox draws numbers that a server may send.
func TestLineStaysInItsBox(t *testing.T) {
	for want, values := range map[string][]float64{
		"M231.9 14.0h.01L235.9 28.0L240.0 0.0": {1, -5, 2},
		"M235.9 0.0h.01L240.0 28.0":            {math.Inf(1), 1},
		"M235.9 28.0h.01L240.0 28.0":           {-1e300, math.Inf(-1)},
		"M231.9 28.0h.01M240.0 0.0h.01":        {0, math.NaN(), 1e-300},
	} {
		if l, ok := line("calls", values); !ok || l.Path != want {
			t.Errorf("%v: path %s, want %s", values, l.Path, want)
		}
	}
}

// TestShareOfMemory has sizes of memory that a server may send.
func TestShareOfMemory(t *testing.T) {
	rows := func(value float64) scrape.Rows { return scrape.Rows{Rows: []scrape.Row{{Value: value}}} }
	for free, want := range map[float64]int{0: 0, 50: 50, 100: 100, 101: -1, -1: -1, 1e300: -1, math.Inf(1): -1} {
		got := memory(map[string]scrape.Rows{"kamailio_shmem_free_bytes": rows(free), "kamailio_shmem_total_bytes": rows(100)})
		if got[0].Percent != want {
			t.Errorf("%v of 100 are %d %%, want %d", free, got[0].Percent, want)
		}
	}
}

func TestBars(t *testing.T) {
	history := polls(1, 2, -1)
	history[1].Failed, history[1].Duration = 2, 2*time.Millisecond
	got := bars(history)
	want := Bars{OK: "M172 24v-12", Partly: "M175 24v-24", Failed: "M178 24v-24", Label: "3 polls, median 1.0 ms, 1 failed, 1 partly failed"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := bars(nil); got.OK != "" || got.Label != "no polls yet" {
		t.Errorf("no polls: %+v", got)
	}
}

// sickStatus has something of all that a page can show.
func sickStatus() scrape.Status {
	row := func(value float64, texts ...string) scrape.Row { return scrape.Row{Value: value, Texts: texts} }
	return scrape.Status{
		Summary:  target("sbc1", func(s *scrape.Summary) { s.Methods, s.Failing = 2, ago(5*time.Minute) }).Summary,
		Problems: []scrape.Problem{{Module: "default", Since: ago(time.Minute), Error: "dial unix /run/ctl: connect: permission denied", Hint: "add the user to the group"}},
		Methods: []scrape.Method{
			{Name: "core.uptime", Since: ago(time.Hour), Took: time.Millisecond, Series: 2, Error: "no reply arrived in time", Hint: "raise the timeout", Failed: ago(2 * time.Hour)},
			{Name: "sl.stats", Failing: true, Since: ago(5 * time.Minute), Error: "fault 500: out of memory", Hint: "give it memory"},
			{Name: "tm.stats", Module: "slow", Failing: true, Since: ago(5 * time.Minute), Error: "fault 500: out of memory", Hint: "give it memory", Skips: map[metric.Reason]int{metric.TooLong: 3}},
			{Name: "usrloc.dump", Failing: true, Since: ago(time.Minute), Error: "the error of an earlier poll", Failed: ago(time.Hour), Polled: ago(time.Second)},
		},
		SIP: []scrape.SIPSocket{
			{Result: sipprobe.Result{Socket: sipprobe.Socket{Transport: "tls", Host: "192.0.2.1", Port: 5061}, Code: 200, Response: time.Millisecond, Expiry: now.Add(24 * time.Hour)}, Since: ago(time.Hour)},
			{Result: sipprobe.Result{Socket: sipprobe.Socket{Transport: "udp", Host: "192.0.2.1", Port: 5060}, Failure: sipprobe.Timeout, Err: errors.New("i/o timeout")}, Since: ago(time.Minute)},
		},
		Taken: ago(time.Second),
		Families: map[string]scrape.Rows{
			"kamailio_dispatcher_destination_state": {Labels: []string{"duid", "setid", "state", "uri"}, Rows: []scrape.Row{row(1, "", "1", "inactive", "sip:gw1.example.net")}, Count: 31},
			"kamailio_dmq_node_state":               {Labels: []string{"host", "port", "proto", "state"}},
			"kamailio_shmem_free_bytes":             {Rows: []scrape.Row{row(16 << 20)}, Count: 1},
			"kamailio_shmem_total_bytes":            {Rows: []scrape.Row{row(64 << 20)}, Count: 1},
			"kamailio_pkg_free_bytes":               {Labels: []string{"process", "role"}, Rows: []scrape.Row{row(2<<20, "7", "udp receiver")}, Count: 9},
			"kamailio_socket_receive_queue_bytes":   {Labels: []string{"socket", "transport"}, Rows: []scrape.Row{row(4096, "192.0.2.1:5060", "udp")}, Count: 1},
			"kamailio_process_states":               {Labels: []string{"role", "state"}, Rows: []scrape.Row{row(2, "tcp receiver", "stopped")}, Count: 1},
			"kamailio_process_cpu_seconds_total":    {Labels: []string{"process", "role"}, Rows: []scrape.Row{row(0.5, "3", "udp receiver"), row(0, "4", "timer")}, Count: 2},
		},
	}
}

func TestTargetPage(t *testing.T) {
	page := NewTarget(site, target("sbc1", nil, "site", "ams"), sickStatus(), false)
	var b strings.Builder
	if err := page.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"sbc1: Partly failing", "2 methods fail", "site=ams", `<code>tm.stats</code> <span class="sub">slow</span>`, `href="./probe?debug=true&amp;target=sbc1"`,
		"permission denied", "add the user to the group", "No method could be called",
		"<code>sl.stats</code> <code>tm.stats</code>", "since 2026-11-26 02:55:00 UTC", "fault 500: out of memory", "give it memory",
		"Last error", "raise the timeout", "3 too long",
		"timeout", "i/o timeout", `<span class="state failing">2026-11-27</span>`,
		"Gateways: 31 not up", "sip:gw1.example.net", "and 30 more", "All are active.", "16.0 MiB of 64.0 MiB", "25 %",
		"2.0 MiB (udp receiver, process 7)", "4.0 KiB", "50 %", "Stopped processes", "tcp receiver",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if strings.Count(b.String(), "out of memory") != 1 {
		t.Error("an error is repeated for each of its methods")
	}
	if strings.Contains(b.String(), "an earlier poll") {
		t.Error("the page has an error of an earlier poll")
	}
	if first := page.Methods[0]; first.Name != "sl.stats" || page.SIP[0].Socket != "udp:192.0.2.1:5060" {
		t.Errorf("what is broken is not first: %+v, %+v", first, page.SIP[0])
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

func TestShortFormOfDispatcher(t *testing.T) {
	families := map[string]scrape.Rows{"kamailio_dispatcher_set_destinations": {Labels: []string{"setid", "state"}, Rows: []scrape.Row{{Value: 3, Texts: []string{"1", "inactive"}}}, Count: 1}}
	all := tables(families)
	if len(all) != 1 || !slices.Equal(all[0].Columns, []string{"Set", "State", "Destinations"}) || !slices.Equal(all[0].Rows[0], []string{"1", "inactive", "3"}) {
		t.Errorf("tables %+v", all)
	}
}

// BenchmarkFleet makes the page of 1,000 targets with full histories.
func BenchmarkFleet(b *testing.B) {
	var all []Target
	history := polls(make([]float64, scrape.HistoryLength)...)
	for i := range 1000 {
		one := target(fmt.Sprintf("sbc%04d", i), func(s *scrape.Summary) { s.Up = i%50 != 0 }, "site", "ams", "role", "sbc")
		one.Polls = func() []scrape.Poll { return history }
		all = append(all, one)
	}
	b.ReportAllocs()
	for b.Loop() {
		var page strings.Builder
		if err := NewFleet(site, all, Filter{}).Write(&page); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(page.Len()), "bytes")
	}
}

// BenchmarkTarget makes the page of one target.
func BenchmarkTarget(b *testing.B) {
	one, status := target("sbc1", nil), sickStatus()
	history := polls(make([]float64, scrape.HistoryLength)...)
	one.Polls = func() []scrape.Poll { return history }
	for b.Loop() {
		var page strings.Builder
		if err := NewTarget(site, one, status, false).Write(&page); err != nil {
			b.Fatal(err)
		}
	}
}
