//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// soak is short by default, for make test. docs/reliability.md has the results of long ones.
var soak = flag.Duration("soak", 4*time.Second, "`duration` of each part of TestLoad")

const (
	// maxLatency is the maximum time of a scrape under load, also with the race detector.
	maxLatency = 30 * time.Second
	// maxMoreGoroutines and maxMoreDescriptors are the maximum differences between the start and the end of a test.
	maxMoreGoroutines, maxMoreDescriptors = 10, 10
	// maxMoreHeap is the maximum difference of the heap, in bytes.
	maxMoreHeap = 10 << 20
)

// crowd is a number of clients of an exporter, and what they see.
type crowd struct {
	e      *exporter
	query  string // of the page with the metrics of the exporter's process
	before page   // these metrics before the load
	begun  time.Time
	ctx    context.Context // ends when no new request may begin
	cancel context.CancelFunc

	mu        sync.Mutex
	clients   sync.WaitGroup
	latencies []time.Duration
	problems  map[string]int
}

// newCrowd returns a crowd that lasts as long as the flag -soak. query is added to the request for the metrics of the exporter's process.
func newCrowd(t *testing.T, e *exporter, query string) *crowd {
	t.Helper()
	c := &crowd{e: e, query: query, problems: map[string]int{}}
	c.before = c.own()
	c.begun = time.Now()
	c.ctx, c.cancel = context.WithTimeout(t.Context(), *soak)
	return c
}

// scrapeRepeatedly adds a client that requests a page again and again, with pauses of pause on average. check returns what is wrong
// with a page.
func (c *crowd) scrapeRepeatedly(path string, pause time.Duration, check func(body string) error) {
	c.clients.Go(func() {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for c.wait(rand.N(2 * pause)) {
			begin := time.Now()
			err := c.scrapeOnce(client, path, check)
			c.note(time.Since(begin), err)
		}
	})
}

// wait waits for some time, and reports whether the load has not ended.
func (c *crowd) wait(pause time.Duration) bool {
	select {
	case <-c.ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

func (c *crowd) scrapeOnce(client *http.Client, path string, check func(body string) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 2*maxLatency)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.e.url+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s: %.100s", response.Status, body)
	}
	return check(string(body))
}

func (c *crowd) note(latency time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latencies = append(c.latencies, latency)
	if err != nil {
		c.problems[err.Error()]++
	}
}

// connectRepeatedly adds a client that connects, sends the start of a request, reads one byte at each interval, and connects again when
// the exporter closes the connection.
func (c *crowd) connectRepeatedly(start string, interval time.Duration) {
	c.clients.Go(func() {
		for c.wait(rand.N(interval)) {
			conn, err := new(net.Dialer).DialContext(c.ctx, "tcp", strings.TrimPrefix(c.e.url, "http://"))
			if err != nil {
				continue // all places may be taken
			}
			_, err = io.WriteString(conn, start)
			for err == nil && c.wait(interval) {
				_ = conn.SetReadDeadline(time.Now().Add(interval))
				if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil
				}
			}
			_ = conn.Close()
		}
	})
}

// finish waits until all clients have ended, and checks what they saw and what the exporter has kept.
func (c *crowd) finish(t *testing.T) {
	t.Helper()
	c.clients.Wait()
	c.cancel()
	for problem, n := range c.problems {
		if problem == errCut.Error() && n <= 1+len(c.latencies)/100 {
			t.Logf("%d of %d scrapes: %s", n, len(c.latencies), problem)
			continue
		}
		t.Errorf("%d of %d scrapes: %s", n, len(c.latencies), problem)
	}
	if len(c.latencies) == 0 {
		t.Fatal("nothing was scraped")
	}
	slices.Sort(c.latencies)
	at := func(percent int) time.Duration { return c.latencies[(len(c.latencies)-1)*percent/100] }
	t.Logf("%d scrapes in %v: median %v, 99th percentile %v, longest %v", len(c.latencies), time.Since(c.begun).Round(time.Second), at(50), at(99), at(100))
	if at(100) > maxLatency {
		t.Errorf("a scrape took %v, want at most %v", at(100), maxLatency)
	}
	c.settle(t)
}

// settle waits until the exporter has as many descriptors and goroutines as before the load, and compares its heap.
func (c *crowd) settle(t *testing.T) {
	t.Helper()
	const goroutines, descriptors, heap = "go_goroutines", "process_open_fds", "go_memstats_heap_alloc_bytes"
	now, deadline := c.own(), time.Now().Add(time.Minute)
	for now[goroutines] > c.before[goroutines]+maxMoreGoroutines || now[descriptors] > c.before[descriptors]+maxMoreDescriptors ||
		now[heap] > c.before[heap]+maxMoreHeap { // garbage is collected from time to time
		if time.Now().After(deadline) {
			t.Errorf("after a minute, the exporter has other goroutines, descriptors or heap than before the load")
			break
		}
		time.Sleep(time.Second) // these metrics are up to a second old
		now = c.own()
	}
	for _, series := range []string{goroutines, descriptors, heap, "process_resident_memory_bytes"} {
		t.Logf("%s: %.0f before, %.0f after", series, c.before[series], now[series])
	}
}

// own returns the metrics of the exporter's process.
func (c *crowd) own() page {
	c.e.t.Helper()
	_, body := c.e.get("/metrics?" + c.query + "name[]=go_goroutines&name[]=process_open_fds&name[]=process_resident_memory_bytes&name[]=go_memstats_heap_alloc_bytes")
	return parsePage(c.e.t, body)
}

