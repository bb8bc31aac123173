package web

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// patientLimits returns limits with long times, so that tests do not depend on the speed of the machine.
func patientLimits(requests int) limits {
	return limits{requests: requests, memory: 1 << 30, stall: time.Hour, patience: time.Millisecond, total: time.Hour}
}

// stubTarget is a target whose Scrape calls the function.
type stubTarget func(context.Context) (*metric.Set, func())

func (s stubTarget) Scrape(ctx context.Context) (scrape.Scraped, error) {
	set, release := s(ctx)
	return scrape.Scraped{Set: set, Release: release}, nil
}

func (stubTarget) Wait(patience time.Duration) time.Duration {
	if patience == 0 {
		return time.Minute
	}
	return patience
}

// stubHandler returns the handler of pages with the samples that scrape returns.
func stubHandler(l limits, target stubTarget) *metricsHandler {
	logger := slog.New(slog.DiscardHandler)
	return &metricsHandler{
		find:     func(url.Values) (scraper, error) { return target, nil },
		gate:     newGate(l),
		own:      &ownMetrics{registry: prometheus.NewRegistry(), logger: logger},
		rejected: prometheus.NewCounter(prometheus.CounterOpts{Name: "rejected_total"}),
		logger:   logger,
	}
}

// requestWithoutReading sends a request and does not read the response.
func requestWithoutReading(t *testing.T, server *httptest.Server, headers string) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil { //nolint:errcheck // always that type
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// TestClientsThatDoNotReadDoNotBlockOthers has more clients than places request a page of 7 MB and not read it. Other clients
// get the whole page, although no time limit has passed.
func TestClientsThatDoNotReadDoNotBlockOthers(t *testing.T) {
	const requests, idle, readers = 40, 45, 5
	set := manySamples(4000)
	asked := make(chan struct{}, idle+readers)
	handler := stubHandler(patientLimits(requests), func(context.Context) (*metric.Set, func()) {
		asked <- struct{}{}
		return set, func() {}
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	defer server.CloseClientConnections() // runs before the clients close, so that the server does not wait for their pages
	for range idle {
		requestWithoutReading(t, server, "")
	}
	for range requests {
		<-asked
	}
	for range readers {
		status, body := get(t, server.Client(), server.URL)
		if status != http.StatusOK || strings.Count(body, "\nkamailio_dispatcher_destination_") != 64_000 {
			t.Errorf("status %d, %d bytes", status, len(body))
		}
	}
}

// TestHTTP2ClientThatDoesNotReadDoesNotBlockOthers has one place, an HTTP/2 client that does not read its page, and another
// client.
func TestHTTP2ClientThatDoesNotReadDoesNotBlockOthers(t *testing.T) {
	set := manySamples(4000)
	server := httptest.NewUnstartedServer(stubHandler(patientLimits(1), func(context.Context) (*metric.Set, func()) { return set, func() {} }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	defer server.CloseClientConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "identity") // with gzip the page would fit into buffers
	unread, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Body.Close()
	if unread.ProtoMajor != 2 {
		t.Fatalf("the protocol is %s", unread.Proto)
	}
	if status, body := get(t, server.Client(), server.URL); status != http.StatusOK || strings.Count(body, "\nkamailio_dispatcher_destination_") != 64_000 {
		t.Errorf("status %d, %d bytes", status, len(body))
	}
	if _, err := io.Copy(io.Discard, unread.Body); err == nil {
		t.Error("the client that did not read was not disconnected")
	}
}

// TestPagesThatAreNotReadTakeLittleMemory has 60 clients that do not read their pages. Each page has its own samples.
func TestPagesThatAreNotReadTakeLittleMemory(t *testing.T) {
	for _, headers := range []string{"", "Accept-Encoding: gzip\r\n"} {
		t.Run(headers, func(t *testing.T) {
			const clients, memory = 60, 24 << 20
			l := patientLimits(clients)
			l.memory, l.patience = memory, 0
			released := make(chan struct{}, clients)
			size := page{found: incompressible()}.size()
			handler := stubHandler(l, func(context.Context) (*metric.Set, func()) {
				return incompressible(), func() { released <- struct{}{} }
			})
			server := httptest.NewUnstartedServer(handler)
			server.Listener = smallBuffers{server.Listener} // smaller than a page
			server.Start()
			defer server.Close()
			defer server.CloseClientConnections()
			before := heap()
			for range clients {
				requestWithoutReading(t, server, headers)
			}
			for range clients - memory/size {
				<-released
			}
			if took := heap() - before; took > 2*memory {
				t.Errorf("%d pages of %d bytes take %d bytes", clients, size, took)
			}
		})
	}
}

// smallBuffers is a listener whose connections have small kernel buffers.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(4096) //nolint:errcheck // always that type
	}
	return conn, err
}

// incompressible returns samples with random labels, which gzip reduces to about half.
func incompressible() *metric.Set {
	set := metric.NewSet()
	random := rand.NewChaCha8([32]byte{})
	var bytes [100]byte
	for range 10_000 {
		_, _ = random.Read(bytes[:]) // it never fails
		set.Add(unlike, 1, hex.EncodeToString(bytes[:]))
	}
	return set
}

var unlike = &metric.Desc{Name: "kamailio_unlike", Help: "Unlike.", Labels: []string{"uri"}}

func heap() int64 {
	runtime.GC()
	runtime.GC() // the first one does not free the objects of a sync.Pool
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestClientThatDoesNotReadIsDisconnected has one client, and no other request.
func TestClientThatDoesNotReadIsDisconnected(t *testing.T) {
	for name, change := range map[string]func(*limits){
		"part":    func(l *limits) { l.stall = 10 * time.Millisecond },
		"page":    func(l *limits) { l.total = 10 * time.Millisecond },
		"no time": func(l *limits) { l.stall, l.total = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			l := patientLimits(1)
			change(&l)
			set := manySamples(4000)
			released := make(chan struct{})
			server := httptest.NewServer(stubHandler(l, func(context.Context) (*metric.Set, func()) { return set, func() { close(released) } }))
			defer server.Close()
			defer server.CloseClientConnections()
			requestWithoutReading(t, server, "")
			<-released
		})
	}
}

// TestRequestWithoutTimeGetsNoPlace has a place become free when the time of the request has passed: a scrape without time would
// have kamailio_up 0.
func TestRequestWithoutTimeGetsNoPlace(t *testing.T) {
	g := newGate(patientLimits(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if g.enter(ctx, "") == nil {
			t.Fatal("a request without time got a place")
		}
	}
	if err := g.enter(t.Context(), ""); err != nil {
		t.Errorf("the place is not free: %v", err)
	}
}

// stubWriter is a client that reads everything. It records deadlines.
type stubWriter struct {
	header   http.Header
	deadline time.Time
	write    func() error
}

func (w *stubWriter) Header() http.Header { return w.header }
func (*stubWriter) WriteHeader(int)       {}
func (w *stubWriter) Write(part []byte) (int, error) {
	if w.write == nil {
		return len(part), nil
	}
	return len(part), w.write()
}
func (w *stubWriter) SetWriteDeadline(deadline time.Time) error {
	w.deadline = deadline
	return nil
}

// stuckWriter is a client that does not read. Its writes end at their deadline.
type stuckWriter struct {
	http.ResponseWriter
	asked, over chan struct{}
}

func newStuckWriter() *stuckWriter {
	return &stuckWriter{asked: make(chan struct{}), over: make(chan struct{})}
}

func (w *stuckWriter) Write([]byte) (int, error) {
	close(w.asked)
	<-w.over
	return 0, os.ErrDeadlineExceeded
}

func (w *stuckWriter) SetWriteDeadline(deadline time.Time) error {
	if time.Until(deadline) <= 0 {
		close(w.over)
	}
	return nil
}

// TestSlowestClientIsDisconnected has two clients that do not read and one that does. The first page above the limit
// disconnects the first of the two, the next page the second.
func TestSlowestClientIsDisconnected(t *testing.T) {
	l := patientLimits(5)
	l.memory, l.patience = 150, 0
	g := newGate(l)
	reads := g.send(&stubWriter{}, 50)
	stuck := []*stuckWriter{newStuckWriter(), newStuckWriter()}
	ended := []chan error{make(chan error, 1), make(chan error, 1)}
	for i := range stuck {
		s := g.send(stuck[i], 50)
		go func() {
			_, err := s.Write(nil)
			ended[i] <- err
		}()
		<-stuck[i].asked
	}
	for i := range stuck {
		if _, err := reads.Write(nil); err != nil {
			t.Error(err)
		}
		next := g.send(&stubWriter{}, 50)
		if err := <-ended[i]; !errors.Is(err, errGivenUp) {
			t.Errorf("error %v", err)
		}
		if _, err := next.Write(nil); err != nil {
			t.Error(err)
		}
		if g.held != 150 {
			t.Errorf("%d bytes are held", g.held)
		}
	}
	for s := range g.senders {
		s.release()
		s.close()
	}
	if g.held != 0 || len(g.senders) != 0 {
		t.Errorf("%d bytes are held by %d senders, want 0", g.held, len(g.senders))
	}
}

// TestEachPartOfPageHasItsDeadline compares the deadlines of the parts with those of the page.
func TestEachPartOfPageHasItsDeadline(t *testing.T) {
	l := patientLimits(1)
	l.stall, l.total = time.Hour, 2*time.Hour
	var w stubWriter
	s := newGate(l).send(&w, 0)
	before := time.Now()
	if _, err := s.Write(nil); err != nil || w.deadline.Before(before.Add(time.Hour)) || w.deadline.After(time.Now().Add(time.Hour)) {
		t.Errorf("error %v, deadline %v", err, w.deadline)
	}
	s.over = before.Add(time.Minute)
	if _, err := s.Write(nil); err != nil || !w.deadline.Equal(s.over) {
		t.Errorf("error %v, deadline %v", err, w.deadline)
	}
}

// TestSinglePageAboveTheLimitIsSent sends a page that is larger than the limit of all pages.
func TestSinglePageAboveTheLimitIsSent(t *testing.T) {
	l := patientLimits(1)
	l.memory, l.patience = 100, 0
	if _, err := newGate(l).send(&stubWriter{}, 1000).Write(nil); err != nil {
		t.Error(err)
	}
}

// TestSamplesAreReleasedBeforeLastPartIsSent checks that the samples are not kept while the last part of a page is sent,
// which for most pages is the only one.
func TestSamplesAreReleasedBeforeLastPartIsSent(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		released := false
		set := fixedPage(t).found
		handler := stubHandler(patientLimits(1), func(context.Context) (*metric.Set, func()) { return set, func() { released = true } })
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
		request.Header.Set("Accept-Encoding", encoding)
		writes := 0
		handler.ServeHTTP(&stubWriter{header: http.Header{}, write: func() error {
			writes++
			if !released || handler.gate.held != 0 {
				t.Errorf("encoding %q: the samples are kept while the page is sent", encoding)
			}
			return nil
		}}, request)
		if writes != 1 {
			t.Errorf("encoding %q: %d writes, want 1", encoding, writes)
		}
	}
}
