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
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// patientLimits give no client up because of time, so that tests do not depend on it.
func patientLimits(requests int) limits {
	return limits{requests: requests, memory: 1 << 30, stall: time.Hour, patience: time.Millisecond, total: time.Hour}
}

// stubTarget is a target whose scrapes return what the function returns.
type stubTarget func(context.Context) (*metric.Set, func())

func (s stubTarget) Scrape(ctx context.Context) (*metric.Set, func()) { return s(ctx) }

func (stubTarget) Wait(patience time.Duration) time.Duration {
	if patience == 0 {
		return time.Minute
	}
	return patience
}

// stubHandler serves pages of samples that scrape returns.
func stubHandler(l limits, scrape stubTarget) *metricsHandler {
	logger := slog.New(slog.DiscardHandler)
	return &metricsHandler{
		target: scrape,
		gate:   newGate(l),
		own:    &ownMetrics{registry: prometheus.NewRegistry(), logger: logger},
		logger: logger,
	}
}

// askAndNeverRead sends a request and reads nothing of the response.
func askAndNeverRead(t *testing.T, server *httptest.Server, headers string) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil { //nolint:errcheck // it was dialled as one
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// TestClientsThatDoNotReadKeepNobodyOut has more clients than requests are answered at once ask for a page of 7 MB and
// read nothing. Those that read get the whole page, although no time is up.
func TestClientsThatDoNotReadKeepNobodyOut(t *testing.T) {
	const requests, idle, readers = 40, 45, 5
	set := manySamples(4000)
	asked := make(chan struct{}, idle+readers)
	handler := stubHandler(patientLimits(requests), func(context.Context) (*metric.Set, func()) {
		asked <- struct{}{}
		return set, func() {}
	})
	server := httptest.NewServer(handler)
	defer server.CloseClientConnections() // before the clients are, whose pages the server would wait for
	for range idle {
		askAndNeverRead(t, server, "")
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

// TestClientsOfHTTP2ThatDoNotReadKeepNobodyOut has a client of HTTP/2 read nothing of a page, and another one ask for the only place.
func TestClientsOfHTTP2ThatDoNotReadKeepNobodyOut(t *testing.T) {
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
		t.Error("the page that was not read is whole")
	}
}

// TestPagesThatAreNotReadTakeLittleMemory has 60 clients that read nothing, each of a page of its own.
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
			server.Listener = smallBuffers{server.Listener} // which a page does not fit into
			server.Start()
			defer server.CloseClientConnections()
			before := heap()
			for range clients {
				askAndNeverRead(t, server, headers)
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

// smallBuffers is a listener whose connections have small buffers in the kernel.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(4096) //nolint:errcheck // it is one
	}
	return conn, err
}

// incompressible returns samples with labels that gzip makes hardly shorter than half.
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
	runtime.GC() // the first one only moves what pools have
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestClientsThatStopReadingAreGivenUp has a client that reads nothing, when no other request is there.
func TestClientsThatStopReadingAreGivenUp(t *testing.T) {
	for name, change := range map[string]func(*limits){
		"stalls":       func(l *limits) { l.stall = 10 * time.Millisecond },
		"takes long":   func(l *limits) { l.total = 10 * time.Millisecond },
		"over at once": func(l *limits) { l.stall, l.total = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			l := patientLimits(1)
			change(&l)
			set := manySamples(4000)
			released := make(chan struct{})
			server := httptest.NewServer(stubHandler(l, func(context.Context) (*metric.Set, func()) { return set, func() { close(released) } }))
			defer server.CloseClientConnections()
			askAndNeverRead(t, server, "")
			<-released
		})
	}
}

// stubWriter is a client whose deadlines are recorded.
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

// stuckWriter is a client that reads nothing until its deadline.
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

// TestTheSlowestClientIsGivenUp has two clients read nothing, another one everything. For one page too many, the first of
// the two is given up, and for the next the second.
func TestTheSlowestClientIsGivenUp(t *testing.T) {
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
		t.Errorf("%d bytes are held, by %d", g.held, len(g.senders))
	}
}

// TestEachPartOfAPageHasItsTime looks at the deadlines of the parts of one.
func TestEachPartOfAPageHasItsTime(t *testing.T) {
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

// TestALargePageIsSentWhereNothingElseIs has one that is larger than all pages may be together.
func TestALargePageIsSentWhereNothingElseIs(t *testing.T) {
	l := patientLimits(1)
	l.memory, l.patience = 100, 0
	if _, err := newGate(l).send(&stubWriter{}, 1000).Write(nil); err != nil {
		t.Error(err)
	}
}

// TestSamplesAreReleasedBeforeTheEndIsRead looks at whether samples are still kept when the last part of a page, which
// for most pages is all of it, is written to the client.
func TestSamplesAreReleasedBeforeTheEndIsRead(t *testing.T) {
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
				t.Errorf("%q: the samples are kept while the page is sent", encoding)
			}
			return nil
		}}, request)
		if writes != 1 {
			t.Errorf("%q: %d writes", encoding, writes)
		}
	}
}
