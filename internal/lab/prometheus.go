//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

const (
	// prometheusTimeout is the longest time that [Prometheus.Await] waits. A change of the targets takes about ten seconds on an
	// idle machine.
	prometheusTimeout = 2 * time.Minute
	// queryInterval is the time between two queries of [Prometheus.Await].
	queryInterval = 100 * time.Millisecond
)

// Prometheus is a running Prometheus server of Debian bookworm, for a test. Its methods must be called from the goroutine of the
// test, because they end the test if they fail.
type Prometheus struct {
	// URL is the URL of the server, without a slash at the end.
	URL string

	tb testing.TB
}

// StartPrometheus starts a Prometheus with the text of a configuration file, and returns when it answers queries. It ends with
// the test. The test is skipped with -short.
func StartPrometheus(tb testing.TB, config string) *Prometheus {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts a real Prometheus; run without -short")
	}
	dir := tb.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	// The server ends before the files of the test are removed, and after its context has ended.
	server, err := RunPrometheus(context.WithoutCancel(tb.Context()), file, filepath.Join(dir, "data"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		server.Stop()
		if tb.Failed() {
			tb.Logf("Prometheus' log:\n%s", server.Log)
		}
	})
	p := &Prometheus{URL: server.URL, tb: tb}
	p.awaitReady()
	return p
}

// awaitReady waits until the server answers queries. It listens before that.
func (p *Prometheus) awaitReady() {
	p.tb.Helper()
	for deadline := time.Now().Add(prometheusTimeout); ; time.Sleep(queryInterval) {
		response := p.get("/-/ready")
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("Prometheus is not ready after %v: %s", prometheusTimeout, response.Status)
		}
	}
}

// get requests a page. The caller must close the body.
func (p *Prometheus) get(path string) *http.Response {
	p.tb.Helper()
	request, err := http.NewRequestWithContext(p.tb.Context(), http.MethodGet, p.URL+path, http.NoBody)
	if err != nil {
		p.tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.tb.Fatal(err)
	}
	return response
}

// Query returns the present samples of a PromQL expression whose value is an instant vector. Their order is not defined.
func (p *Prometheus) Query(expression string) model.Vector {
	p.tb.Helper()
	var samples model.Vector
	p.query("/api/v1/query?query="+url.QueryEscape(expression), &samples)
	return samples
}

// QueryRange returns the values of a PromQL expression from a time until now, one for each second.
func (p *Prometheus) QueryRange(expression string, from time.Time) model.Matrix {
	p.tb.Helper()
	parameters := url.Values{
		"query": {expression}, "step": {"1"},
		"start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix(), 10)},
	}
	var series model.Matrix
	p.query("/api/v1/query_range?"+parameters.Encode(), &series)
	return series
}

// query stores the result of a request to the API.
func (p *Prometheus) query(path string, result any) {
	p.tb.Helper()
	response := p.get(path)
	defer response.Body.Close()
	reply := struct {
		Error string
		Data  struct{ Result any }
	}{Data: struct{ Result any }{result}}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		p.tb.Fatalf("%s: %s: %v", path, response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		p.tb.Fatalf("%s: %s: %s", path, response.Status, reply.Error)
	}
}

// Await repeats a query until its samples satisfy a condition, and returns them. It ends the test if they do not after two
// minutes. want describes the condition for that error.
func (p *Prometheus) Await(expression, want string, condition func(model.Vector) bool) model.Vector {
	p.tb.Helper()
	for deadline := time.Now().Add(prometheusTimeout); ; time.Sleep(queryInterval) {
		samples := p.Query(expression)
		if condition(samples) {
			return samples
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("%s is not %s after %v; it is\n%v", expression, want, prometheusTimeout, samples)
		}
	}
}