// errCut is the error of a scrape without destinations. Kamailio drops the rest of a reply that is not read for 10 ms, which happens on a
// machine with more work than CPUs.
var errCut = errors.New("dispatcher.list failed")

// wantDestinations returns a function that checks that a page has all destinations, and that Kamailio has one connection.
func wantDestinations(n int) func(body string) error {
	return func(body string) error {
		if !strings.Contains(body, "\nkamailio_up 1\n") {
			return errors.New("a running Kamailio is down")
		}
		if strings.Contains(body, "\nkamailio_exporter_collector_success{collector=\"dispatcher.list\"} 0\n") {
			return errCut
		}
		if got := strings.Count(body, "\nkamailio_dispatcher_destination_priority{"); got != n {
			return fmt.Errorf("%d destinations, want %d", got, n)
		}
		if !strings.Contains(body, "\nkamailio_ctl_connections 1\n") {
			return errors.New("Kamailio does not have exactly one connection")
		}
		return nil
	}
}

// loadTest has the directory of the programs, which are built without the race detector: it would multiply the time of each scrape.
type loadTest struct{ programs string }

// TestLoad has many clients at the same time, and runs as long as the flag -soak says. The exporter must have no more goroutines,
// descriptors and heap after that.
func TestLoad(t *testing.T) { // not parallel, because it needs all CPUs
	if testing.Short() {
		t.Skip("takes half a minute; run without -short")
	}
	l := loadTest{t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", l.programs, ".", "../../internal/lab/cmd/simulate")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Run("many scrapers", l.manyScrapers)
	t.Run("large pages", l.largePages)
	t.Run("fleet", l.fleet)
}

// start starts the exporter with these flags on a free port.
func (l loadTest) start(t *testing.T, args ...string) *exporter {
	t.Helper()
	args = append([]string{"-l", "127.0.0.1:0"}, args...)
	return startCommand(t, exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(l.programs, "kamailio_exporter"), args...))
}

// manyScrapers has 200 clients. Some of them read slowly or do not finish their request. All others get a whole page each time. Kamailio
// has one connection.
func (l loadTest) manyScrapers(t *testing.T) {
	const more, readers, slow, halfOpen = 300, 170, 15, 15
	k := lab.StartTest(t, lab.Options{Destinations: more})
	e := l.start(t, "-u", k.URI("unix"), "-t", maxLatency.String(), "-m", "dispatcher.list,ctl.connections,tm.stats")
	e.scrape().check(t, "kamailio_up", 1)
	c := newCrowd(t, e, "collect[]=tm.stats&")
	time.AfterFunc(10*time.Minute, c.cancel) // a longer run shows nothing new
	for range readers {
		c.scrapeRepeatedly("/metrics", 5*time.Second, wantDestinations(more+5))
	}
	for range slow {
		c.connectRepeatedly("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 100*time.Millisecond)
	}
	for range halfOpen {
		c.connectRepeatedly("GET /metrics HTTP/1.1\r\nHo", time.Second)
	}
	c.finish(t)
}

// largePages has four clients, and a Kamailio with 4,000 destinations and traffic.
func (l loadTest) largePages(t *testing.T) {
	const more = 4000
	k := lab.StartTest(t, lab.Options{Destinations: more})
	lab.StartTraffic(t, k)
	e := l.start(t, "-u", k.URI("unix"), "-t", maxLatency.String(), "-m", "auto,ctl.connections")
	for range 3 {
		e.get("/metrics")
	}
	c := newCrowd(t, e, "collect[]=tm.stats&")
	for range 4 {
		c.scrapeRepeatedly("/metrics", 2*time.Second, wantDestinations(more+5))
	}
	c.finish(t)
}

// fleet has 200 simulated targets, of which ten die and return. Only these may be down.
func (l loadTest) fleet(t *testing.T) {
	const targets, dying = 200, 10
	file := filepath.Join(t.TempDir(), "targets.yml")
	l.startSimulator(t, file, targets, dying)
	e := l.start(t, "--config.file", writeConfig(t, fmt.Sprintf("modules: {default: {methods: [core.uptime, tm.stats, sl.stats, core.shmmem, dispatcher.list], timeout: %s}}\ntarget_files: [%s]\n",
		maxLatency, file)))
	probe := func(i int) string { return fmt.Sprintf("/probe?target=sim%04d", i+1) }
	for i := range targets {
		e.get(probe(i)) // connects
	}
	c := newCrowd(t, e, "")
	for i := range targets {
		c.scrapeRepeatedly(probe(i), 5*time.Second, func(body string) error {
			if i >= dying && !strings.Contains(body, "\nkamailio_up 1\n") {
				return errors.New("a healthy target is down")
			}
			return nil
		})
	}
	c.finish(t)
}

// startSimulator starts simulated targets and writes them to a file. Those that die listen for half of each ten seconds.
func (l loadTest) startSimulator(t *testing.T, file string, targets, dying int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, filepath.Join(l.programs, "simulate"), "-targets", strconv.Itoa(targets), "-dying", strconv.Itoa(dying),
		"-dying-period", "10s", "-duration", "24h", "-listen-port", strconv.Itoa(freePorts(t, targets)), "-target-file", file)
	log := child.NewLog()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = logPatience
	process, err := child.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-process.Done()
	})
	if _, err := log.Await(regexp.MustCompile("targets listen"), process.Done(), logPatience); err != nil {
		t.Fatal(err)
	}
}

// freePorts returns the first of n ports that are probably free.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := 20_000 + rand.IntN(32_768-20_000-n)
		if allFree(first, n) {
			return first
		}
	}
	t.Fatal("there are no free ports")
	return 0
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}
