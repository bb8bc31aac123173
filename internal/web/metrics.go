package web

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// metricsHandler serves the metrics of a target.
type metricsHandler struct {
	// find returns the target and the selection for parameters. A nil scraper means that there is no target, but the page
	// exists. An error means that the parameters are wrong.
	find       func(values url.Values) (scraper, error)
	parameters []string // the names of the allowed parameters
	gate       *gate
	own        *ownMetrics // nil for none
	rejected   prometheus.Counter
	logger     *slog.Logger
}

// scraper is a target with a selection. scrape.Selection implements it.
type scraper interface {
	Scrape(ctx context.Context) (scrape.Scraped, error)
	Wait(patience time.Duration) time.Duration
}

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	values, err := parseParameters(r.URL.RawQuery, h.parameters)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	target, err := h.find(values)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if target == nil {
		target = noTarget{}
	}
	wait := target.Wait(h.patience(r))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + responseTime)) // fails in tests only
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	name := values.Get(targetParameter)
	if err := h.gate.enter(ctx, name); err != nil {
		h.reject(w, err)
		return
	}
	defer h.gate.leave(name)
	own := h.own.start()
	scraped, err := h.scrape(ctx, target, values)
	if err != nil {
		own()
		h.reject(w, err)
		return
	}
	p := page{own: own(), found: scraped.Set, names: values[nameParameter]}
	if scraped.Story != "" {
		h.answerDebug(w, r, scraped, p)
		return
	}
	h.answer(w, r, p, scraped.Release)
}

// responseTime is the maximum time for the response to a request after its wait. A page has the deadlines of its sender, too.
const responseTime = time.Minute

// reject answers a request that cannot be served now.
func (h *metricsHandler) reject(w http.ResponseWriter, err error) {
	h.rejected.Inc()
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// scrape scrapes the target. If a reload has replaced the target, it scrapes the new one.
func (h *metricsHandler) scrape(ctx context.Context, target scraper, values url.Values) (scrape.Scraped, error) {
	for {
		scraped, err := target.Scrape(ctx)
		if !errors.Is(err, scrape.ErrClosed) {
			return scraped, err
		}
		again, found := h.find(values)
		if found != nil || again == nil || again == target {
			return scraped, err
		}
		target = again
	}
}

// noTarget is a scraper without samples.
type noTarget struct{}

// Scrape implements scraper.
func (noTarget) Scrape(context.Context) (scrape.Scraped, error) {
	return scrape.Scraped{Set: metric.NewSet(), Release: func() {}}, nil
}

// Wait implements scraper.
func (noTarget) Wait(patience time.Duration) time.Duration {
	if patience > 0 {
		return patience
	}
	return time.Minute
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
	dropped, err := respond(sender, r, h.smallestCompressed(), func(buffer *bufio.Writer) error {
		defer sender.release()
		defer release()
		return p.write(buffer, contentType)
	})
	h.logFailures(dropped, err)
}

// smallestCompressed returns the size of the smallest page that is compressed, in bytes.
func (h *metricsHandler) smallestCompressed() int {
	if h.own == nil {
		return minProbe
	}
	return 0
}

// logFailures logs the errors of respond that are not nil. The level of sent is debug, because it is about the client: otherwise any
// client that disconnects or does not read could fill the log.
func (h *metricsHandler) logFailures(written, sent error) {
	if written != nil {
		h.logger.Error("Writing part of the page failed", "err", written)
	}
	if sent != nil {
		h.logger.Debug("Answering a request failed", "err", sent)
	}
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
