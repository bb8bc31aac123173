package scrape

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// script is a Client with the replies, and their times, that a test sets. The live
// tests use a real Kamailio.
type script struct {
	methods    []string
	methodsErr error
	// methodsHang is true if the server never lists its methods.
	methodsHang bool
	// answers are by method. A method without one never gets a reply.
	answers map[string]answer
	// connection is what Connection returns. If reconnects is true, each batch has a new one.
	connection uint64
	reconnects bool

	mu      sync.Mutex
	batches [][]string
}

type answer struct {
	after   time.Duration // since the previous one
	records []any
	err     error
}

func (s *script) Methods(ctx context.Context) ([]string, bool, error) {
	if s.methodsHang {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	_, fault := errors.AsType[*rpc.Fault](s.methodsErr)
	return s.methods, fault, s.methodsErr
}

func (s *script) Close() error { return nil }

func (s *script) Connection() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connection
}

func (s *script) PeerPID() int { return 0 }

func (s *script) Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	return func(yield func(int, rpc.Reply) bool) {
		var batch []string
		for _, call := range calls {
			batch = append(batch, call.Method)
		}
		s.mu.Lock()
		s.batches = append(s.batches, batch)
		if s.reconnects {
			s.connection++
		}
		s.mu.Unlock()
		for i, call := range calls {
			if !yield(i, s.answer(ctx, call)) {
				return
			}
		}
	}
}

func (s *script) answer(ctx context.Context, call rpc.Call) rpc.Reply {
	a, ok := s.answers[call.Method]
	if !ok {
		<-ctx.Done()
		return rpc.Reply{Err: ctx.Err()}
	}
	select {
	case <-time.After(a.after):
	case <-ctx.Done():
		return rpc.Reply{Err: ctx.Err()}
	}
	_, fault := errors.AsType[*rpc.Fault](a.err)
	if a.err != nil && !fault {
		return rpc.Reply{Err: a.err}
	}
	value, err := rpc.ValueOf(a.records...)
	if err != nil || fault {
		return rpc.Reply{Err: errors.Join(err, a.err), Received: time.Now()}
	}
	return rpc.Reply{Value: value, Received: time.Now()}
}

func (s *script) asked() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

var (
	uptimeAnswer = answer{records: []any{rpc.Members{{Name: "uptime", Value: 42}}}}
	tmAnswer     = answer{records: []any{rpc.Members{{Name: "current", Value: 7}}}}
	notFound     = &rpc.Fault{Code: 500, Reason: "command x not found"}
)

