//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveTransports scrapes a Kamailio with all modules of the lab over each kind of socket. All methods of auto succeed, and
// no field of a reply is dropped.
func TestLiveTransports(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
			t.Run(transport, func(t *testing.T) {
				e := start(t, "-u", k.URI(transport))
				for range 2 {
					p := e.scrape()
					p.check(t, "kamailio_up", 1)
					p.checkAllSucceeded(t)
					p.check(t, "kamailio_core_shmmem_total", 128<<20)
					p.check(t, `kamailio_dispatcher_list_target{flags="AX",setid="1",uri="sip:127.0.0.1:5071"}`, 1)
				}
			})
		}
	})
}

// checkAllSucceeded checks that no scrape and no collector failed, and that no field was dropped.
func (p page) checkAllSucceeded(t *testing.T) {
	t.Helper()
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	collectors := 0
	for series, value := range p {
		switch {
		case strings.HasPrefix(series, "kamailio_exporter_collector_success{"):
			collectors++
			if value != 1 {
				t.Errorf("%s is %v", series, value)
			}
		case strings.HasPrefix(series, "kamailio_exporter_skipped_total{"):
			t.Errorf("%s is %v, want no series", series, value)
		}
	}
	if collectors < 20 {
		t.Errorf("%d collectors, want all that the lab's modules have methods for", collectors)
	}
}

// TestLiveMinimal has a Kamailio with few modules.
func TestLiveMinimal(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	p := start(t, "-u", k.URI("unix")).scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	p.check(t, `kamailio_exporter_collector_success{collector="tm.stats"}`, 1)
	if p.has("kamailio_dispatcher_") || p.has(`kamailio_exporter_collector_success{collector="dispatcher.list"}`) {
		t.Error("the page has series of the dispatcher")
	}

	e := start(t, "-u", k.URI("unix"), "-m", "dispatcher.list,core.uptime")
	p = e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 1)
	p.check(t, `kamailio_exporter_collector_success{collector="core.uptime"}`, 1)
	p.check(t, `kamailio_exporter_collector_success{collector="dispatcher.list"}`, 0)
	if p.has("kamailio_tm_stats") {
		t.Error("the page has series of a method that is not named")
	}
	e.awaitLog(`load the Kamailio module that it belongs to`)
}

// TestLiveMethodNamedByItsSettingFails has a setting for a method that this Kamailio does
// not have.
func TestLiveMethodNamedByItsSettingFails(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	p := start(t, "-u", k.URI("unix"), "--kamailio.htable-keys", "calls=>total").scrape()
	p.check(t, `kamailio_exporter_collector_success{collector="htable.get"}`, 0)
	p.check(t, `kamailio_exporter_collector_success{collector="core.uptime"}`, 1)
}

func TestLiveEmptyDispatcher(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{NoDestinations: true})
	p := start(t, "-u", k.URI("unix")).scrape()
	p.check(t, `kamailio_exporter_collector_success{collector="dispatcher.list"}`, 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	if p.has("kamailio_dispatcher_") {
		t.Error("the page has destinations")
	}
}

// TestLiveSmallBuffers has a ctl with buffers that are too small for the list of its
// methods.
func TestLiveSmallBuffers(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Config: `modparam("ctl", "binrpc_max_body_size", 1)`})
	e := start(t, "-u", k.URI("unix"))
	p := e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, `kamailio_exporter_collector_success{collector="tm.stats"}`, 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
}

func TestLivePermissionDenied(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	cmd := command(context.WithoutCancel(t.Context()), "-l", "127.0.0.1:0", "-u", k.URI("unix"))
	refuse(t, cmd, strings.TrimPrefix(k.URI("unix"), "unix:"), k.Dir)
	e := startCommand(t, cmd)
	e.scrape().check(t, "kamailio_up", 0)
	e.awaitLog(`permission denied.*mode\\", 0660.*group`)
}

// copyForAll copies a program to a directory from which all users can run it.
func copyForAll(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exporter")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Another process makes the copy: if this process had the file open for writing, children of parallel tests would inherit
	// it, and such a file cannot be executed.
	file := filepath.Join(dir, "exporter")
	if out, err := exec.CommandContext(t.Context(), "install", "-m", "755", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// TestLiveRestart restarts Kamailio while the exporter is running.
func TestLiveRestart(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			k := lab.StartTest(t, lab.Options{Minimal: true})
			e := start(t, "-u", k.URI(transport))
			e.scrape().check(t, "kamailio_up", 1)
			if err := k.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := e.scrape()
			p.check(t, "kamailio_up", 1)
			p.check(t, "kamailio_exporter_failed_scrapes", 0)
		})
	}
}

// TestLiveHang pauses Kamailio, so that it neither replies nor closes its connections.
// Scrapes end in time and do not wait for each other. They succeed when Kamailio
// continues.
func TestLiveHang(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	e := start(t, "-u", k.URI("unix"), "-t", "2s")
	e.scrape().check(t, "kamailio_up", 1)
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	var scrapes sync.WaitGroup
	for range 20 {
		scrapes.Go(func() {
			response, body := e.get("/metrics")
			parsePage(t, body).check(t, "kamailio_up", 0)
			if response.StatusCode != http.StatusOK {
				t.Errorf("status %s", response.Status)
			}
		})
	}
	scrapes.Wait()
	if took := time.Since(before); took > 15*time.Second {
		t.Errorf("20 scrapes of a hanging Kamailio took %v, want at most 15s", took)
	}
	e.awaitLog(`did not reply in time`)
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
	e.scrape().check(t, "kamailio_up", 1)
}

