package scrape

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// newModulesTarget returns a target with a module "fast" and a module "slow".
func newModulesTarget(t *testing.T, client Client) (*Target, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	fast := &config.Module{Name: "fast", Timeout: 5 * time.Second, Named: named(t, "core.uptime", "sl.stats")}
	slow := &config.Module{Name: "slow", Timeout: 20 * time.Second, Named: named(t, "tm.stats")}
	cfg := &config.Target{Name: "sbc1", URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/no/such/ctl"}, Modules: []*config.Module{fast, slow}}
	target := newTarget(client, cfg, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target, log
}

func selected(t *testing.T, target *Target, module string, collect ...string) Selection {
	t.Helper()
	selection, err := target.Select(module, collect)
	if err != nil {
		t.Fatal(err)
	}
	return selection
}

func TestSelectListsWhatIsAllowed(t *testing.T) {
	target, _ := newModulesTarget(t, &script{})
	for want, try := range map[string][]string{
		`the target has no module "none"; its modules are fast, slow`:                              {"none"},
		`"tm.stats" is not a method of module fast; its methods are core.uptime, sl.stats`:         {"", "tm.stats"},
		`"core.uptime" is not a method of module slow; its methods are tm.stats`:                   {"slow", "tm.stats", "core.uptime"},
		`"dispatcher.list " is not a method of module fast; its methods are core.uptime, sl.stats`: {"fast", "dispatcher.list "},
	} {
		if _, err := target.Select(try[0], try[1:]); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", try, err, want)
		}
	}
	all := selected(t, target, "")
	if all != selected(t, target, "fast") || selected(t, target, "fast", "sl.stats", "core.uptime") != selected(t, target, "", "core.uptime", "sl.stats", "sl.stats") {
		t.Error("equal selections differ")
	}
	if all == selected(t, target, "slow") || all == selected(t, target, "", "sl.stats") || all == all.Debug() {
		t.Error("different selections are equal")
	}
}

// TestSelectAllowsMethodsOfAuto has a target over JSON-RPC, for which some methods are not allowed.
func TestSelectAllowsMethodsOfAuto(t *testing.T) {
	target, _ := newTestTarget(t, &script{}, testOptions{URI: "http://127.0.0.1:1/RPC", Auto: true})
	for _, c := range collector.All {
		_, err := target.Select("", []string{c.Method})
		if allowed := c.Auto && !c.BINRPCOnly; (err == nil) != allowed {
			t.Errorf("%s: error %v; allowed: %t", c.Method, err, allowed)
		}
	}
}

// TestScrapeCallsSelectedMethodsOnly also checks that the page of xhttp_prom is not fetched, and that an error has the selected
// collectors only.
func TestScrapeCallsSelectedMethodsOnly(t *testing.T) {
	client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer, "sl.stats": {records: []any{42}}}}
	target, _ := newModulesTarget(t, client)
	scraped, err := selected(t, target, "", "core.uptime").Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkSamples(t, scraped.Set,
		"core_uptime_uptime_total[] 42",
		"exporter_collector_success[core.uptime] 1",
		"exporter_failed_scrapes[] 0",
		"exporter_total_scrapes[] 1",
		"up[] 1",
	)
	if calls := client.asked(); len(calls) != 1 || len(calls[0]) != 1 {
		t.Errorf("calls %v", calls)
	}
}