func named(t *testing.T, methods ...string) []*collector.Collector {
	t.Helper()
	all, err := collector.Select(methods)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// logBuffer is a log that tests can read while polls write to it.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) Len() int { return len(b.String()) }

func (b *logBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// testOptions are the settings of a target that tests change.
type testOptions struct {
	URI         string // "unix:/no/such/kamailio_ctl" if empty
	Auto        bool
	Named       []*collector.Collector
	Settings    collector.Settings
	UserMetrics *xhttpprom.Client
	Timeout     time.Duration // 5 s if 0
	Host        config.Host   // nothing is read if empty
}

func newTestTarget(tb testing.TB, client Client, options testOptions) (*Target, *logBuffer) {
	tb.Helper()
	log := &logBuffer{}
	uri, err := dial.ParseTarget(cmp.Or(options.URI, "unix:/no/such/kamailio_ctl"))
	if err != nil {
		tb.Fatal(err)
	}
	module := &config.Module{Timeout: cmp.Or(options.Timeout, 5*time.Second), Auto: options.Auto, Named: options.Named, Settings: options.Settings, Host: options.Host}
	cfg := &config.Target{URI: uri, Modules: []*config.Module{module}, XHTTPProm: options.UserMetrics}
	target := newTarget(client, cfg, slog.New(slog.NewTextHandler(log, nil)))
	tb.Cleanup(func() {
		if err := target.Close(); err != nil {
			tb.Error(err)
		}
	})
	return target, log
}

// scrapeTarget scrapes the default module of a target.
func scrapeTarget(ctx context.Context, target *Target) (found *metric.Set, release func()) {
	selection, err := target.Select("", nil)
	if err != nil {
		panic(err)
	}
	scraped, err := selection.Scrape(ctx)
	if err != nil {
		return metric.NewSet(), func() {}
	}
	return scraped.Set, scraped.Release
}

// scraped returns the samples of a scrape, which it does not release.
func scraped(ctx context.Context, target *Target) *metric.Set {
	found, _ := scrapeTarget(ctx, target)
	return found
}

// samples returns the samples of the set whose names have one of the prefixes, without
// durations, timeouts and reasons.
func samples(set *metric.Set, prefixes ...string) string {
	hidden := []*metric.Desc{collectorDuration, scrapeDuration, scrapeTimeout, scrapeError}
	var b strings.Builder
	for _, family := range set.Families() {
		if slices.Contains(hidden, family.Desc) || !slices.ContainsFunc(prefixes, func(prefix string) bool {
			return strings.HasPrefix(family.Desc.Name, prefix)
		}) {
			continue
		}
		var lines []string
		for i := range family.Len() {
			value, labels := family.Sample(i)
			lines = append(lines, fmt.Sprintf("%s%v %v\n", strings.TrimPrefix(family.Desc.Name, "kamailio_"), labels, value))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

func checkSamples(t *testing.T, set *metric.Set, want ...string) {
	t.Helper()
	if got, want := samples(set, "kamailio_"), strings.Join(want, "\n")+"\n"; got != want {
		t.Errorf("samples\n%swant\n%s", got, want)
	}
}

func TestFailureOfOneMethodFailsOneCollector(t *testing.T) {
	client := &script{answers: map[string]answer{
		"core.uptime": uptimeAnswer,
		"tm.stats":    {err: notFound},
	}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "tm.stats", "core.uptime")})
	checkSamples(t, scraped(t.Context(), target),
		"core_uptime_uptime_total[] 42",
		"exporter_collector_success[core.uptime] 1",
		"exporter_collector_success[tm.stats] 0",
		"exporter_failed_scrapes[] 1",
		"exporter_total_scrapes[] 1",
		"up[] 1",
	)
	if text := log.String(); !strings.Contains(text, "collectors=tm.stats") || !strings.Contains(text, "load the Kamailio module") {
		t.Errorf("log %s", text)
	}
}

func TestEmptyDispatcherIsASuccess(t *testing.T) {
	client := &script{answers: map[string]answer{"dispatcher.list": {err: &rpc.Fault{Code: 500, Reason: "No Destination Sets"}}}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "dispatcher.list")})
	checkSamples(t, scraped(t.Context(), target),
		"exporter_collector_success[dispatcher.list] 1",
		"exporter_failed_scrapes[] 0",
		"exporter_total_scrapes[] 1",
		"up[] 1",
	)
	if log.Len() > 0 {
		t.Errorf("log %s", log)
	}
}

func TestAuto(t *testing.T) {
	tests := []struct {
		name   string
		client *script
		uri    string
		named  []string
		asked  []string
		want   []string
	}{
		{
			name:   "methods of BINRPC only over JSON-RPC",
			client: &script{methods: []string{"tm.stats", "core.uptime", "ctl.connections", "rl.get_pipes", "dns.mem_info"}},
			uri:    "http://127.0.0.1:5060/RPC",
			asked:  []string{"core.uptime", "tm.stats"},
			want:   []string{"exporter_collector_success[core.uptime] 1", "exporter_collector_success[tm.stats] 1", "exporter_failed_scrapes[] 0"},
		},
		{
			name:   "methods of the server",
			client: &script{methods: []string{"tm.stats", "core.uptime", "core.kill", "dlg.stats_active"}},
			asked:  []string{"core.uptime", "tm.stats"},
			want:   []string{"exporter_collector_success[core.uptime] 1", "exporter_collector_success[tm.stats] 1", "exporter_failed_scrapes[] 0"},
		},
		{
			name:   "with a named method",
			client: &script{methods: []string{"core.uptime"}},
			named:  []string{"tm.stats"},
			asked:  []string{"core.uptime", "tm.stats"},
			want:   []string{"exporter_collector_success[core.uptime] 1", "exporter_collector_success[tm.stats] 1", "exporter_failed_scrapes[] 0"},
		},
		{
			name:   "a server that does not list its methods",
			client: &script{methodsErr: &rpc.Fault{Code: 500, Reason: "buffer overflow"}},
			asked:  autoMethods(),
			want:   []string{"exporter_collector_success[core.uptime] 1", "exporter_collector_success[tm.stats] 1", "exporter_failed_scrapes[] 0"},
		},
	}
	for _, methodsErr := range []error{dial.ErrNoMethods, &rpc.LimitError{}} {
		tests = append(tests, tests[len(tests)-1])
		last := &tests[len(tests)-1]
		last.name, last.client = methodsErr.Error(), &script{methodsErr: methodsErr}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.client.answers = map[string]answer{}
			for _, c := range collector.All {
				test.client.answers[c.Method] = answer{err: notFound}
			}
			test.client.answers["core.uptime"], test.client.answers["tm.stats"] = uptimeAnswer, tmAnswer
			target, _ := newTestTarget(t, test.client, testOptions{Auto: true, URI: test.uri, Named: named(t, test.named...)})
			set, _ := scrapeTarget(t.Context(), target)
			if got := test.client.asked()[0]; !slices.Equal(got, test.asked) {
				t.Errorf("called %v, want %v", got, test.asked)
			}
			got := samples(set, "kamailio_exporter_collector", "kamailio_exporter_failed")
			if want := strings.Join(test.want, "\n") + "\n"; got != want {
				t.Errorf("samples\n%swant\n%s", got, want)
			}
		})
	}
}

