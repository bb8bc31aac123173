// Package web serves the exporter's pages: the metrics, the landing page, and
// the health check.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	pathlib "path"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/internal/scrape"
)

// Options are the settings of the pages.
type Options struct {
	// Target is what the metrics are of.
	Target *scrape.Target
	// TelemetryPath is where the metrics are, "/metrics" as a rule.
	TelemetryPath string
	// Timeout is the most that a scrape may take.
	Timeout time.Duration
	// ExporterMetrics tells whether metrics of the exporter's own process are
	// shown too: go_*, process_* and promhttp_*.
	ExporterMetrics bool
	// Logger gets what goes wrong in answering a request.
	Logger *slog.Logger
}

// healthPath is where to ask whether the exporter lives.
const healthPath = "/-/healthy"

// NewHandler makes the handler of all pages. A path that cannot be one is an
// error.
func NewHandler(options Options) (http.Handler, error) {
	if err := checkPath(options.TelemetryPath); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+options.TelemetryPath, newMetricsHandler(options))
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Healthy\n")
	})
	if options.TelemetryPath == "/" {
		return mux, nil
	}
	landing, err := toolkit.NewLandingPage(toolkit.LandingConfig{
		Name:        "Kamailio exporter",
		Description: "Prometheus exporter for the Kamailio SIP server",
		Version:     version.Info(),
		Profiling:   "false",
		Links: []toolkit.LandingLinks{
			{Address: options.TelemetryPath, Text: "Metrics"},
			{Address: healthPath, Text: "Health", Description: "whether the exporter lives"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the landing page: %w", err)
	}
	mux.Handle("GET /{$}", landing)
	return mux, nil
}

func checkPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("the path %q must start with a slash", path)
	case strings.ContainsAny(path, "{}? #%") || strings.Contains(path, "//"):
		return fmt.Errorf("the path %q must not have //, {, }, ?, #, %% or a space in it", path)
	case pathlib.Clean(path) != path && pathlib.Clean(path)+"/" != path:
		return fmt.Errorf("the path %q must not have . or .. in it", path)
	case path == healthPath:
		return errors.New("the path " + healthPath + " is that of the health check")
	}
	return nil
}

// metricsHandler serves the metrics of a target.
type metricsHandler struct {
	options  Options
	places   chan struct{}        // one for each request that may be under way
	registry *prometheus.Registry // the exporter's own metrics
}

func newMetricsHandler(options Options) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(versioncollector.NewCollector("kamailio_exporter"))
	handler := &metricsHandler{options: options, places: make(chan struct{}, maxRequests), registry: registry}
	if !options.ExporterMetrics {
		return handler
	}
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.InstrumentMetricHandler(registry, handler)
}

// maxRequests is how many requests for the metrics may be under way at once, of
// which each needs memory for its page.
const maxRequests = 100

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		http.Error(w, fmt.Sprintf("%d requests are under way, try again later", maxRequests), http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), Budget(h.limit(r)))
	defer cancel()
	found := h.options.Target.Scrape(ctx)
	promhttp.HandlerFor(prometheus.Gatherers{h.registry, found}, promhttp.HandlerOpts{
		ErrorLog:          &errorLog{logger: h.options.Logger},
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
	}).ServeHTTP(w, r)
}

// timeoutHeader is where Prometheus says how long it will wait.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// leastSeconds is the shortest limit that somebody may mean.
const leastSeconds = 0.01

// limit is how long the scrape may take: our own limit, or Prometheus' if that
// is shorter. A header that is no time counts for nothing.
func (h *metricsHandler) limit(r *http.Request) time.Duration {
	limit := h.options.Timeout
	text := r.Header.Get(timeoutHeader)
	if text == "" {
		return limit
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= leastSeconds) || math.IsInf(seconds, 0) {
		h.options.Logger.Debug("Ignoring a bad header", "header", timeoutHeader, "value", text)
		return limit
	}
	if seconds >= limit.Seconds() {
		return limit
	}
	return time.Duration(seconds * float64(time.Second))
}

// Budget is how much of a scrape's time Kamailio gets; the rest is for making
// the page and for its way to Prometheus.
func Budget(limit time.Duration) time.Duration {
	return limit - min(limit/10, 500*time.Millisecond)
}

// errorLog logs the first error of a request: promhttp has one for each family
// that it could not write. One who went away is no error of ours.
type errorLog struct {
	logger *slog.Logger
	logged bool
}

// Println implements promhttp.Logger.
func (l *errorLog) Println(v ...any) {
	if l.logged {
		return
	}
	l.logged = true
	level := slog.LevelError
	for _, value := range v {
		if err, ok := value.(error); ok {
			if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "write" {
				level = slog.LevelDebug
			}
		}
	}
	l.logger.Log(context.Background(), level, "Answering a request failed", "err", fmt.Sprintln(v...))
}
