package web

import (
	"bufio"
	"errors"
	"io"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// page is the response to a request for metrics.
type page struct {
	own   *ownFamilies
	found *metric.Set
	// names are the names of the families to show; empty means all.
	names []string
}

// mergedSize is the approximate size of a sample of the routing script, in bytes.
const mergedSize = 256

// size returns the approximate memory that the page needs until it is written, in bytes.
func (p page) size() int {
	size := p.found.Size()
	for _, family := range p.found.Merged() {
		size += len(family.GetMetric()) * mergedSize
	}
	return size
}

// textFormat returns the text format of a content type, false if it is not a text
// format.
func textFormat(contentType expfmt.Format) (metric.Format, bool) {
	switch contentType.FormatType() {
	case expfmt.TypeTextPlain:
		return metric.Text, true
	case expfmt.TypeOpenMetrics:
		return metric.OpenMetrics, true
	default:
		return 0, false
	}
}

// write writes the families. The error names those that were dropped because they
// cannot be written in the format. Errors of w are returned by its Flush.
func (p page) write(w *bufio.Writer, contentType expfmt.Format) error {
	if format, ok := textFormat(contentType); ok {
		return p.writeText(w, contentType, format)
	}
	return p.writeMessages(w, contentType)
}

// writeMessages writes the families with package expfmt. It is for protobuf.
func (p page) writeMessages(w *bufio.Writer, contentType expfmt.Format) error {
	families, err := prometheus.Gatherers{p.own, p.found}.Gather()
	encoder := expfmt.NewEncoder(w, contentType)
	for _, family := range families {
		if p.shows(family.GetName()) {
			err = errors.Join(err, encoder.Encode(family))
		}
	}
	return err
}

// writeText writes the families of the exporter's own process, those of Kamailio, and those of the routing script. It returns
// the same error as write.
func (p page) writeText(w *bufio.Writer, contentType expfmt.Format, format metric.Format) error {
	p.writePieces(w, p.own.text[format]())
	merged, dropped := writePieces(p.found.Merged(), contentType)
	for _, family := range p.found.Families() {
		if !p.shows(family.Desc.Name) {
			continue
		}
		if err := family.WriteText(w, format); err != nil {
			return dropped
		}
	}
	p.writePieces(w, merged)
	if format == metric.OpenMetrics {
		_, _ = w.WriteString("# EOF\n")
	}
	return dropped
}

func (p page) writePieces(w *bufio.Writer, pieces []piece) {
	for _, piece := range pieces {
		if p.shows(piece.name) {
			_, _ = w.Write(piece.text)
		}
	}
}

func (p page) shows(name string) bool { return len(p.names) == 0 || slices.Contains(p.names, name) }

// WriteText writes the metrics of a Set in Prometheus' text format.
func WriteText(w io.Writer, set *metric.Set) error {
	buffer := bufio.NewWriter(w)
	dropped := page{own: noFamilies, found: set}.write(buffer, expfmt.NewFormat(expfmt.TypeTextPlain))
	return errors.Join(dropped, buffer.Flush())
}