// autoMethods returns the methods that auto can call.
func autoMethods() []string {
	var methods []string
	for _, c := range collector.All {
		for range c.Calls(collector.Settings{}) {
			if c.Auto {
				methods = append(methods, c.Method)
			}
		}
	}
	return methods
}

func TestNoKamailio(t *testing.T) {
	client := &script{methodsErr: errors.New("dial unix: no such file")}
	target, _ := newTestTarget(t, client, testOptions{Auto: true})
	checkSamples(t, scraped(t.Context(), target),
		"exporter_failed_scrapes[] 1",
		"exporter_total_scrapes[] 1",
		"up[] 0",
	)
}

// TestServerThatNeverListsItsMethods has a server reply to all calls except
// system.listMethods.
func TestServerThatNeverListsItsMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &script{methodsHang: true, answers: map[string]answer{}}
		for _, c := range collector.All {
			client.answers[c.Method] = answer{err: notFound}
		}
		client.answers["core.uptime"] = uptimeAnswer
		target, _ := newTestTarget(t, client, testOptions{Auto: true})
		start := time.Now()
		checkSamples(t, scraped(t.Context(), target),
			"core_uptime_uptime_total[] 42",
			"exporter_collector_success[core.uptime] 1",
			"exporter_failed_scrapes[] 0",
			"exporter_total_scrapes[] 1",
			"up[] 1",
		)
		if took := time.Since(start); took != 2250*time.Millisecond {
			t.Errorf("the scrape took %v", took)
		}
	})
}

// TestFaultInsteadOfMethodListIsAReply has a server reply to system.listMethods with a
// fault, and to no other call.
func TestFaultInsteadOfMethodListIsAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, _ := newTestTarget(t, &script{methodsErr: notFound}, testOptions{Auto: true})
		if got := samples(scraped(t.Context(), target), "kamailio_up"); got != "up[] 1\n" {
			t.Errorf("samples %s", got)
		}
	})
}

func TestNoTimeToListMethods(t *testing.T) {
	target, log := newTestTarget(t, &script{methodsErr: context.Canceled}, testOptions{Auto: true})
	scraped(t.Context(), target).Families()
	if text := log.String(); !strings.Contains(text, "no reply arrived in time") || !strings.Contains(text, "did not reply in time") {
		t.Errorf("log %s", text)
	}
}

func TestConcurrentScrapesShareAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := tmAnswer
		slow.after = time.Second
		client := &script{answers: map[string]answer{"tm.stats": slow}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "tm.stats")})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				checkSamples(t, scraped(t.Context(), target),
					"exporter_collector_success[tm.stats] 1",
					"exporter_failed_scrapes[] 0",
					"exporter_total_scrapes[] 1",
					"tm_stats_current[] 7",
					"up[] 1",
				)
			})
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("100 scrapes took %v", took)
		}
		if asked := client.asked(); len(asked) != 1 {
			t.Errorf("%d batches were sent, want 1", len(asked))
		}
		scrapeTarget(t.Context(), target)
		if asked := client.asked(); len(asked) != 2 {
			t.Errorf("%d batches were sent, want 2: a later scrape shared a poll that had ended", len(asked))
		}
	})
}

