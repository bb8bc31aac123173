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

// healthPath is the path of the health check, without the route prefix.
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

// newLandingPage returns the handler of the landing page. Its links are relative to its
// own path, so that they work behind any proxy.
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
			{Address: healthPath, Text: "Health", Description: "status 200 while the exporter is running"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the landing page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = here // the page accepts requests for its RoutePrefix only
		page.ServeHTTP(w, r)
	}), nil
}

// The values of security headers. The landing page contains its style sheet and loads nothing.
var (
	nosniff       = []string{"nosniff"}
	contentPolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	frameOptions  = []string{"DENY"}
	noReferrer    = []string{"no-referrer"}
)

// withNosniff sets the header with which browsers do not guess the type of a page, unless the user configured it.
func withNosniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDefault(w.Header(), "X-Content-Type-Options", nosniff)
		next.ServeHTTP(w, r)
	})
}

// withHTMLHeaders sets headers with which browsers do not load anything for a page and do not show it in frames, unless the
// user configured them.
func withHTMLHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		setDefault(header, "Content-Security-Policy", contentPolicy)
		setDefault(header, "X-Frame-Options", frameOptions)
		setDefault(header, "Referrer-Policy", noReferrer)
		next.ServeHTTP(w, r)
	})
}

// setDefault sets a header that is not set yet.
func setDefault(header http.Header, canonicalName string, value []string) {
	if header[canonicalName] == nil {
		header[canonicalName] = value
	}
}

// refuseBodies refuses GET and HEAD requests with a body. The server would wait for the
// body before it responds, and keep the memory of the response until then.
func refuseBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // do not read the body
		w.Header().Set("Connection", "close")
		http.Error(w, "send the request without a body", http.StatusBadRequest)
	})
}