// TestPollsOfATargetRunOneAfterAnother has scrapes with two selections arrive while a poll of the first one runs.
func TestPollsOfATargetRunOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := uptimeAnswer
		slow.after = time.Second
		client := &script{answers: map[string]answer{"core.uptime": slow, "tm.stats": tmAnswer, "sl.stats": {records: []any{1}}}}
		target, _ := newModulesTarget(t, client)
		type result struct {
			set  *metric.Set
			err  error
			took time.Duration
		}
		results := make(chan result, 8)
		start := time.Now()
		scrape := func(module string) {
			scraped, err := selected(t, target, module).Scrape(t.Context())
			results <- result{scraped.Set, err, time.Since(start)}
		}
		for _, module := range []string{"fast", "fast", "slow", "slow", "slow"} {
			go scrape(module)
			synctest.Wait()
		}
		sets := map[*metric.Set]int{}
		busy := 0
		for range 5 {
			r := <-results
			if errors.Is(r.err, ErrBusy) {
				busy++
				continue
			}
			if r.err != nil || r.took != time.Second {
				t.Errorf("a scrape ended after %v with error %v", r.took, r.err)
			}
			sets[r.set]++
		}
		if len(sets) != 2 || busy != 1 || len(client.asked()) != 2 {
			t.Errorf("%d polls served %v; %d scrapes found the target busy, want 1; calls %v", len(sets), sets, busy, client.asked())
		}
	})
}

// TestScrapeThatGetsNoTurnIsNotDown has the time of two scrapes pass while another poll runs. The poll that they waited for is
// not made.
func TestScrapeThatGetsNoTurnIsNotDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer}} // no reply to sl.stats
		target, _ := newModulesTarget(t, client)
		go func() { _, _ = selected(t, target, "fast").Scrape(t.Context()) }()
		synctest.Wait()
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := selected(t, target, "slow").Scrape(ctx); !errors.Is(err, ErrNoTurn) {
				t.Errorf("error %v, want %v", err, ErrNoTurn)
			}
		}
		time.Sleep(time.Minute) // of synctest
		if calls := client.asked(); len(calls) != 1 || target.queued != 0 || len(target.queue) != 0 {
			t.Errorf("calls %v; %d scrapes wait for %d polls", calls, target.queued, len(target.queue))
		}
	})
}

// TestProblemIsLoggedOnceAlthoughOtherModulesWork alternates polls of a module that fails, of one that works, and of one method.
func TestProblemIsLoggedOnceAlthoughOtherModulesWork(t *testing.T) {
	client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer, "sl.stats": {err: notFound}, "tm.stats": {err: notFound}}}
	target, log := newModulesTarget(t, client)
	for range 3 {
		for _, selection := range []Selection{selected(t, target, "fast"), selected(t, target, "slow"), selected(t, target, "fast", "core.uptime")} {
			if _, err := selection.Scrape(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "target=sbc1") {
		t.Errorf("want a line for each module, the log is\n%s", text)
	}
	log.Reset()
	client.answers["sl.stats"] = answer{records: []any{1}}
	if _, err := selected(t, target, "fast", "core.uptime").Scrape(t.Context()); err != nil || log.String() != "" {
		t.Errorf("error %v; the log is\n%s", err, log)
	}
}

// TestHintsNameKeysOfTheFile has a target of the configuration file, whose users know no flags.
func TestHintsNameKeysOfTheFile(t *testing.T) {
	target, log := newModulesTarget(t, &script{answers: map[string]answer{"tm.stats": {err: notFound}}})
	if _, err := selected(t, target, "slow").Scrape(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "methods of module slow") || strings.Contains(text, "--kamailio") {
		t.Errorf("the log is\n%s", text)
	}
}

// TestScrapeErrorHasTheReason checks that all reasons exist, and that one of them is 1 if Kamailio is down and none otherwise.
func TestScrapeErrorHasTheReason(t *testing.T) {
	for name, test := range map[string]struct {
		answer answer
		want   string
	}{
		"up":                   {uptimeAnswer, ""},
		"a fault is a reply":   {answer{err: hostileFault}, ""},
		"the reply is too old": {answer{err: context.DeadlineExceeded}, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			target, _ := newTestTarget(t, &script{answers: map[string]answer{"core.uptime": test.answer}}, testOptions{Named: named(t, "core.uptime")})
			reasons := map[string]float64{}
			for _, family := range scraped(t.Context(), target).Families() {
				for i := range family.Len() {
					if value, labels := family.Sample(i); family.Desc == scrapeError {
						reasons[labels[0]] = value
					}
				}
			}
			if len(reasons) != len(hint.Reasons) {
				t.Errorf("reasons %v, want %v", reasons, hint.Reasons)
			}
			for reason, got := range reasons {
				if got != value(reason == test.want) {
					t.Errorf("reason %s is %v", reason, got)
				}
			}
		})
	}
}

