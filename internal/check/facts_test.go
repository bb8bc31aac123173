package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// textOf returns a section as text.
func textOf(t *testing.T, s section) string {
	t.Helper()
	var out strings.Builder
	if err := write(&out, "", []section{s}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// factsOf returns facts about a target of --kamailio.scrape-uri.
func factsOf(server *serverFacts) *facts {
	module := &config.Module{Name: "default", Auto: true, Timeout: time.Second}
	return &facts{
		target:  &config.Target{URI: dial.Target{Protocol: dial.BINRPC, Network: "tcp", Address: "127.0.0.1:1"}, Modules: []*config.Module{module}},
		scrapes: []moduleFacts{{module: module, whole: scraped{details: &scrape.Details{}}}},
		server:  server,
	}
}

// replyOf returns a reply with a value.
func replyOf(t *testing.T, value any) rpc.Reply {
	t.Helper()
	v, err := rpc.ValueOf(value)
	if err != nil {
		t.Fatal(err)
	}
	return rpc.Reply{Value: v, Received: time.Now()}
}

// TestWhyCostly has a method with a reason in the table of methods, and one without.
func TestWhyCostly(t *testing.T) {
	for want, c := range map[string]*collector.Collector{
		"it visits each dialog with a lock of the table": {Method: "dlg.stats_active", Help: "dialogs"},
		"it has the start time of Kamailio":              {Method: "core.uptime", Help: "start time of Kamailio"},
	} {
		if got := whyCostly(c); got != want {
			t.Errorf("%s: %q, want %q", c.Method, got, want)
		}
	}
}

func TestModules(t *testing.T) {
	absent := rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "command core.modules not found"}}
	for name, test := range map[string]struct {
		server   serverFacts
		want     []string
		unwanted string
	}{
		"without kex": {serverFacts{modules: replyOf(t, []any{"tm", "xlog", "ctl"})},
			[]string{"the exporter can call: ctl, tm\n", "without such methods: xlog\n", `change kex is not loaded.`, `add loadmodule "kex.so"`}, "xhttp_prom"},
		"one module":           {serverFacts{modules: replyOf(t, []any{"kex"})}, []string{"can call: kex\n"}, "change"},
		"without core.modules": {serverFacts{modules: absent, methods: []string{"core.uptime", "stats.fetch", "pkg.stats", "xhttp_prom.counter_inc"}}, []string{"can call: kex\n", "note   xhttp_prom is loaded."}, "core,"},
		"without a list":       {serverFacts{modules: absent, methodsErr: &rpc.Fault{Code: 500, Reason: "Internal error creating array"}}, []string{"failed Kamailio does not list its methods: ", "binrpc_max_body_size", "does not say which modules are loaded"}, "kex"},
	} {
		text := continuedLine.Replace(textOf(t, factsOf(&test.server).modulesSection()))
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, text)
			}
		}
		if strings.Contains(text, test.unwanted) {
			t.Errorf("%s: %q is in\n%s", name, test.unwanted, text)
		}
	}
}

// continuedLine joins the lines of a long text.
var continuedLine = strings.NewReplacer("\n"+strings.Repeat(" ", stateWidth), " ")

