// Package web serves the exporter's pages: the metrics, the landing page, and
// the health check.
package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// Options are the settings of the pages.
type Options struct {
	// Target is what the metrics are of.
	Target *scrape.Target
	// RoutePrefix is what the paths of all pages start with, as RoutePrefix returns
	// it: "/kamailio", or empty for none.
	RoutePrefix string
	// TelemetryPath is the path of the metrics behind the prefix, "/metrics" as a rule.
	TelemetryPath string
	// Timeout is the most that a scrape may take.
	Timeout time.Duration
	// MaxRequests is how many requests for the metrics are answered at once. It
	// must be positive.
	MaxRequests int
	// ExporterMetrics adds the metrics of the exporter's own process: go_*,
	// process_* and promhttp_*.
	ExporterMetrics bool
	// Logger gets what goes wrong in answering a request.
	Logger *slog.Logger
}

// healthPath is the path of the health check, behind the prefix.
const healthPath = "/-/healthy"

// NewHandler returns the handler of all pages. A TelemetryPath that is not valid is
// an error.
func NewHandler(options Options) (http.Handler, error) {
	if err := checkPath(options.TelemetryPath); err != nil {
		return nil, err
	}
	if options.TelemetryPath == healthPath {
		return nil, errors.New("the path " + healthPath + " is that of the health check")
	}
	prefix := options.RoutePrefix
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix+options.TelemetryPath, newMetricsHandler(options))
	mux.HandleFunc("GET "+prefix+healthPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Healthy\n")
	})
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}
	if options.TelemetryPath != "/" {
		landing, err := newLandingPage(options.TelemetryPath)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET "+prefix+"/{$}", landing)
	}
	return secureHeaders(refuseBodies(mux)), nil
}

// newLandingPage returns the handler of a page with links that are relative to its own
// path, so that they are right behind any proxy.
func newLandingPage(telemetryPath string) (http.Handler, error) {
	const here = "./"
	page, err := toolkit.NewLandingPage(toolkit.LandingConfig{
		RoutePrefix: here,
		Name:        "Kamailio exporter",
		Description: "Prometheus exporter for the Kamailio SIP server",
		Version:     version.Info(),
		Profiling:   "false",
		Links: []toolkit.LandingLinks{
			{Address: telemetryPath, Text: "Metrics"},
			{Address: healthPath, Text: "Health", Description: "answers while the exporter is running"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the landing page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = here // the page answers requests for its RoutePrefix only
		page.ServeHTTP(w, r)
	}), nil
}

// The values of security headers. The page has a style sheet in it and needs nothing else.
var (
	nosniff       = []string{"nosniff"}
	contentPolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	frameOptions  = []string{"DENY"}
	noReferrer    = []string{"no-referrer"}
)

// secureHeaders tells browsers to take no page for something else, and to do nothing
// on its behalf. Headers that the file of --web.config.file sets stay as they are.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		setDefault(header, "X-Content-Type-Options", nosniff)
		setDefault(header, "Content-Security-Policy", contentPolicy)
		setDefault(header, "X-Frame-Options", frameOptions)
		setDefault(header, "Referrer-Policy", noReferrer)
		next.ServeHTTP(w, r)
	})
}

func setDefault(header http.Header, canonicalName string, value []string) {
	if header[canonicalName] == nil {
		header[canonicalName] = value
	}
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
