// Package web serves the exporter's pages: the metrics, the landing page, and
// the health check.
package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	pathlib "path"
	"strings"
	"time"

	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
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
		return refuseBodies(mux), nil
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
	return refuseBodies(mux), nil
}

// refuseBodies refuses requests for a page that have a body: the server would wait
// for it before it answers, and hold for as long what the answer needs.
func refuseBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // there is nothing else to be read from it
		w.Header().Set("Connection", "close")
		http.Error(w, "send the request without a body", http.StatusBadRequest)
	})
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