// TestMethodsSection has a method that works, one that fails, one that fails alone, one that was not measured, and dropped fields.
func TestMethodsSection(t *testing.T) {
	f := factsOf(&serverFacts{})
	details := func(problems []scrape.ProblemDetails, methods ...string) *scrape.Details {
		d := &scrape.Details{Problems: problems}
		for _, method := range methods {
			d.Methods = append(d.Methods, scrape.MethodDetails{Method: method, Bytes: 1000, Took: 1500 * time.Microsecond})
		}
		return d
	}
	bad := []scrape.ProblemDetails{{Collectors: []string{"sl.stats"}, Err: errors.New("bad \x1b"), Hint: "check it"}}
	late := []scrape.ProblemDetails{{Collectors: []string{"tm.stats"}, Err: errors.New("late"), Hint: "check it"}}
	f.scrapes[0].whole = scraped{details: details(bad, "core.info", "sl.stats", "tm.stats", "core.psx"), skips: []metric.Skip{{Collector: "core.info", Reason: metric.UnknownField, Count: 2, Example: "x\n"}}}
	f.scrapes[0].again = scraped{details: details(nil, "core.info", "tm.stats"), series: 30}
	f.scrapes[0].alone = []scraped{{method: "core.info", details: details(nil, "core.info"), series: 10}, {method: "tm.stats", details: &scrape.Details{Problems: late}}}
	const want = `Methods
                             time     bytes  series
   core.info              1.50 ms      1000      10
   tm.stats                     -         0       0
   all in one scrape      1.50 ms      2000      30
   note   Not measured, because the time was over: core.psx
   failed sl.stats: bad \x1b
   change Check it
   failed tm.stats: late
   note   core.info: 2 fields were dropped or shortened: unknown_field, for example x;
`
	if got := textOf(t, f.scrapes[0].section(f)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestResult(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("t%02d", i))
	}
	for _, test := range []struct {
		targets               int
		down, refused, faulty []string
		want                  string
	}{
		{0, nil, nil, nil, "note   The configuration has no targets to check.\n"},
		{1, nil, nil, nil, "ok     kamailio_up would be 1.\n"},
		{3, nil, nil, nil, "ok     kamailio_up would be 1 for all 3 targets.\n"},
		{2, nil, nil, []string{"a"}, "ok     kamailio_up would be 1 for all 2 targets.\n   failed Something else does not work: see the lines above that begin with failed, of a\n"},
		{1, nil, nil, []string{"a"}, "ok     kamailio_up would be 1.\n   failed Something else does not work: see the lines above that begin with failed.\n"},
		{1, []string{"a"}, nil, nil, "failed kamailio_up would be 0.\n"},
		{3, []string{"a", "b"}, []string{"c"}, nil, "failed kamailio_up would be 0 for 2 of 3 targets: a, b\n   failed The user of the packaged service may not connect, see step 1: c\n"},
		{99, many, nil, nil, "failed kamailio_up would be 0 for 30 of 99 targets: " + strings.Join(many[:20], ", ") + " …\n"},
	} {
		if got := continuedLine.Replace(textOf(t, resultSection(test.targets, test.down, test.refused, test.faulty))); got != "Result\n   "+test.want {
			t.Errorf("got\n%swant\n%s", got, test.want)
		}
	}
}

// TestOutage has a target with two modules, of which one does not work.
func TestOutage(t *testing.T) {
	f := factsOf(&serverFacts{first: time.Millisecond, next: time.Millisecond, version: replyOf(t, "kamailio 6.0.1 "), uptime: replyOf(t, rpc.Members{{Name: "uptime", Value: 61}})})
	f.scrapes = slices.Repeat(f.scrapes, 2)
	f.scrapes[1].module = &config.Module{Name: "slow"}
	f.scrapes[1].whole = scraped{details: &scrape.Details{Reason: "timeout", Problems: []scrape.ProblemDetails{{Err: errors.New("late"), Hint: "wait"}}}}
	const want = `Reply
   ok     Kamailio replies by BINRPC over TCP. The first reply arrived after 1.00 ms, the next one
          after 1.00 ms.
   note   Its version is kamailio 6.0.1.
   note   It started 1m1s ago.
   failed The calls with module slow failed: late.
   change Wait
   note   The reason is timeout: see the section of this name in docs/troubleshooting.md.
`
	if got := textOf(t, f.replySection()); got != want || f.isUp() {
		t.Errorf("up %v, got\n%s\nwant\n%s", f.isUp(), got, want)
	}
	f.scrapes[1].whole = scraped{err: scrape.ErrClosed}
	if got := textOf(t, f.replySection()); !strings.Contains(got, "failed The scrape with module slow failed: the target is closed.\n") {
		t.Error(got)
	}
}