// TestStory has a poll with a reply, a fault and a text that a terminal would act on.
func TestStory(t *testing.T) {
	reply := answer{err: hostileFault}
	client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer, "sl.stats": reply}, connection: 1}
	target, _ := newModulesTarget(t, client)
	plain, err := selected(t, target, "").Scrape(t.Context())
	if err != nil || plain.Story != "" || plain.Details != nil {
		t.Errorf("error %v; a scrape without debug has the story\n%s", err, plain.Story)
	}
	scraped, err := selected(t, target, "").Debug().Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Target: sbc1\nURI: unix:/no/such/ctl\nModule: fast\n", "Methods: all of the module\n",
		"connection: kept from an earlier poll\n",
		"  core.uptime: ",
		"  sl.stats: ",
		`error: Kamailio replied with fault 500: \x1b[2J\u202e` + strings.Repeat("x", 900),
	} {
		if !strings.Contains(scraped.Story, want) {
			t.Errorf("%q is not in the story:\n%s", want, scraped.Story)
		}
	}
	for line := range strings.Lines(scraped.Story) {
		if len(line) > 2*maxQuoted {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	checkDetails(t, scraped.Details)
}

// checkDetails checks the details of the poll of TestStory.
func checkDetails(t *testing.T, d *Details) {
	t.Helper()
	if d.Reason != "" || len(d.Problems) != 1 || !slices.Equal(d.Problems[0].Collectors, []string{"sl.stats"}) || !strings.Contains(d.Problems[0].Err.Error(), "fault 500") {
		t.Errorf("the reason is %q, the problems are %v", d.Reason, d.Problems)
	}
	var methods []string
	for _, method := range d.Methods {
		methods = append(methods, method.Method)
		if method.Took <= 0 {
			t.Errorf("%s took %v", method.Method, method.Took)
		}
	}
	if !slices.Equal(methods, []string{"core.uptime", "sl.stats"}) {
		t.Errorf("the methods are %q", methods)
	}
}

// TestStoryOfAnOutage has no Kamailio.
func TestStoryOfAnOutage(t *testing.T) {
	target := NewTarget(&config.Target{
		Name: "sbc1", URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/no/such/ctl"},
		Modules: []*config.Module{{Name: "default", Timeout: time.Second, Auto: true}},
	}, slog.New(slog.DiscardHandler))
	defer target.Close()
	scraped, err := selected(t, target, "").Debug().Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  system.listMethods: no list\n", "no method was called", "error: dial unix /no/such/ctl", "hint: there is no such socket", "uri of target sbc1"} {
		if !strings.Contains(scraped.Story, want) {
			t.Errorf("%q is not in the story:\n%s", want, scraped.Story)
		}
	}
	d := scraped.Details
	if d.Reason != "no_socket" || len(d.Methods) != 0 || len(d.Problems) != 1 || !strings.Contains(d.Problems[0].Hint, "uri of target sbc1") {
		t.Errorf("the details are %+v", d)
	}
}

// TestStoryDoesNotRepeatAHint has three errors, the first two of which have the same hint.
func TestStoryDoesNotRepeatAHint(t *testing.T) {
	s := &story{setting: func(key string) string { return key }}
	s.problem(io.EOF, "check a")
	s.problem(io.ErrUnexpectedEOF, "check a")
	s.problem(io.EOF, "check b")
	const want = "    error: EOF\n    hint: check a\n    error: unexpected EOF\n    error: EOF\n    hint: check b\n"
	if s.String() != want {
		t.Errorf("got\n%swant\n%s", s, want)
	}
}

// hostileFault has a text that a terminal would act on.
var hostileFault = &rpc.Fault{Code: 500, Reason: "\x1b[2J\u202e" + strings.Repeat("x", 2000)}
