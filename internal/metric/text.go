package metric

import (
	"bufio"
	"math"
	"strconv"
	"strings"
)

// Format is a text format of Prometheus.
type Format uint8

// The text formats.
const (
	// Text is Prometheus' own format. Versions 0.0.4 and 1.0.0 are equal for the
	// names that a Desc can have.
	Text Format = iota
	// OpenMetrics is OpenMetrics 1.0.0. Version 0.0.1 is equal for gauges and
	// counters.
	OpenMetrics
)

// WriteText writes the family. The text is equal to that of package expfmt, but
// WriteText is faster: it does not make a message for each sample, and label sets are
// escaped once. Most of the time of a large scrape is spent here.
func (f *Family) WriteText(w *bufio.Writer, format Format) error {
	_, _ = w.Write(f.heads[format]) // its error is returned by the next Write, too
	for _, s := range f.samples {
		line := append(w.AvailableBuffer(), f.Desc.Name...)
		line = append(line, f.labels.texts[s.labels]...)
		line = append(line, ' ')
		line = appendValue(line, s.value, format)
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// helpReplacers escape help texts, by Format.
var helpReplacers = [...]*strings.Replacer{
	Text:        strings.NewReplacer(`\`, `\\`, "\n", `\n`),
	OpenMetrics: replacer,
}

// head returns the lines HELP and TYPE.
func (d *Desc) head(format Format) []byte {
	name, typ := d.Name, "gauge"
	if d.Type == Counter {
		typ = "counter"
	}
	if d.Type == Counter && format == OpenMetrics {
		// In OpenMetrics, the name of a counter's family lacks the ending _total of
		// its samples. A counter without that ending must be of type unknown.
		base, ok := strings.CutSuffix(name, "_total")
		if name = base; !ok {
			typ = "unknown"
		}
	}
	return []byte("# HELP " + name + " " + helpReplacers[format].Replace(d.Help) + "\n# TYPE " + name + " " + typ + "\n")
}

// minExponent is the smallest integer that is written with an exponent.
const minExponent = 1e6

// appendValue appends a value as package expfmt writes it.
func appendValue(b []byte, value float64, format Format) []byte {
	if math.Abs(value) < minExponent && value == math.Trunc(value) {
		b = strconv.AppendInt(b, int64(value), 10) // the same text as AppendFloat, much faster
		if format == OpenMetrics {
			b = append(b, ".0"...)
		}
		return b
	}
	return strconv.AppendFloat(b, value, 'g', -1, 64)
}
