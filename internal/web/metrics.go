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

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// metricsHandler serves the metrics of a target.
type metricsHandler struct {
	options Options
	scrape  func(context.Context) (found *metric.Set, release func())
	gate    *gate
	own     *ownMetrics
}

func newMetricsHandler(options Options) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(versioncollector.NewCollector("kamailio_exporter"))
	limits := defaultLimits
	limits.requests = options.MaxRequests
	handler := &metricsHandler{
		options: options,
		scrape:  options.Target.Scrape,
		gate:    newGate(limits),
		own:     &ownMetrics{registry: registry, logger: options.Logger},
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

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), Budget(h.limit(r)))
	defer cancel()
	if !h.gate.enter(ctx) {
		message := fmt.Sprintf("%d requests are being answered, as many as --web.max-requests allows, and none ended in the time of this scrape: try again later", h.gate.requests)
		http.Error(w, message, http.StatusServiceUnavailable)
		return
	}
	defer h.gate.leave()
	own := h.own.start()
	found, release := h.scrape(ctx)
	h.answer(w, r, page{own: own(), found: found, names: r.URL.Query()["name[]"]}, release)
}

// answer writes the page in the format and the encoding that the request asks for,
// and calls release as soon as the samples are not needed any more.
func (h *metricsHandler) answer(w http.ResponseWriter, r *http.Request, p page, release func()) {
	sender := h.gate.send(w, p.size())
	defer sender.close()
	contentType := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(contentType))
	w.Header().Add("Vary", "Accept")
	w.Header().Add("Vary", "Accept-Encoding")
	left, err := respond(sender, r, func(buffer *bufio.Writer) error {
		defer sender.release()
		defer release()
		return p.write(buffer, contentType)
	})
	h.logFailure("Part of the page could not be written", left)
	h.logFailure("Answering a request failed", err)
}

// logFailure logs an error, if there is one. That a client goes away or does not read
// is logged for debugging only: otherwise any client could fill the log.
func (h *metricsHandler) logFailure(message string, err error) {
	if err == nil {
		return
	}
	level := slog.LevelError
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "write" || errors.Is(err, errGivenUp) {
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
