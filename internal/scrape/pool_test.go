package scrape

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/xhttpprom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

func TestBudgetAndWait(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		0:                0,
		time.Millisecond: 900 * time.Microsecond,
		time.Second:      900 * time.Millisecond,
		5 * time.Second:  4500 * time.Millisecond,
		time.Minute:      59500 * time.Millisecond,
	} {
		if got := budget(limit); got != want {
			t.Errorf("the budget of %v is %v, want %v", limit, got, want)
		}
	}
	selection := Selection{pollKey: pollKey{module: &targetModule{Module: &config.Module{Timeout: 5 * time.Second}}}}
	for patience, want := range map[time.Duration]time.Duration{
		-time.Second:    4500 * time.Millisecond,
		0:               4500 * time.Millisecond, // not known
		time.Second:     900 * time.Millisecond,
		5 * time.Second: 4500 * time.Millisecond,
		time.Hour:       4500 * time.Millisecond,
	} {
		if got := selection.Wait(patience); got != want {
			t.Errorf("a scraper that waits %v: Wait is %v, want %v", patience, got, want)
		}
	}
}

// TestPoolPollsItsDefaultTarget makes a pool as the program does, from flags.
func TestPoolPollsItsDefaultTarget(t *testing.T) {
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) { return uptimeAnswer.records, nil })
	defer server.Close()
	cfg, err := config.Parse([]string{"-u", server.URI, "-m", "core.uptime", "-t", "1m"})
	if err != nil {
		t.Fatal(err)
	}
	pool := NewPool(cfg, slog.New(slog.DiscardHandler))
	checkSamples(t, scraped(t.Context(), pool.Default()),
		"core_uptime_uptime_total[] 42",
		"exporter_collector_success[core.uptime] 1",
		"exporter_failed_scrapes[] 0",
		"exporter_total_scrapes[] 1",
		"up[] 1",
	)
	for range 2 { // Close may be called again
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
	checkClosed(t, pool.Default())
}

// checkClosed checks that a closed target cannot be scraped.
func checkClosed(t *testing.T, target *Target) {
	t.Helper()
	selection, err := target.Select("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := selection.Scrape(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a scrape of a closed target: error %v, want %v", err, ErrClosed)
	}
}

// TestCloseReturnsErrorsOfAllTargets has a pool of two targets whose sources cannot be closed.
func TestCloseReturnsErrorsOfAllTargets(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	pool, all := NewPool(&config.Config{}, slog.New(slog.DiscardHandler)), &targets{named: map[string]*Target{}}
	pool.current.Store(all)
	for _, err := range []error{first, second} {
		target, _ := newTestTarget(t, &script{}, testOptions{})
		source := &stubSource{closeErr: err}
		target.modules[0].sources = append(target.modules[0].sources, source)
		target.cfg.Name = err.Error()
		all.configs = append(all.configs, target.cfg)
		all.named[target.cfg.Name] = target
		t.Cleanup(func() { source.closeErr = nil }) // before the target is closed again
	}
	if err := pool.Close(); !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("error %v, want both", err)
	}
}

// stubSource has Fetches that end when their context does.
type stubSource struct {
	started  chan struct{}
	mu       sync.Mutex
	running  bool
	closed   bool
	closeErr error
	t        *testing.T
}

func (s *stubSource) Begin([]string) Fetch { return s }

func (s *stubSource) Run(ctx context.Context) {
	s.setRunning(true)
	close(s.started)
	<-ctx.Done()
	time.Sleep(time.Second) // of synctest
	s.setRunning(false)
}

func (s *stubSource) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

func (*stubSource) Result() (Result, int) { return pageResult{}, 0 }

func (s *stubSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.t.Error("a source was closed while its Fetch was running")
	}
	s.closed = true
	return s.closeErr
}

// TestCloseWaitsForThePoll has a scrape wait for a source that takes a second to stop.
func TestCloseWaitsForThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, log := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		source := &stubSource{started: make(chan struct{}), t: t}
		target.modules[0].sources = append(target.modules[0].sources, source)
		got := make(chan string)
		go func() {
			set, release := scrapeTarget(t.Context(), target)
			defer release()
			got <- samples(set, "")
		}()
		<-source.started
		start := time.Now()
		closed := make(chan error)
		go func() { closed <- target.Close() }()
		if text := <-got; text != "" {
			t.Errorf("the scrape of a target that was closed has samples:\n%s", text)
		}
		if err := <-closed; err != nil || !source.closed || time.Since(start) != time.Second {
			t.Errorf("Close returned %v after %v, the source is closed: %t", err, time.Since(start), source.closed)
		}
		checkClosed(t, target)
		if log.Len() > 0 || target.report.ended != 0 {
			t.Errorf("%d polls were counted, the log is %s", target.report.ended, log)
		}
	})
}

// TestNoPollStartsWhileTargetIsClosed scrapes and closes a target at the same time, for the race detector.
func TestNoPollStartsWhileTargetIsClosed(t *testing.T) {
	for range 100 {
		target, _ := newTestTarget(t, &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}, testOptions{Named: named(t, "core.uptime")})
		var scrapes sync.WaitGroup
		for range 4 {
			scrapes.Go(func() {
				set, release := scrapeTarget(t.Context(), target)
				defer release()
				if got := samples(set, "kamailio_up"); got != "" && got != "up[] 1\n" {
					t.Errorf("samples %s", got)
				}
			})
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
		scrapes.Wait()
		checkClosed(t, target)
	}
}

// TestCloseClosesConnectionOfPage waits until the server of an xhttp_prom page has no connection any more.
func TestCloseClosesConnectionOfPage(t *testing.T) {
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "kamailio_calls 1\n") }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	defer server.Close()
	client, err := xhttpprom.NewClient(server.URL, &http.Client{Transport: &http.Transport{}})
	if err != nil {
		t.Fatal(err)
	}
	target, _ := newTestTarget(t, &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}, testOptions{Named: named(t, "core.uptime"), UserMetrics: client})
	if got, want := samples(scraped(t.Context(), target), "kamailio_exporter_collector"), "exporter_collector_success[core.uptime] 1\nexporter_collector_success[xhttp_prom] 1\n"; got != want {
		t.Errorf("samples\n%swant\n%s", got, want)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	<-closed
}
