package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// metricsHandler serves the metrics of a target.
type metricsHandler struct {
	options     Options
	sendTimeout time.Duration
	places      chan struct{} // one for each request that may be under way
	own         *ownMetrics
}

func newMetricsHandler(options Options) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(versioncollector.NewCollector("kamailio_exporter"))
	handler := &metricsHandler{
		options:     options,
		sendTimeout: sendTimeout,
		places:      make(chan struct{}, maxRequests),
		own:         &ownMetrics{registry: registry, logger: options.Logger},
	}
	if !options.ExporterMetrics {
		return handler
	}
	registry.MustRegister(
		collectors.NewGoCollector(),
		newProcessCollector(),
	)
	return promhttp.InstrumentMetricHandler(registry, handler)
}

// maxRequests is how many requests for the metrics may be under way at once, of
// which each needs memory for its page.
const maxRequests = 40

// sendTimeout is how long whoever asks may take to take the page.
const sendTimeout = 15 * time.Second

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
	own := h.own.start()
	found, release := h.options.Target.Scrape(ctx)
	defer release()
	h.answer(w, r, page{own: own(), found: found, names: r.URL.Query()["name[]"]})
}

// answer writes the page in the format and the encoding that the request asks for.
func (h *metricsHandler) answer(w http.ResponseWriter, r *http.Request, p page) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.sendTimeout)) // a writer without one is a test's
	contentType := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(contentType))
	w.Header().Add("Vary", "Accept")
	w.Header().Add("Vary", "Accept-Encoding")
	left, err := respond(w, r, func(w *bufio.Writer) error { return p.write(w, contentType) })
	h.logFailure("Part of the page could not be written", left)
	h.logFailure("Answering a request failed", err)
}

// logFailure logs an error, if there is one. One who went away is no error of ours.
func (h *metricsHandler) logFailure(message string, err error) {
	if err == nil {
		return
	}
	level := slog.LevelError
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "write" {
		level = slog.LevelDebug
	}
	h.options.Logger.Log(context.Background(), level, message, "err", err)
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
