package web

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// ownAge is the maximum age of the metrics of the exporter's own process. Gathering
// them takes several times as long as a small scrape.
const ownAge = time.Second

// ownMetrics gathers the metrics of the exporter's own process. It may be used
// concurrently.
type ownMetrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger

	latest    atomic.Pointer[ownFamilies]
	gathering sync.Mutex
}

// ownFamilies are the metrics that were gathered at one time. They do not change.
type ownFamilies struct {
	gathered time.Time
	families []*dto.MetricFamily // sorted by name
	text     [2]func() []piece   // by metric.Format
}

// piece is a family in a text format.
type piece struct {
	name string
	text []byte
}

// start starts gathering the families if the latest ones are too old. It returns a
// function that waits for them, so that a scrape can run at the same time. A nil
// *ownMetrics has no families.
func (o *ownMetrics) start() (wait func() *ownFamilies) {
	if o == nil {
		return func() *ownFamilies { return noFamilies }
	}
	if latest := o.latest.Load(); latest.fresh() {
		return func() *ownFamilies { return latest }
	}
	gathered := make(chan *ownFamilies, 1)
	go func() { gathered <- o.gather() }()
	return func() *ownFamilies { return <-gathered }
}

// gather returns the families. It gathers them if the latest ones are too old.
func (o *ownMetrics) gather() *ownFamilies {
	o.gathering.Lock()
	defer o.gathering.Unlock()
	if latest := o.latest.Load(); latest.fresh() {
		return latest
	}
	families, err := o.registry.Gather()
	if err != nil {
		o.logger.Error("Gathering the exporter's own metrics failed", "err", err)
	}
	own := newOwnFamilies(families, o.logger)
	o.latest.Store(own)
	return own
}

func (o *ownFamilies) fresh() bool { return o != nil && time.Since(o.gathered) < ownAge }

// noFamilies are no families.
var noFamilies = newOwnFamilies(nil, slog.New(slog.DiscardHandler))

func newOwnFamilies(families []*dto.MetricFamily, logger *slog.Logger) *ownFamilies {
	in := func(contentType expfmt.Format) func() []piece {
		return sync.OnceValue(func() []piece {
			pieces, err := writePieces(families, contentType)
			if err != nil {
				logger.Error("Writing the exporter's own metrics failed", "err", err)
			}
			return pieces
		})
	}
	own := &ownFamilies{gathered: time.Now(), families: families}
	own.text[metric.Text] = in(expfmt.FmtText)
	own.text[metric.OpenMetrics] = in(expfmt.FmtOpenMetrics_1_0_0)
	return own
}

// Gather implements prometheus.Gatherer. The error is always nil.
func (o *ownFamilies) Gather() ([]*dto.MetricFamily, error) { return o.families, nil }

// writePieces returns each family in a text format. The error names the families that
// were dropped because they cannot be written in the format.
func writePieces(families []*dto.MetricFamily, contentType expfmt.Format) ([]piece, error) {
	pieces := make([]piece, 0, len(families))
	var text bytes.Buffer
	var failed []error
	encoder := expfmt.NewEncoder(&text, contentType)
	for _, family := range families {
		start := text.Len()
		if err := encoder.Encode(family); err != nil {
			failed = append(failed, fmt.Errorf("write %s: %w", family.GetName(), err))
			continue
		}
		pieces = append(pieces, piece{family.GetName(), text.Bytes()[start:]})
	}
	return pieces, errors.Join(failed...)
}