// TestEachScrapeHasItsOwnDeadline has two scrapes share a poll in which one method
// hangs. The impatient one gets the replies that have arrived, and the other one still
// gets all.
func TestEachScrapeHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := tmAnswer
		late.after = 2 * time.Second
		client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer, "tm.stats": late}}
		target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats", "dispatcher.list")})
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			set, _ := scrapeTarget(ctx, target)
			if took := time.Since(start); took != time.Second {
				t.Errorf("the impatient scrape took %v", took)
			}
			checkSamples(t, set,
				"core_uptime_uptime_total[] 42",
				"exporter_collector_success[core.uptime] 1",
				"exporter_failed_scrapes[] 0",
				"exporter_total_scrapes[] 0",
				"up[] 1",
			)
		})
		wg.Go(func() {
			set, _ := scrapeTarget(t.Context(), target)
			if took := time.Since(start); took != 4500*time.Millisecond {
				t.Errorf("the patient scrape took %v", took)
			}
			checkSamples(t, set,
				"core_uptime_uptime_total[] 42",
				"exporter_collector_success[core.uptime] 1",
				"exporter_collector_success[dispatcher.list] 0",
				"exporter_collector_success[tm.stats] 1",
				"exporter_failed_scrapes[] 1",
				"exporter_total_scrapes[] 1",
				"tm_stats_current[] 7",
				"up[] 1",
			)
		})
		wg.Wait()
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "collectors=dispatcher.list") || !strings.Contains(text, "did not reply in time") {
			t.Errorf("log %s", text)
		}
	})
}

// TestKamailioThatDoesNotReply has a scrape wait as long as a poll takes.
func TestKamailioThatDoesNotReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, log := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // as long as the poll
		defer cancel()
		checkSamples(t, scraped(ctx, target),
			"exporter_collector_success[core.uptime] 0",
			"exporter_failed_scrapes[] 1",
			"exporter_total_scrapes[] 1",
			"up[] 0",
		)
		if !strings.Contains(log.String(), "no reply arrived in time") {
			t.Errorf("log %s", log)
		}
	})
}

func TestOnlyNewProblemsAreLogged(t *testing.T) {
	client := &script{answers: map[string]answer{"core.uptime": {err: notFound}}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
	lines := func() (n int) {
		n = strings.Count(log.String(), "\n")
		log.Reset()
		return n
	}
	for i, want := range []int{1, 0, 0} {
		if scrapeTarget(t.Context(), target); lines() != want {
			t.Errorf("scrape %d did not log %d lines", i, want)
		}
	}
	client.answers["core.uptime"] = answer{err: errors.New("connection reset")}
	if scrapeTarget(t.Context(), target); lines() != 1 {
		t.Error("another problem was not logged")
	}
	client.answers["core.uptime"] = uptimeAnswer
	if scrapeTarget(t.Context(), target); !strings.Contains(log.String(), "works again") {
		t.Errorf("log %s", log)
	}
}

// TestSameProblemIsLoggedOnce has errors whose texts differ each time.
func TestSameProblemIsLoggedOnce(t *testing.T) {
	source := func(name string) net.Addr { return &net.UnixAddr{Name: name, Net: "unixgram"} }
	for name, errs := range map[string][2]error{
		"addresses": {
			&net.OpError{Op: "dial", Source: source("@1"), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
			&net.OpError{Op: "dial", Source: source("@2"), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		},
		"durations": {&binrpc.StallError{After: 1}, &binrpc.StallError{After: 2}},
		"cookies":   {fmt.Errorf("%w: 1", binrpc.ErrOutOfStep), fmt.Errorf("%w: 2", binrpc.ErrOutOfStep)},
		"words":     {&rpc.Fault{Code: 500, Reason: "try 1"}, &rpc.Fault{Code: 500, Reason: "try 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			client := &script{answers: map[string]answer{"core.uptime": {err: errs[0]}}}
			target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
			scrapeTarget(t.Context(), target)
			client.answers["core.uptime"] = answer{err: errs[1]}
			scrapeTarget(t.Context(), target)
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d lines: %s", n, log)
			}
		})
	}
}

// TestDifferentFaultsAreDifferentProblems has two methods fail for reasons with
// different hints.
func TestDifferentFaultsAreDifferentProblems(t *testing.T) {
	client := &script{answers: map[string]answer{
		"core.uptime": {err: notFound},
		"tm.stats":    {err: &rpc.Fault{Code: 500, Reason: "Internal error adding to struct rpc"}},
	}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats")})
	scrapeTarget(t.Context(), target)
	text := log.String()
	if strings.Count(text, "level=ERROR") != 2 || !strings.Contains(text, "load the Kamailio module") || !strings.Contains(text, "binrpc_struct_max_body_size") {
		t.Errorf("log %s", text)
	}
}

func TestLongTextsOfAServerAreCutInTheLog(t *testing.T) {
	long := strings.Repeat("\xff", 1_000_000)
	client := &script{answers: map[string]answer{
		"core.uptime": {records: []any{rpc.Members{{Name: "uptime", Value: 3}, {Name: long, Value: 1}}}},
		"tm.stats":    {err: &rpc.Fault{Code: 500, Reason: long}},
	}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats")})
	scrapeTarget(t.Context(), target)
	if log.Len() > 4000 {
		t.Errorf("the log has %d bytes", log.Len())
	}
}

func TestDroppedFieldsAreCountedAndLoggedOnce(t *testing.T) {
	odd := answer{records: []any{rpc.Members{{Name: "uptime", Value: 3}, {Name: "from_the_future", Value: 1}, {Name: "another", Value: 2}}}}
	client := &script{answers: map[string]answer{"core.uptime": odd}}
	target, log := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
	scrapeTarget(t.Context(), target)
	set, _ := scrapeTarget(t.Context(), target)
	if got, want := samples(set, "kamailio_exporter_skipped"), "exporter_skipped_total[core.uptime unknown_field] 4\n"; got != want {
		t.Errorf("samples %s, want %s", got, want)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "example=from_the_future") {
		t.Errorf("log %s", text)
	}
}

func TestDurationsOfCollectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := uptimeAnswer, tmAnswer
		first.after, second.after = time.Second, 2*time.Second
		client := &script{answers: map[string]answer{"core.uptime": first, "tm.stats": second}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime", "tm.stats")})
		got := map[string]float64{}
		for _, family := range scraped(t.Context(), target).Families() {
			for i := range family.Len() {
				if value, labels := family.Sample(i); family.Desc == collectorDuration {
					got[labels[0]] = value
				}
			}
		}
		if got["core.uptime"] != 1 || got["tm.stats"] != 2 {
			t.Errorf("durations %v", got)
		}
	})
}

// TestSecondBatch has a collector that needs other calls after the reply to its first
// one.
func TestSecondBatch(t *testing.T) {
	client := &script{answers: map[string]answer{
		"core.uptime": uptimeAnswer,
		"stats.fetch": {err: &rpc.Fault{Code: 500, Reason: "Internal error"}},
	}}
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "stats.fetch", "core.uptime")})
	scrapeTarget(t.Context(), target)
	asked := client.asked()
	if len(asked) != 2 || !slices.Equal(asked[0], []string{"core.uptime", "stats.fetch"}) {
		t.Fatalf("batches %v", asked)
	}
	for _, method := range asked[1] {
		if method != "stats.get_statistics" {
			t.Errorf("the second batch has %v", asked[1])
		}
	}
}

