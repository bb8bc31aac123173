// Package web serves the exporter's pages: the metrics, the status pages, and
// the health check.
package web

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// healthPath is the path of the health check, without the route prefix.
const healthPath = "/-/healthy"

// probePath is the path of the metrics of one target, without the route prefix.
const probePath = "/probe"

// Handler serves all pages. It may be used concurrently.
type Handler struct {
	http.Handler
	pool     *scrape.Pool
	gate     *gate
	reloader *reloader
	logger   *slog.Logger
}

// NewHandler returns the handler of all pages. load loads the configuration again; it is nil if there is no configuration file.
func NewHandler(cfg *config.Config, pool *scrape.Pool, load func() (*config.Config, error), logger *slog.Logger) (*Handler, error) {
	registry := prometheus.NewRegistry()
	limits := defaultLimits
	limits.requests, limits.targets = cfg.Web.MaxRequests, len(cfg.All())
	h := &Handler{pool: pool, gate: newGate(limits), reloader: newReloader(load, registry), logger: logger}
	mux := http.NewServeMux()
	h.addMetrics(mux, cfg.Web, registry)
	h.addChecks(mux, cfg.Web)
	prefix := cfg.Web.RoutePrefix
	mux.Handle("GET "+prefix+discoveryPath, newDiscovery(cfg.Web, pool, logger))
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}
	newStatusPages(cfg, pool, logger).addTo(mux)
	h.Handler = withNosniff(limitBodies(mux, bodyTimeout))
	return h, nil
}

// MaxRequests returns the maximum number of requests for metrics that are answered at the same time. A reload may change it.
func (h *Handler) MaxRequests() int { return h.gate.limit() }

// addMetrics adds the pages with metrics.
func (h *Handler) addMetrics(mux *http.ServeMux, cfg config.Web, registry *prometheus.Registry) {
	rejected := prometheus.NewCounter(prometheus.CounterOpts{Name: "kamailio_exporter_requests_rejected_total",
		Help: "Number of requests for metrics that got status 503 because of a limit."})
	registry.MustRegister(rejected, versioncollector.NewCollector("kamailio_exporter"),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamailio_exporter_targets", Help: "Number of targets of the configuration."},
			func() float64 { return float64(h.pool.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamailio_exporter_polls_running", Help: "Number of polls of all targets that are running."},
			func() float64 { return float64(h.pool.Running()) }))
	telemetry := &metricsHandler{
		find:       func(values url.Values) (scraper, error) { return findDefault(h.pool, values) },
		parameters: []string{collectParameter, nameParameter},
		gate:       h.gate, own: &ownMetrics{registry: registry, logger: h.logger}, rejected: rejected, logger: h.logger,
	}
	probe := &metricsHandler{
		find:       func(values url.Values) (scraper, error) { return findProbe(h.pool, values) },
		parameters: probeParameters,
		gate:       h.gate, rejected: rejected, logger: h.logger,
	}
	mux.Handle("GET "+cfg.RoutePrefix+cfg.TelemetryPath, withOwnMetrics(cfg, registry, telemetry))
	mux.Handle("GET "+cfg.RoutePrefix+probePath, probe)
}

// findDefault returns the target of the telemetry path with the methods that the parameters name. There may be no target.
func findDefault(pool *scrape.Pool, values url.Values) (scraper, error) {
	target, collect := pool.Default(), values[collectParameter]
	switch {
	case target != nil:
		return target.Select("", collect)
	case len(collect) > 0:
		return nil, fmt.Errorf("this page has no target, so that it cannot have the parameter %s: use %s", collectParameter, probePath)
	default:
		return nil, nil //nolint:nilnil // the page exists
	}
}

// withOwnMetrics registers the metrics of the exporter's own process, and counts the requests of the page that has them, unless
// the user does not want them.
func withOwnMetrics(cfg config.Web, registry *prometheus.Registry, page http.Handler) http.Handler {
	if !cfg.ExporterMetrics {
		return page
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.InstrumentMetricHandler(registry, page)
}

// addChecks adds the health and readiness checks, and the page that reloads the configuration file.
func (h *Handler) addChecks(mux *http.ServeMux, cfg config.Web) {
	reply := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	mux.Handle("GET "+cfg.RoutePrefix+healthPath, reply("Healthy\n"))
	mux.Handle("GET "+cfg.RoutePrefix+readyPath, reply("Ready\n"))
	reload := http.HandlerFunc(h.serveReload)
	if !cfg.Lifecycle {
		reload = func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "reloading over HTTP is not enabled; the signal SIGHUP reloads the configuration file too", http.StatusForbidden)
		}
	}
	mux.Handle("POST "+cfg.RoutePrefix+reloadPath, reload)
}

// The values of security headers. The status pages load their style sheet only.
var (
	nosniff       = []string{"nosniff"}
	contentPolicy = []string{"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"}
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

// bodyTimeout is the maximum time in which a client sends the body of a request. No page reads it.
const bodyTimeout = 10 * time.Second

// limitBodies refuses GET and HEAD requests with a body, and ends the wait for the body of another request after a timeout. The
// server would wait for the body before it responds, without end, and keep the memory of the response until then.
func limitBodies(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) // fails in tests only
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // do not read the body
		w.Header().Set("Connection", "close")
		http.Error(w, "send the request without a body", http.StatusBadRequest)
	})
}
