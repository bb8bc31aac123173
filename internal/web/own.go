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

// ownAge is how old the metrics of the exporter's own process may be. To gather
// them costs several times what a small scrape costs.
const ownAge = time.Second

// ownMetrics are the metrics of the exporter's own process. They may be used
// concurrently.
type ownMetrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger

	latest    atomic.Pointer[ownFamilies]
	gathering sync.Mutex
}

// ownFamilies is what was gathered at one time. It never changes.
type ownFamilies struct {
	gathered time.Time
	families []*dto.MetricFamily // by name
	text     [2]func() []piece   // by metric.Format
}

// piece is a family in a text format.
type piece struct {
	name string
	text []byte
}

// start sees to it that there are families that are not too old, and returns what
// waits for them: a scrape can go on meanwhile.
func (o *ownMetrics) start() (wait func() *ownFamilies) {
	if latest := o.latest.Load(); latest.fresh() {
		return func() *ownFamilies { return latest }
	}
	gathered := make(chan *ownFamilies, 1)
	go func() { gathered <- o.gather() }()
	return func() *ownFamilies { return <-gathered }
}

// gather gathers, unless somebody else just did.
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

// Gather gives the families to client_golang.
func (o *ownFamilies) Gather() ([]*dto.MetricFamily, error) { return o.families, nil }

// writePieces writes families in a text format, one by one. Those that have no
// form there are left out, and told of in the error.
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
