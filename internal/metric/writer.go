package metric

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Writer adds the samples of one collector to a Set. It checks each sample, and drops and counts those that Prometheus would
// refuse. It must not be used concurrently with another Writer of the same Set.
type Writer struct {
	set       *Set
	collector string
	left      int // number of series that may still be added
	added     int
	skipped   int
}

// Writer returns a Writer for a collector. It adds at most the given number of series; 0 means that only MaxSize limits them.
// Samples above a limit are dropped and counted.
func (s *Set) Writer(collector string, series int) *Writer {
	if series == 0 {
		series = math.MaxInt
	}
	return &Writer{set: s, collector: collector, left: series}
}

// Added returns the number of series that were added.
func (w *Writer) Added() int { return w.added }

// Skipped returns the number of parts of replies that were dropped or shortened.
func (w *Writer) Skipped() int { return w.skipped }

// SetCreated sets the time at which the counters of all collectors started.
func (w *Writer) SetCreated(since time.Time) { w.set.created = since }

// Labels returns a label set. names are the Desc.Labels of the families for which AddTo
// uses it. A value longer than MaxLabelLength is cut and counted.
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

// full reports whether the collector has reached a limit.
func (w *Writer) full() bool {
	return w.left == 0 || w.set.size >= MaxSize
}

// Add adds a sample. labels are the values of Desc.Labels. A sample with the labels of
// another one, and a counter below zero, are dropped and counted.
func (w *Writer) Add(desc *Desc, value float64, labels ...string) {
	w.AddTo(w.Labels(desc.Labels, labels...), desc, value)
}

// AddTo is like Add with a label set that Labels of the same Writer returned for the
// names in Desc.Labels.
func (w *Writer) AddTo(labels Labels, desc *Desc, value float64) {
	if !w.add(labels, desc, value) {
		w.skip(Duplicate, desc, labels)
	}
}

// AddOnce is like Add, but does not count the dropped samples with the labels of another
// one. It is for values that Kamailio repeats.
func (w *Writer) AddOnce(desc *Desc, value float64, labels ...string) {
	w.add(w.Labels(desc.Labels, labels...), desc, value)
}

// add adds a sample. It returns false if another sample has its labels.
func (w *Writer) add(labels Labels, desc *Desc, value float64) bool {
	if !slices.Equal(labels.names, desc.Labels) {
		panic("metric " + desc.Name + ": labels with other names") // a bug in a collector
	}
	if w.full() { // otherwise the id is not noLabels
		w.skip(TooMany, desc, labels)
		return true
	}
	if desc.Type == Counter && value < 0 {
		w.skip(BadValue, desc, labels)
		return true
	}
	if !w.set.insert(labels.id, desc, value, w.collector) {
		return false
	}
	w.left--
	w.added++
	return true
}

// Skip counts a part of a reply that the caller dropped. example describes it for the
// log.
func (w *Writer) Skip(reason Reason, example string) {
	if first := w.count(reason); first != nil {
		first.Example = cutExample(example)
	}
}

// skip counts a dropped sample.
func (w *Writer) skip(reason Reason, desc *Desc, labels Labels) {
	if first := w.count(reason); first != nil {
		first.Example = cutExample(desc.Name + "{" + strings.Join(labels.values, ",") + "}")
	}
}

// count counts a dropped or shortened part of a reply. If it is the first one for the
// reason, count returns the new Skip, which needs an example; otherwise nil.
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
