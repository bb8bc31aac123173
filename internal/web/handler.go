// Package web serves the exporter's pages: the metrics, the landing page, and
// the health check.
package web

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// healthPath is the path of the health check, behind the prefix.
const healthPath = "/-/healthy"

// NewHandler returns the handler of all pages.
func NewHandler(cfg config.Web, pool *scrape.Pool, logger *slog.Logger) (http.Handler, error) {
	prefix := cfg.RoutePrefix
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix+cfg.TelemetryPath, newMetricsHandler(cfg, pool.Default(), logger))
	mux.HandleFunc("GET "+prefix+healthPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Healthy\n")
	})
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}
	if cfg.TelemetryPath != "/" {
		landing, err := newLandingPage(cfg.TelemetryPath)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET "+prefix+"/{$}", withHTMLHeaders(landing))
	}
	return withNosniff(refuseBodies(mux)), nil
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

// The values of security headers. The landing page has a style sheet in it and needs nothing else.
var (
	nosniff       = []string{"nosniff"}
	contentPolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	frameOptions  = []string{"DENY"}
	noReferrer    = []string{"no-referrer"}
)

// withNosniff keeps browsers from guessing the type of a page. Headers that the user configured stay as they are.
func withNosniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDefault(w.Header(), "X-Content-Type-Options", nosniff)
		next.ServeHTTP(w, r)
	})
}

// withHTMLHeaders restricts what browsers do with an HTML page. Headers that the user configured stay as they are.
func withHTMLHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
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
