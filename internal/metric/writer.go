package metric

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Writer adds what one collector found to a Set. It checks each sample, and leaves out and counts those that Prometheus would
// refuse. It must not be used concurrently with another Writer of the same Set.
type Writer struct {
	set       *Set
	collector string
	left      int // series that may still be added
	added     int
	skipped   int
}

// Writer returns a Writer for a collector. It adds at most the given number of series; 0 means any number that fits in MaxSize.
// What is beyond is left out and counted.
func (s *Set) Writer(collector string, series int) *Writer {
	if series == 0 {
		series = math.MaxInt
	}
	return &Writer{set: s, collector: collector, left: series}
}

// Added returns how many series were added.
func (w *Writer) Added() int { return w.added }

// Skipped returns how many parts of replies were left out or cut.
func (w *Writer) Skipped() int { return w.skipped }

// SetCreated sets the time since when all counters of collectors count.
func (w *Writer) SetCreated(since time.Time) { w.set.created = since }

// Labels returns the label set of the names in a family's Desc.Labels and their
// values. Use it where several families have a sample with the same label set. A
// value longer than MaxLabelLength is cut.
func (w *Writer) Labels(names []string, values ...string) Labels {
	checkLabels(names, values)
	long := slices.IndexFunc(values, isLong)
	if long >= 0 {
		values = cutAll(values)
	}
	id, first := w.set.labels.id(names, values, !w.full())
	if first && id != noLabels {
		w.set.grow(len(w.set.labels.texts[id]))
	}
	if first && long >= 0 {
		w.Skip(TooLong, names[long]+"="+values[long])
	}
	return Labels{first, names, values, id}
}

// full reports whether the collector may not add anything more.
func (w *Writer) full() bool {
	return w.left == 0 || w.set.size >= MaxSize
}

// Add adds a sample, with a value for each of the family's labels. A sample that
// repeats the labels of another, and a counter below zero, is left out and
// counted.
func (w *Writer) Add(desc *Desc, value float64, labels ...string) {
	w.AddTo(w.Labels(desc.Labels, labels...), desc, value)
}

// AddTo is like Add with a label set made by the same Writer's Labels, of the names
// that the family has.
func (w *Writer) AddTo(labels Labels, desc *Desc, value float64) {
	if !w.add(labels, desc, value) {
		w.skip(Duplicate, desc, labels)
	}
}

// AddOnce is like Add for samples that are meant to repeat: only the first
// counts, and nothing is lost with the others.
func (w *Writer) AddOnce(desc *Desc, value float64, labels ...string) {
	w.add(w.Labels(desc.Labels, labels...), desc, value)
}

// add reports whether the sample is the first one with its labels.
func (w *Writer) add(labels Labels, desc *Desc, value float64) bool {
	if !sameNames(labels.names, desc.Labels) {
		panic("metric " + desc.Name + ": labels of other names") // a bug in a collector
	}
	if w.full() || labels.id == noLabels {
		w.skip(TooMany, desc, labels)
		return true
	}
	if desc.Type == Counter && value < 0 {
		w.skip(BadValue, desc, labels)
		return true
	}
	if !w.set.insert(labels.id, desc, value, true) {
		return false
	}
	w.left--
	w.added++
	return true
}

// Skip counts something that is left out, with an example of it.
func (w *Writer) Skip(reason Reason, example string) {
	if first := w.count(reason); first != nil {
		first.Example = cutExample(example)
	}
}

// skip counts a sample that is left out.
func (w *Writer) skip(reason Reason, desc *Desc, labels Labels) {
	if first := w.count(reason); first != nil {
		first.Example = cutExample(desc.Name + "{" + strings.Join(labels.values, ",") + "}")
	}
}

// count counts something that is left out. It returns the entry if it is the first
// one, for which an example is needed.
func (w *Writer) count(reason Reason) *Skip {
	w.skipped++
	for i := range w.set.skips {
		if w.set.skips[i].Collector == w.collector && w.set.skips[i].Reason == reason {
			w.set.skips[i].Count++
			return nil
		}
	}
	w.set.skips = append(w.set.skips, Skip{Collector: w.collector, Reason: reason, Count: 1})
	return &w.set.skips[len(w.set.skips)-1]
}
