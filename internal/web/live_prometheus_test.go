//go:build linux

package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLivePrometheus has a real Prometheus scrape the same page as the exporter and as
// the library write it, and compares the samples in Prometheus.
func TestLivePrometheus(t *testing.T) {
	p := fixedPage(t)
	handler := &metricsHandler{gate: newGate(defaultLimits), logger: slog.New(slog.DiscardHandler)}
	mux := http.NewServeMux()
	mux.HandleFunc("/ours", func(w http.ResponseWriter, r *http.Request) { handler.answer(w, r, p, func() {}) })
	mux.Handle("/library", promhttp.HandlerFor(prometheus.Gatherers{p.own, p.found}, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := httptest.NewServer(mux)
	defer server.Close()
	scraper := lab.StartPrometheus(t, fmt.Sprintf(`{global: {scrape_interval: 1s}, scrape_configs: [
		{job_name: ours, metrics_path: /ours, static_configs: [{targets: [%[1]q]}]},
		{job_name: library, metrics_path: /library, static_configs: [{targets: [%[1]q]}]}]}`, strings.TrimPrefix(server.URL, "http://")))
	ours, library := scrapedBy(scraper, "ours"), scrapedBy(scraper, "library")
	if !slices.Equal(ours, library) || len(ours) < 100 {
		t.Errorf("samples of the exporter's page\n%s\nof the library's\n%s", strings.Join(ours, "\n"), strings.Join(library, "\n"))
	}
}

// scrapedBy waits until Prometheus has scraped a job, and returns the samples without the label job, sorted.
func scrapedBy(p *lab.Prometheus, job string) []string {
	expression := fmt.Sprintf(`{job=%q,__name__!~"up|scrape_.*"}`, job)
	var samples []string
	for _, sample := range p.Await(expression, "there", func(samples model.Vector) bool { return len(samples) > 0 }) {
		delete(sample.Metric, "job") // the other labels are those of the page
		samples = append(samples, fmt.Sprint(sample.Metric, sample.Value))
	}
	slices.Sort(samples)
	return samples
}
