package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// testRequests is the default of the maximum number of requests that are answered at the same time.
const testRequests = 40

// newTestHandler returns the handler of all pages for arguments of the command line.
func newTestHandler(tb testing.TB, log io.Writer, args ...string) http.Handler {
	tb.Helper()
	cfg, err := config.Parse(append([]string{"--kamailio.timeout=1m"}, args...))
	if err != nil {
		tb.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	pool := scrape.NewPool(cfg, logger)
	tb.Cleanup(func() {
		if err := pool.Close(); err != nil {
			tb.Error(err)
		}
	})
	handler, err := NewHandler(cfg, pool, nil, logger)
	if err != nil {
		tb.Fatal(err)
	}
	return handler
}

// get reads a whole page.
func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// goneWriter is a client that has disconnected.
type goneWriter struct{ header http.Header }

func (w goneWriter) Header() http.Header { return w.header }
func (goneWriter) WriteHeader(int)       {}
func (goneWriter) Write([]byte) (int, error) {
	return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

func TestDisconnectIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	handler := newTestHandler(t, &log, "-u", "unix:/no/such/socket")
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	log.Reset() // remove the line about Kamailio
	handler.ServeHTTP(goneWriter{http.Header{}}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if log.Len() > 0 {
		t.Errorf("log %s", log.String())
	}
}

// TestRequestAboveTheLimitGets503 has the maximum number of requests wait for a Kamailio that hangs, and one more.
func TestRequestAboveTheLimitGets503(t *testing.T) {
	asked, answer := make(chan struct{}, testRequests), make(chan struct{})
	set := fixedPage(t).found
	server := httptest.NewServer(stubHandler(patientLimits(testRequests), func(context.Context) (*metric.Set, func()) {
		asked <- struct{}{}
		<-answer
		return set, func() {}
	}))
	defer server.Close()
	statuses := make(chan int, testRequests)
	for range testRequests {
		go func() {
			status, _ := get(t, http.DefaultClient, server.URL)
			statuses <- status
		}()
	}
	for range testRequests {
		<-asked
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(timeoutHeader, "0.05")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "40 requests are being answered, which is the configured maximum") {
		t.Errorf("%s: %s, %v", response.Status, body, err)
	}
	close(answer)
	for range testRequests {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}

// TestRequestAboveTheLimitWaits has one place and two requests. The second one is answered after the first one.
func TestRequestAboveTheLimitWaits(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	set := fixedPage(t).found
	server := httptest.NewServer(stubHandler(patientLimits(1), func(context.Context) (*metric.Set, func()) {
		asked <- struct{}{}
		<-answer
		return set, func() {}
	}))
	defer server.Close()
	statuses := make(chan int, 2)
	for range 2 {
		go func() {
			status, _ := get(t, http.DefaultClient, server.URL)
			statuses <- status
		}()
	}
	<-asked
	close(answer)
	for range 2 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}

// TestRequestsWithMissingBodyDoNotBlockOthers announces bodies and does not send them.
func TestRequestsWithMissingBodyDoNotBlockOthers(t *testing.T) {
	server := httptest.NewServer(newTestHandler(t, io.Discard, "-u", "unix:/no/such/socket"))
	defer server.Close()
	for range testRequests + 1 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // until the server closes the connection
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Fatalf("%v %s", err, answer)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %s", response.Status)
	}
}

// TestMissingBodyEndsTheRequest sends the header of a request, and never its body.
func TestMissingBodyEndsTheRequest(t *testing.T) {
	server := httptest.NewServer(limitBodies(http.NotFoundHandler(), time.Millisecond))
	defer server.Close()
	for _, header := range []string{"Content-Length: 9", "Transfer-Encoding: chunked"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := io.ReadAll(conn) // until the server closes the connection
		if err != nil || !strings.Contains(string(response), "404") {
			t.Errorf("%s: the response is %q, error %v", header, response, err)
		}
	}
}

// TestClientsCannotFillTheLog has the errors of sending a page, over HTTP/1 and HTTP/2, and one of making it.
func TestClientsCannotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	h := &metricsHandler{logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{errGivenUp, os.ErrDeadlineExceeded, errors.New("client disconnected"), &net.OpError{Op: "write", Err: syscall.EPIPE}} {
		h.logFailures(nil, err)
	}
	if log.Len() > 0 {
		t.Errorf("the log is\n%s", &log)
	}
	h.logFailures(errors.New("a family was dropped"), nil)
	if !strings.Contains(log.String(), "a family was dropped") {
		t.Errorf("the log is\n%s", &log)
	}
}
