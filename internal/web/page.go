package web

import (
	"bufio"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// page is what a request for the metrics is answered with.
type page struct {
	own   *ownFamilies
	found *metric.Set
	// names are the families to show, none for all.
	names []string
}

// foreignSize is about how many bytes a sample of the routing script takes.
const foreignSize = 256

// size is about how many bytes the page needs until it is written.
func (p page) size() int {
	size := p.found.Size()
	for _, family := range p.found.Foreign() {
		size += len(family.GetMetric()) * foreignSize
	}
	return size
}

// textFormat is the format to write in, false for one that is no text.
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

// write writes all families by name. Those that cannot be written in the format are
// left out, and told of in the error. What goes wrong with w, its Flush tells.
func (p page) write(w *bufio.Writer, contentType expfmt.Format) error {
	if format, ok := textFormat(contentType); ok {
		return p.writeText(w, contentType, format)
	}
	return p.writeMessages(w, contentType)
}

// writeMessages has the library write all families: for protobuf, which few ask
// for.
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

// writeText writes the families of the exporter itself, those of Kamailio, and those that a routing script made.
func (p page) writeText(w *bufio.Writer, contentType expfmt.Format, format metric.Format) error {
	p.writePieces(w, p.own.text[format]())
	foreign, left := writePieces(p.found.Foreign(), contentType)
	for _, family := range p.found.Families() {
		if !p.shows(family.Desc.Name) {
			continue
		}
		if err := family.WriteText(w, format); err != nil {
			return left
		}
	}
	p.writePieces(w, foreign)
	if format == metric.OpenMetrics {
		_, _ = w.WriteString("# EOF\n")
	}
	return left
}

func (p page) writePieces(w *bufio.Writer, pieces []piece) {
	for _, piece := range pieces {
		if p.shows(piece.name) {
			_, _ = w.Write(piece.text)
		}
	}
}

func (p page) shows(name string) bool { return len(p.names) == 0 || slices.Contains(p.names, name) }
