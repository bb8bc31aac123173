package scrape

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// countedServer is a server that counts its connections. If wait is not nil, each reply waits until it is closed.
func countedServer(t *testing.T, wait chan struct{}) (uri string, connections *atomic.Int32, asked chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections, asked = &atomic.Int32{}, make(chan struct{}, 100)
	server := binrpctest.NewUnstartedServer(func(ctx context.Context, _ rpc.Call) ([]any, error) {
		asked <- struct{}{}
		if wait != nil {
			select {
			case <-wait:
			case <-ctx.Done():
			}
		}
		return uptimeAnswer.records, nil
	})
	done := make(chan error, 1)
	go func() { done <- server.Serve(&countingListener{listener, connections}) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "tcp://" + listener.Addr().String(), connections, asked
}

type countingListener struct {
	net.Listener
	connections *atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.connections.Add(1)
	}
	return conn, err
}

// fleetTimeout is the timeout of the targets of fleetTarget.
const fleetTimeout = time.Minute

// fleetTarget returns the configuration of a target that calls core.uptime.
func fleetTarget(t *testing.T, name, uri string, maxSeries int) *config.Target {
	t.Helper()
	parsed, err := dial.ParseTarget(uri)
	if err != nil {
		t.Fatal(err)
	}
	module := &config.Module{Name: "default", Timeout: fleetTimeout, Named: named(t, "core.uptime")}
	module.Settings.MaxSeries = maxSeries
	return &config.Target{Name: name, URI: parsed, Modules: []*config.Module{module}}
}

func total(t *testing.T, target *Target) string {
	t.Helper()
	scraped, err := selected(t, target, "").Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer scraped.Release()
	return samples(scraped.Set, "kamailio_exporter_total_scrapes")
}

// TestReloadKeepsUnchangedTargets checks that a target keeps its connection and its counters if only its labels change or other
// targets do.
func TestReloadKeepsUnchangedTargets(t *testing.T) {
	uri, connections, _ := countedServer(t, nil)
	other, otherConnections, _ := countedServer(t, nil)
	first := &config.Config{Targets: []*config.Target{fleetTarget(t, "kept", uri, 10), fleetTarget(t, "changed", other, 10), fleetTarget(t, "removed", other, 10)}}
	pool := NewPool(first, slog.New(slog.DiscardHandler))
	defer pool.Close()
	for _, target := range first.Targets {
		total(t, pool.Target(target.Name))
	}
	removed := pool.Target("removed")
	kept := fleetTarget(t, "kept", uri, 10)
	kept.Labels = map[string]string{"site": "ams"}
	pool.Reload(&config.Config{Targets: []*config.Target{fleetTarget(t, "changed", other, 11), kept, fleetTarget(t, "added", other, 10)}})
	if got := total(t, pool.Target("kept")); got != "exporter_total_scrapes[] 2\n" || connections.Load() != 1 {
		t.Errorf("the unchanged target has %d connections and %s", connections.Load(), got)
	}
	if got := total(t, pool.Target("changed")); got != "exporter_total_scrapes[] 1\n" {
		t.Errorf("the changed target has %s", got)
	}
	if got := total(t, pool.Target("added")); got != "exporter_total_scrapes[] 1\n" || otherConnections.Load() != 4 {
		t.Errorf("the new target has %s; %d connections in total, want 4", got, otherConnections.Load())
	}
	if pool.Target("removed") != nil || pool.Len() != 3 || pool.Configs()[1].Labels["site"] != "ams" {
		t.Errorf("the targets are %+v", pool.Configs())
	}
	pool.retired.Wait()
	checkClosed(t, removed)
}

// TestReloadLetsScrapesOfRemovedTargetsEnd removes a target during a poll.
func TestReloadLetsScrapesOfRemovedTargetsEnd(t *testing.T) {
	wait := make(chan struct{})
	uri, _, asked := countedServer(t, wait)
	pool := NewPool(&config.Config{Targets: []*config.Target{fleetTarget(t, "sbc1", uri, 10)}}, slog.New(slog.DiscardHandler))
	defer pool.Close()
	got := make(chan string)
	target := pool.Target("sbc1")
	go func() {
		set, release := scrapeTarget(t.Context(), target)
		defer release()
		got <- samples(set, "kamailio_up", "kamailio_core")
	}()
	<-asked
	if pool.Running() != 1 {
		t.Errorf("%d polls are running, want 1", pool.Running())
	}
	pool.Reload(&config.Config{})
	checkClosed(t, target)
	close(wait)
	if text := <-got; text != "core_uptime_uptime_total[] 42\nup[] 1\n" {
		t.Errorf("the scrape that was running has %s", text)
	}
	pool.retired.Wait()
	if pool.Running() != 0 || pool.Len() != 0 {
		t.Errorf("%d polls are running, %d targets are left", pool.Running(), pool.Len())
	}
}

// TestCloseStopsPollsOfRemovedTargets closes a pool during a poll of a target that a reload has removed. The poll would take a
// minute.
func TestCloseStopsPollsOfRemovedTargets(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	uri, _, asked := countedServer(t, wait)
	pool := NewPool(&config.Config{Targets: []*config.Target{fleetTarget(t, "sbc1", uri, 10)}}, slog.New(slog.DiscardHandler))
	target := pool.Target("sbc1")
	got := make(chan string, 1)
	go func() {
		set, release := scrapeTarget(t.Context(), target)
		defer release()
		got <- samples(set, "kamailio_up")
	}()
	<-asked
	pool.Reload(&config.Config{})
	start := time.Now()
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if text, took := <-got, time.Since(start); text != "" || took > fleetTimeout/2 {
		t.Errorf("Close returned after %v, and the scrape has %q, want nothing at once", took, text)
	}
}

// TestHangingTargetsDoNotDelayOthers polls a target while 50 others hang.
func TestHangingTargetsDoNotDelayOthers(t *testing.T) {
	wait := make(chan struct{})
	hanging, _, asked := countedServer(t, wait)
	healthy, _, _ := countedServer(t, nil)
	cfg := &config.Config{Targets: []*config.Target{fleetTarget(t, "healthy", healthy, 10)}}
	for i := range 50 {
		cfg.Targets = append(cfg.Targets, fleetTarget(t, "hanging"+strings.Repeat("x", i), hanging, 10))
	}
	pool := NewPool(cfg, slog.New(slog.DiscardHandler))
	defer pool.Close()
	for _, target := range cfg.Targets[1:] {
		go func() { _, _ = scrapeTarget(t.Context(), pool.Target(target.Name)) }()
		<-asked
	}
	if got := total(t, pool.Target("healthy")); got != "exporter_total_scrapes[] 1\n" || pool.Running() != 50 {
		t.Errorf("the healthy target has %s; %d polls are running, want 50", got, pool.Running())
	}
	close(wait)
}