// TestSecondConnection has a Kamailio that replied to the scrape and closes the connection of the check.
func TestSecondConnection(t *testing.T) {
	f := factsOf(&serverFacts{version: rpc.Reply{Err: binrpc.ErrClosedUnanswered}, uptime: rpc.Reply{Err: binrpc.ErrClosedUnanswered}})
	text := continuedLine.Replace(textOf(t, f.replySection()))
	for _, want := range []string{"ok     Kamailio replies by BINRPC over TCP.\n", "failed A second connection got no reply: ", "change Kamailio closed the connection before it replied: ctl serves at most 128"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestProbeWithoutResponse has a socket that does not respond, and one on which nothing listens.
func TestProbeWithoutResponse(t *testing.T) {
	socket := sipprobe.Socket{Transport: "udp", Host: "192.0.2.1", Port: 5060}
	for failure, want := range map[sipprobe.Failure]bool{sipprobe.Timeout: true, sipprobe.Refused: false} {
		var s section
		addProbe(&s, sipprobe.Result{Socket: socket, Failure: failure, Err: errors.New("no luck")})
		text := continuedLine.Replace(textOf(t, s))
		if !strings.Contains(text, "failed udp:192.0.2.1:5060 did not respond to OPTIONS: "+string(failure)+": no luck.") ||
			strings.Contains(text, "If calls fail too, the processes that receive SIP hang or wait") != want {
			t.Errorf("%s: %s", failure, text)
		}
	}
}

// TestUptime has the shortest and the longest uptime that can be shown, and others that a server may send.
func TestUptime(t *testing.T) {
	for seconds, want := range map[int64]string{0: "It started 0s ago.", maxUptime: "It started 106751 days ago.", maxUptime + 1: "", -1: ""} {
		f := factsOf(&serverFacts{first: time.Second, uptime: replyOf(t, rpc.Members{{Name: "uptime", Value: seconds}})})
		if text := textOf(t, f.replySection()); !strings.Contains(text, want) || want == "" && strings.Contains(text, "started") {
			t.Errorf("%d seconds: %q is not in\n%s", seconds, want, text)
		}
	}
}

// TestSocketsThatAutoDoesNotProbe has more sockets than auto probes.
func TestSocketsThatAutoDoesNotProbe(t *testing.T) {
	f := factsOf(&serverFacts{socketsLeft: 7})
	want := "auto does not probe 7 more sockets: it probes at most 32, whose addresses are those of the target's host. sip of module default can name others."
	if text := continuedLine.Replace(textOf(t, f.sipSection())); !strings.Contains(text, want) {
		t.Errorf("%q is not in\n%s", want, text)
	}
}

// TestHost has what was read of the host, for users who asked for it and for auto.
func TestHost(t *testing.T) {
	hidden := []scrape.ProblemDetails{{Err: errors.New("they are hidden"), Hint: "show them"}, {Err: errors.New("the list is large"), Hint: "show them"}}
	for name, test := range map[string]struct {
		details *scrape.HostDetails
		want    string
	}{
		"all": {&scrape.HostDetails{Processes: 7, Listed: 8, Sockets: 2}, "ok     7 of 8 processes of Kamailio are visible.\n   ok     The queues of 2 sockets of Kamailio are visible.\n"},
		"stopped": {&scrape.HostDetails{Processes: 8, Listed: 8, Stopped: []string{"udp receiver", "timer", "udp receiver"}},
			"ok     8 of 8 processes of Kamailio are visible.\n   failed Processes that a signal or a debugger stopped: 3 (timer, udp receiver).\n" +
				"   change They do nothing until they are continued: end the debugger, or find their PID with kamcmd\n          core.psx and run kill -CONT PID.\n"},
		"hidden":  {&scrape.HostDetails{Listed: 8, Problems: hidden}, "note   They are hidden.\n   change Show them\n   note   The list is large.\n"},
		"asked":   {&scrape.HostDetails{Listed: 8, Asked: true, Problems: hidden[1:]}, "failed The list is large.\n   change Show them\n"},
		"nothing": {&scrape.HostDetails{}, "note   No process and no socket of Kamailio is visible on this host.\n"},
	} {
		f := factsOf(&serverFacts{})
		f.scrapes[0].whole.details.Host = test.details
		if got := textOf(t, f.hostSection()); got != "Host\n   "+test.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, test.want)
		}
	}
}