// TestUserMetrics gets the metrics of a routing script.
func TestUserMetrics(t *testing.T) {
	const page = "kamailio_calls_total 3 1\nkamailio_tm_stats_current 9 1\ngo_x 1 1\nnot a metric\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
	defer server.Close()
	client, err := xhttpprom.NewClient(server.URL, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	options := testOptions{Named: named(t, "tm.stats"), UserMetrics: client}
	target, log := newTestTarget(t, &script{answers: map[string]answer{"tm.stats": tmAnswer}}, options)
	set, _ := scrapeTarget(t.Context(), target)
	checkSamples(t, set,
		"exporter_collector_success[tm.stats] 1",
		"exporter_collector_success[xhttp_prom] 1",
		"exporter_failed_scrapes[] 0",
		"exporter_skipped_total[xhttp_prom bad_value] 1",
		"exporter_skipped_total[xhttp_prom duplicate] 2",
		"exporter_total_scrapes[] 1",
		"tm_stats_current[] 7",
		"up[] 1",
	)
	families, err := set.Gather()
	if err != nil {
		t.Fatal(err)
	}
	last := families[len(families)-1]
	if last.GetName() != "kamailio_calls_total" || last.GetMetric()[0].GetCounter().GetValue() != 3 {
		t.Errorf("the last family is %v", last)
	}

	server.Close()
	set, _ = scrapeTarget(t.Context(), target)
	if got, want := samples(set, "kamailio_exporter_collector", "kamailio_up"), "exporter_collector_success[tm.stats] 1\nexporter_collector_success[xhttp_prom] 0\nup[] 1\n"; got != want {
		t.Errorf("samples\n%swant\n%s", got, want)
	}
	if !strings.Contains(log.String(), "prom_dispatch()") || strings.Contains(log.String(), "ctl.so") {
		t.Errorf("log %s", log)
	}
}
