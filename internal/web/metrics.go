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

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// metricsHandler serves the metrics of a target.
type metricsHandler struct {
	target target
	gate   *gate
	own    *ownMetrics
	logger *slog.Logger
}

// target is the Kamailio of the metrics. scrape.Target implements it.
type target interface {
	Scrape(ctx context.Context) (found *metric.Set, release func())
	Wait(patience time.Duration) time.Duration
}

func newMetricsHandler(cfg config.Web, target target, logger *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(versioncollector.NewCollector("kamailio_exporter"))
	limits := defaultLimits
	limits.requests = cfg.MaxRequests
	handler := &metricsHandler{
		target: target,
		gate:   newGate(limits),
		own:    &ownMetrics{registry: registry, logger: logger},
		logger: logger,
	}
	if !cfg.ExporterMetrics {
		return handler
	}
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.InstrumentMetricHandler(registry, handler)
}

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.target.Wait(h.patience(r)))
	defer cancel()
	if !h.gate.enter(ctx) {
		message := fmt.Sprintf("%d requests are being answered, which is the configured maximum, and none of them ended before the scrape timeout: try again later", h.gate.requests)
		http.Error(w, message, http.StatusServiceUnavailable)
		return
	}
	defer h.gate.leave()
	own := h.own.start()
	found, release := h.target.Scrape(ctx)
	h.answer(w, r, page{own: own(), found: found, names: r.URL.Query()["name[]"]}, release)
}

// answer writes the page in the format and the encoding that the request accepts. It
// calls release as soon as the samples are no longer needed.
func (h *metricsHandler) answer(w http.ResponseWriter, r *http.Request, p page, release func()) {
	sender := h.gate.send(w, p.size())
	defer sender.close()
	contentType := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(contentType))
	w.Header().Add("Vary", "Accept")
	w.Header().Add("Vary", "Accept-Encoding")
	dropped, err := respond(sender, r, func(buffer *bufio.Writer) error {
		defer sender.release()
		defer release()
		return p.write(buffer, contentType)
	})
	h.logFailure("Writing part of the page failed", dropped)
	h.logFailure("Answering a request failed", err)
}

// logFailure logs an error that is not nil. If the client disconnected or does not read,
// the level is debug: otherwise any client could fill the log.
func (h *metricsHandler) logFailure(message string, err error) {
	if err == nil {
		return
	}
	level := slog.LevelError
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "write" || errors.Is(err, errGivenUp) {
		level = slog.LevelDebug
	}
	h.logger.Log(context.Background(), level, message, "err", err)
}

// timeoutHeader has the scrape timeout of Prometheus, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// minPatience is the shortest scrape timeout that is not ignored, in seconds.
const minPatience = 0.01

// patience returns how long the scraper waits for the page, 0 if that is not known. A header without a valid time is ignored.
func (h *metricsHandler) patience(r *http.Request) time.Duration {
	text := r.Header.Get(timeoutHeader)
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= minPatience) || math.IsInf(seconds, 0) {
		h.logger.Debug("Ignoring a bad header", "header", timeoutHeader, "value", text)
		return 0
	}
	return time.Duration(min(seconds, maxPatience) * float64(time.Second))
}

// maxPatience is the longest scrape timeout, in seconds. A longer one is shortened, so that it fits a time.Duration.
const maxPatience = 1e6
