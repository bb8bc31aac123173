//go:build linux

package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// TestLivePrometheus has a real Prometheus scrape the same page as the exporter and as
// the library write it, and compares the samples in Prometheus.
func TestLivePrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Prometheus; run without -short")
	}
	p := fixedPage(t)
	handler := &metricsHandler{gate: newGate(defaultLimits), logger: slog.New(slog.DiscardHandler)}
	mux := http.NewServeMux()
	mux.HandleFunc("/ours", func(w http.ResponseWriter, r *http.Request) { handler.answer(w, r, p, func() {}) })
	mux.Handle("/library", promhttp.HandlerFor(prometheus.Gatherers{p.own, p.found}, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := httptest.NewServer(mux)
	defer server.Close()
	api := startPrometheus(t, strings.TrimPrefix(server.URL, "http://"))
	ours, library := scrapedBy(t, api, "ours"), scrapedBy(t, api, "library")
	if !slices.Equal(ours, library) || len(ours) < 100 {
		t.Errorf("samples of the exporter's page\n%s\nof the library's\n%s", strings.Join(ours, "\n"), strings.Join(library, "\n"))
	}
}

// startPrometheus starts a Prometheus that scrapes both pages of a server, and returns
// the URL of Prometheus.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	program, err := lab.Tool(t.Context(), "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`{global: {scrape_interval: 1s}, scrape_configs: [
		{job_name: ours, metrics_path: /ours, static_configs: [{targets: [%q]}]},
		{job_name: library, metrics_path: /library, static_configs: [{targets: [%q]}]}]}`, target, target)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:0")
	cmd.WaitDelay = patience
	log := child.NewLog()
	cmd.Stderr = log
	running, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		<-running.Done()
	})
	listening, err := log.Await(child.Listening, running.Done(), patience)
	if err != nil {
		t.Fatal("Prometheus: ", err)
	}
	return "http://" + listening[1]
}

const (
	// patience is the maximum time to wait for Prometheus, which needs a second or two.
	patience = time.Minute
	// pollInterval is the time between two queries.
	pollInterval = 100 * time.Millisecond
)

// scrapedBy waits until Prometheus has scraped a job, and returns the samples.
func scrapedBy(t *testing.T, api, job string) []string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		samples := query(t, api, fmt.Sprintf(`{job=%q,__name__!~"up|scrape_.*"}`, job))
		if len(samples) > 0 {
			return samples
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus has no samples of %s", job)
		}
		time.Sleep(pollInterval)
	}
}

// query returns the samples of a PromQL expression, sorted.
func query(t *testing.T, api, expression string) []string {
	t.Helper()
	response, err := http.Get(api + "/api/v1/query?query=" + url.QueryEscape(expression)) //nolint:noctx // Prometheus ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable { // Prometheus listens before it is ready
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var samples []string
	for _, result := range answer.Data.Result {
		delete(result.Metric, "job") // the other labels are those of the page
		samples = append(samples, fmt.Sprint(result.Metric, result.Value[1]))
	}
	slices.Sort(samples)
	return samples
}