// TestLiveSlowReader has a proxy that pauses between the exporter and a Kamailio with
// 4,000 destinations. Kamailio drops the rest of the reply. The exporter repeats the call
// on a new connection, and the scrape is complete.
func TestLiveSlowReader(t *testing.T) { // not parallel: Kamailio drops a reply that is not read fast enough
	const more = 4000
	k := lab.StartTest(t, lab.Options{Destinations: more})
	proxy := startSlowProxy(t, k)
	e := start(t, "-u", "unix:"+proxy.path, "-t", "10s")
	p := e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	destinations := 0
	for series := range p {
		if strings.HasPrefix(series, "kamailio_dispatcher_destination_priority{") {
			destinations++
		}
	}
	if destinations != more+5 {
		t.Errorf("%d destinations, want %d", destinations, more+5)
	}
	if n := proxy.connections(); n != 2 {
		t.Errorf("the exporter made %d connections, want 2: the first reply is incomplete", n)
	}
	before := time.Now()
	e.scrape().check(t, "kamailio_exporter_failed_scrapes", 0)
	t.Logf("a scrape of %d destinations took %v", destinations, time.Since(before))
	if n := proxy.connections(); n != 2 {
		t.Errorf("the exporter made %d connections, want 2: it must reuse the second one", n)
	}
}

// slowProxy is a proxy for connections to Kamailio. On the first connection, it pauses in
// the middle of a large reply until Kamailio has dropped the rest.
type slowProxy struct {
	path string
	to   *lab.Kamailio

	mu sync.Mutex
	n  int
}

func (p *slowProxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func startSlowProxy(t *testing.T, to *lab.Kamailio) *slowProxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "kl")
	if err != nil {
		t.Fatal(err)
	}
	p := &slowProxy{path: filepath.Join(dir, "ctl"), to: to}
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.n++
			first := p.n == 1
			p.mu.Unlock()
			running.Go(func() { p.pass(t, client, first) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
		os.RemoveAll(dir)
	})
	return p
}

func (p *slowProxy) pass(t *testing.T, client net.Conn, slow bool) {
	defer client.Close()
	server, err := net.Dial("unix", strings.TrimPrefix(p.to.URI("unix"), "unix:"))
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	if slow {
		_, _ = io.CopyN(client, server, 100_000)
		// One process of Kamailio serves ctl: it replies to kamcmd when it has dropped the rest of the reply.
		if _, err := p.to.Kamcmd(context.WithoutCancel(t.Context()), "core.version"); err != nil {
			t.Error(err)
		}
	}
	_, _ = io.Copy(client, server)
}

// outside returns the series whose values are not between two readings, and the readings
// without a series, each with the values.
func (p page) outside(before, after map[string]float64) map[string]string {
	wrong := map[string]string{}
	for series, value := range p {
		if !strings.HasPrefix(series, "kamailio_") || strings.HasPrefix(series, "kamailio_exporter_") || series == "kamailio_up" {
			continue
		}
		low, lowOK := before[series]
		high, highOK := after[series]
		if low > high {
			low, high = high, low
		}
		// The exporter multiplies to convert units and the test divides, so the last bits may differ.
		margin := 1e-12 * math.Abs(value)
		if !lowOK || !highOK || value < low-margin || value > high+margin {
			wrong[series] = fmt.Sprintf("is %v, the readings have %v (%t) and %v (%t)", value, low, lowOK, high, highOK)
		}
	}
	for series := range before {
		if _, ok := p[series]; !ok {
			wrong[series] = isMissing
		}
	}
	return wrong
}

// isMissing is what outside returns for a reading without a series.
const isMissing = "is missing"

// linesOf returns a line for each of the series that outside returned.
func linesOf(wrong map[string]string) string {
	var lines []string
	for series, fault := range wrong {
		lines = append(lines, series+" "+fault)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func is(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// TestLivePromtool checks the page with promtool. It complains only about names of v0 to
// v2, which must not change.
func TestLivePromtool(t *testing.T) {
	t.Parallel()
	promtool, err := lab.Tool(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	k := lab.StartTest(t, lab.Options{})
	e := start(t, "-u", k.URI("unix"), "-m", "auto,dlg.stats_active")
	_, body := e.get("/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(body))
	out, _ := cmd.CombinedOutput() // exits with status 3 if it complains
	want := []string{
		`kamailio_core_shmmem_total non-counter metrics should not have "_total" suffix`,
		`kamailio_exporter_failed_scrapes counter metrics should have "_total" suffix`,
		`kamailio_exporter_total_scrapes counter metrics should have "_total" suffix`,
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the output of promtool is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestLiveCreatedTimestamps gets the page in protobuf, which has the start time of
// counters.
func TestLiveCreatedTimestamps(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	e := start(t, "-u", k.URI("unix"))
	start := e.scrape()["kamailio_start_time_seconds"]
	if since := float64(time.Now().Unix()) - start; since < 0 || since > 600 {
		t.Errorf("Kamailio started %v s ago", since)
	}
	counter := e.getFamilies()["kamailio_tm_stats_created_total"].GetMetric()[0].GetCounter()
	if created := counter.GetCreatedTimestamp(); float64(created.GetSeconds()) != start {
		t.Errorf("the counter was created at %v, Kamailio started at %v", created, start)
	}
}
