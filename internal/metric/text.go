package metric

import (
	"bufio"
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Format is a text format of Prometheus.
type Format uint8

// The formats that a Family can be written in.
const (
	// Text is Prometheus' own format, the same in its versions 0.0.4 and 1.0.0
	// for the names that a Desc has.
	Text Format = iota
	// OpenMetrics is version 1.0.0 or 0.0.1 of that standard, the same for gauges
	// and counters.
	OpenMetrics
)

// WriteText writes the family as package expfmt does, byte for byte. It is that
// package's work over, without a message for each sample and with each label set
// escaped once, because this is most of what a large scrape costs.
func (f *Family) WriteText(w *bufio.Writer, format Format) error {
	if _, err := w.Write(f.heads[format]); err != nil {
		return err
	}
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

// helpReplacers escape what a help text may not have as it is.
var helpReplacers = [...]*strings.Replacer{
	Text:        strings.NewReplacer(`\`, `\\`, "\n", `\n`),
	OpenMetrics: replacer,
}

// head is the lines before the samples.
func (d *Desc) head(format Format) []byte {
	name, typ := d.Name, "gauge"
	if d.Type == Counter {
		typ = "counter"
	}
	if d.Type == Counter && format == OpenMetrics {
		// There, a counter is named without the ending that its samples have, and
		// one whose samples lack it is none.
		base, ok := strings.CutSuffix(name, "_total")
		if name = base; !ok {
			typ = "unknown"
		}
	}
	return []byte("# HELP " + name + " " + helpReplacers[format].Replace(d.Help) + "\n# TYPE " + name + " " + typ + "\n")
}

// mostWhole is the number from which on a float is written with an exponent.
const mostWhole = 1e6

func appendValue(b []byte, value float64, format Format) []byte {
	if math.Abs(value) < mostWhole && value == math.Trunc(value) {
		b = strconv.AppendInt(b, int64(value), 10) // much faster than AppendFloat, and the same
	} else {
		start := len(b)
		b = strconv.AppendFloat(b, value, 'g', -1, 64)
		if bytes.ContainsAny(b[start:], ".eIN") { // no integer, infinite, or no number
			return b
		}
	}
	if format == OpenMetrics {
		b = append(b, ".0"...)
	}
	return b
}
