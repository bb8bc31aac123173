//go:build linux

package torture

import (
	"context"
	"io"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestManyClients has 200 clients that scrape all the time, 20 that request pages and do not read them, and 20 that send half of a
// request. All pages are whole, and when the clients are gone, the exporter has no more goroutines and descriptors than before.
func TestManyClients(t *testing.T) {
	if !*long {
		t.Skip("takes ten minutes; TestLoad of cmd/kamailio_exporter has clients of all kinds in a few seconds")
	}
	const duration = 10 * time.Minute
	readHealthyReplies(t)
	p := newPeer(nil)
	p.serve(t, stream)
	e := start(t, "-u", p.uri, "-t", "30s", "-m", "core.uptime,tm.stats,sl.stats,core.shmmem,dispatcher.list,stats.fetch")
	want := len(seriesOf(e.mustGet(t, "/metrics")))
	before := e.resources(t)

	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var running sync.WaitGroup
	var whole, refused, cut atomic.Int32
	var pauses pauses
	running.Go(func() { pauses.watch(ctx) })
	for range 200 {
		running.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				status, page, err := e.get(ctx, "/metrics")
				switch {
				case ctx.Err() != nil:
				case err == nil && status == 503: // all places are taken
					refused.Add(1)
				case err != nil && pauses.since(begin): // as promised to clients that do not read
					cut.Add(1)
				case err != nil || status != 200 || len(seriesOf(page)) != want:
					t.Errorf("status %d, %v, a page with %d series, want %d", status, err, len(seriesOf(page)), want)
				default:
					whole.Add(1)
				}
			}
		})
	}
	for range 20 {
		running.Go(func() { e.keepOpen(ctx, t, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n", 100)) })
		running.Go(func() { e.keepOpen(ctx, t, "GET /metrics HTTP/1.1\r\nHost: exp") })
	}
	running.Wait()
	peak := e.memory(t, "VmHWM")
	t.Logf("%v: %d whole pages, %d requests refused, %d pages cut while the clients paused, at most %.1f MB of memory",
		duration, whole.Load(), refused.Load(), cut.Load(), megabytes(peak))
	if whole.Load() < 100 || peak > maxMemory {
		t.Errorf("%d whole pages, want many; %d bytes of memory, want at most %d", whole.Load(), peak, maxMemory)
	}
	e.awaitResources(t, before)
}

// pauses finds out when clients of this process could not run although they had something to read, for example because the machine had
// other work.
type pauses struct {
	mu     sync.Mutex
	last   time.Time // the end of the last pause, zero if there was none
	ticked time.Time // of the last tick
	delays uint64    // number of goroutines so far that could run and waited for longer than pause
}

// pause is less than the 500 ms after which the exporter disconnects a client that does not read while another one waits. The exporter
// may be late itself.
const pause = 250 * time.Millisecond

// watch records the pauses until ctx ends.
func (p *pauses) watch(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		<-ticker.C
		p.tick()
	}
}

// tick records a pause if the process did not run since the last tick, or if Go's scheduler did not run a goroutine for so long.
func (p *pauses) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, delays := time.Now(), delays()
	if delays > p.delays || !p.ticked.IsZero() && now.Sub(p.ticked) > pause {
		p.last = now
	}
	p.ticked, p.delays = now, delays
}

// delays returns the number of goroutines that have waited for longer than pause until they ran.
func delays() (count uint64) {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	histogram := sample[0].Value.Float64Histogram()
	for i, n := range histogram.Counts {
		if histogram.Buckets[i] >= pause.Seconds() {
			count += n
		}
	}
	return count
}

// since reports whether a pause ended after a time.
func (p *pauses) since(begin time.Time) bool {
	p.tick()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.After(begin)
}

// keepOpen sends a text and reads no response, until ctx ends or the exporter closes the connection.
func (e *exporter) keepOpen(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Errorf("connect to the exporter: %v", err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = io.WriteString(conn, text) // an error means that the exporter closed the connection
	<-ctx.Done()
}

// resources are what the exporter says about its own process.
type resources struct{ goroutines, descriptors float64 }

func (e *exporter) resources(t *testing.T) resources {
	t.Helper()
	page := samplesOf(e.mustGet(t, "/metrics"))
	return resources{page["go_goroutines"], page["process_open_fds"]}
}

// awaitResources waits until the exporter has as few goroutines and descriptors as before.
func (e *exporter) awaitResources(t *testing.T, before resources) {
	t.Helper()
	const spare = 10 // goroutines of the scrape itself and of idle connections
	begin := time.Now()
	for range time.Tick(time.Second) {
		now := e.resources(t)
		if now.goroutines <= before.goroutines+spare && now.descriptors <= before.descriptors+spare {
			t.Logf("before %+v, %v after the last client left %+v", before, time.Since(begin).Round(time.Second), now)
			return
		}
		if time.Since(begin) > 2*patience {
			t.Errorf("before %+v, now %+v", before, now)
			return
		}
	}
}
