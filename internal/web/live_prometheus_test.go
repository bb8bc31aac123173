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

// TestLivePrometheus has a real Prometheus scrape the same page as we write it and
// as the library does, and compares the samples that it has then.
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
		t.Errorf("Prometheus has of our page\n%s\nof the library's\n%s", strings.Join(ours, "\n"), strings.Join(library, "\n"))
	}
}

// startPrometheus starts a Prometheus that scrapes these two pages, and returns
// where it answers.
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
	// patience is how long Prometheus may take, for what takes it a second or two.
	patience = time.Minute
	// pollInterval is how often it is asked.
	pollInterval = 100 * time.Millisecond
)

// scrapedBy are the samples that Prometheus has of a job, when it has scraped it.
func scrapedBy(t *testing.T, api, job string) []string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		samples := query(t, api, fmt.Sprintf(`{job=%q,__name__!~"up|scrape_.*"}`, job))
		if len(samples) > 0 {
			return samples
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus has nothing of %s", job)
		}
		time.Sleep(pollInterval)
	}
}

func query(t *testing.T, api, expression string) []string {
	t.Helper()
	response, err := http.Get(api + "/api/v1/query?query=" + url.QueryEscape(expression)) //nolint:noctx // it is on this machine
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable { // it listens before it is ready
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
		delete(result.Metric, "job") // all else is the page's
		samples = append(samples, fmt.Sprint(result.Metric, result.Value[1]))
	}
	slices.Sort(samples)
	return samples
}
