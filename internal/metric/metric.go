// Package metric holds the samples of one scrape in families, and writes them in
// Prometheus' text formats. It checks each sample when it is added, so that the result
// is always valid for Prometheus.
package metric

import (
	"encoding/hex"
	"hash/fnv"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// Type is the type of a metric family.
type Type uint8

// The types of families that collectors have.
const (
	Gauge Type = iota
	Counter
)

// Desc describes a metric family. It must not be changed after its first use.
type Desc struct {
	// Name is the full name of the family.
	Name string
	// Help says what the value is, and in which field of which RPC method it is.
	Help string
	// Type is Counter only if Kamailio lowers the value at a restart only.
	Type Type
	// Labels are the names of the labels, sorted.
	Labels []string
	// Preferred is the name of a family with the same values that users should use
	// instead; "" if there is none.
	Preferred string
	// Legacy reports whether the family exists only for users of versions that did
	// not have Preferred.
	Legacy bool
}

// Family is a metric family with its samples.
type Family struct {
	Desc *Desc

	samples   []sample
	heads     [2][]byte // by Format; rendered once, because a family serves many scrapes
	collector string    // of the Writer that added the first sample: the counters started at Set.created; "" for samples of Set.Add
	labels    *labelTable
	seen      map[labelID]bool // nil while the label sets of the samples are in ascending order
}

// sample is a value and its label set. It has no pointers, so that the garbage
// collector does not scan the samples, of which there can be tens of thousands.
type sample struct {
	value  float64
	labels labelID
}

// Len returns the number of samples.
func (f *Family) Len() int { return len(f.samples) }

// Sample returns the value of sample i, and the values of its labels in the order of
// Desc.Labels.
func (f *Family) Sample(i int) (float64, []string) {
	return f.samples[i].value, f.labels.values(f.samples[i].labels, f.Desc.Labels)
}

// Value returns the value of sample i. Unlike Sample, it allocates nothing.
func (f *Family) Value(i int) float64 { return f.samples[i].value }

// Has reports whether sample i has a label with its value. Unlike Sample, it allocates nothing.
func (f *Family) Has(i int, pair Pair) bool { return pair.isIn(f.labels.texts[f.samples[i].labels]) }

// Collector returns the name of the collector that added the first sample, "" for the exporter itself.
func (f *Family) Collector() string { return f.collector }

// claim reports whether no sample has this label set yet. If so, the caller must add a
// sample with it. Most samples are added in the order in which their label sets were
// numbered, and then a label set is new if it is higher than that of the last sample.
func (f *Family) claim(id labelID) bool {
	if f.seen == nil {
		if len(f.samples) == 0 || id > f.samples[len(f.samples)-1].labels {
			return true
		}
		f.seen = map[labelID]bool{}
		for _, s := range f.samples {
			f.seen[s.labels] = true
		}
	}
	if f.seen[id] {
		return false
	}
	f.seen[id] = true
	return true
}

// Reason says why a part of a reply was dropped or shortened. It is the value of the
// label reason of kamailio_exporter_skipped_total.
type Reason string

// The reasons.
const (
	// Duplicate is for a sample with the labels of another sample.
	Duplicate Reason = "duplicate"
	// NotANumber is for a value that is not a number and should be one.
	NotANumber Reason = "not_a_number"
	// UnknownField is for a field of a reply that no collector knows.
	UnknownField Reason = "unknown_field"
	// TooMany is for a sample above the limit of its collector or of the Set.
	TooMany Reason = "too_many"
	// BadValue is for a value that its field cannot have.
	BadValue Reason = "bad_value"
	// TooLong is for a label value longer than MaxLabelLength. The value is cut, and
	// its samples are kept.
	TooLong Reason = "too_long"
)

const (
	// MaxLabelLength is the maximum length of a label value, in bytes. A longer value
	// is cut and ends with "…". The SIP URIs that Kamailio keeps are shorter than 512
	// bytes.
	MaxLabelLength = 1024
	// MaxSize is the approximate maximum size of the text of all samples that
	// collectors add to a Set, in bytes. 4,000 dispatcher destinations take 7 MB.
	MaxSize = 16 << 20

	cutMark = "…"
	// maxExample is the maximum length of Skip.Example, in bytes.
	maxExample = 300
)

// Skip counts the parts of replies that one collector dropped or shortened for one
// reason.
type Skip struct {
	Collector string
	Reason    Reason
	Count     int
	// Example is the first of them, for the log. It has at most 300 bytes.
	Example string
}

// Set has the samples of one scrape. It may be read concurrently when it is complete.
type Set struct {
	families map[*Desc]*Family // all families that had samples since the memory was allocated
	labels   *labelTable
	order    []*Family // the families that have samples
	skips    []Skip
	merged   []*dto.MetricFamily
	created  time.Time
	size     int // approximate size of the text of all samples and label sets, in bytes
	largest  int // maximum of size since the memory was allocated
}

// NewSet returns an empty Set.
func NewSet() *Set { return &Set{families: map[*Desc]*Family{}, labels: newLabelTable()} }

// Labels is a label set of a Set, for samples of several families.
type Labels struct {
	// First reports whether the label set is new in the Set.
	First bool

	names  []string
	values []string
	id     labelID
}

func isLong(value string) bool { return len(value) > MaxLabelLength }

// cutAll returns a copy of the values, in which those longer than MaxLabelLength are cut. A hash of the whole value at the end
// of a cut one keeps different values different.
func cutAll(values []string) []string {
	values = slices.Clone(values)
	for i, value := range values {
		if isLong(value) {
			hash := fnv.New32a()
			_, _ = io.WriteString(hash, value) // never fails
			values[i] = cut(value, MaxLabelLength-2*hash.Size()) + hex.EncodeToString(hash.Sum(nil))
		}
	}
	return values
}

// cut returns the beginning of a text, followed by cutMark. The result has at most
// limit bytes and does not share memory with the text.
func cut(text string, limit int) string {
	end := limit - len(cutMark)
	for i := range utf8.UTFMax { // do not split a character
		if utf8.RuneStart(text[end-i]) {
			end -= i
			break
		}
	}
	return text[:end] + cutMark
}

// grow adds bytes to the size.
func (s *Set) grow(bytes int) {
	s.size += bytes
	s.largest = max(s.largest, s.size)
}

// Add adds a sample of the exporter itself. labels are the values of Desc.Labels. A sample with the labels of another one is
// dropped. The limits of a Writer do not apply.
func (s *Set) Add(desc *Desc, value float64, labels ...string) {
	checkLabels(desc.Labels, labels)
	id, _ := s.labels.id(desc.Labels, labels, true)
	s.insert(id, desc, value, "")
}

// checkLabels panics if there is not one value for each name, which is a bug in the caller.
func checkLabels(names, values []string) {
	if len(names) != len(values) {
		panic("metric: wrong number of labels for " + strings.Join(names, ","))
	}
}

// insert adds a sample. It reports whether the sample is the first one with its labels; others are dropped. collector is that of
// the Writer, "" for the exporter itself.
func (s *Set) insert(id labelID, desc *Desc, value float64, collector string) bool {
	family := s.family(desc, collector)
	if !family.claim(id) {
		return false
	}
	family.samples = append(family.samples, sample{value, id})
	s.grow(len(desc.Name) + len(s.labels.texts[id]) + valueLength)
	return true
}

// valueLength is the approximate length of a value with the space before it and the
// end of the line, in bytes.
const valueLength = 8

// family returns the family of desc, which is added if it is new.
func (s *Set) family(desc *Desc, collector string) *Family {
	family, ok := s.families[desc]
	if !ok {
		family = &Family{Desc: desc, labels: s.labels, heads: [2][]byte{desc.head(Text), desc.head(OpenMetrics)}}
		s.families[desc] = family
	}
	if len(family.samples) == 0 {
		family.collector = collector
		s.order = append(s.order, family)
	}
	return family
}

// spareSize is the largest size of a Set whose Reset always keeps the memory, in bytes.
const spareSize = 1 << 20

// Reset empties the Set. It keeps the memory for the next scrape, which usually needs
// as much, except if the Set was once more than four times as large as now.
func (s *Set) Reset() {
	if s.largest > spareSize && s.size < s.largest/4 {
		*s = *NewSet()
		return
	}
	for _, family := range s.order {
		family.samples, family.seen = family.samples[:0], nil
	}
	s.labels.reset()
	*s = Set{families: s.families, labels: s.labels, order: s.order[:0], largest: s.largest}
}

// Size returns the approximate size of the text of the samples, in bytes.
func (s *Set) Size() int { return s.size }

// cutExample returns a copy of an example, cut to maxExample.
func cutExample(example string) string {
	if len(example) <= maxExample {
		return strings.Clone(example) // must not keep a large reply in memory
	}
	return cut(example, maxExample)
}

// Skips returns the counts of dropped and shortened parts of replies, one for each
// collector and reason.
func (s *Set) Skips() []Skip { return s.skips }

// DropLegacy removes the families with Desc.Legacy whose preferred family has samples.
func (s *Set) DropLegacy() {
	has := map[string]bool{}
	for _, family := range s.order {
		has[family.Desc.Name] = true
	}
	s.order = slices.DeleteFunc(s.order, func(family *Family) bool {
		drop := family.Desc.Legacy && has[family.Desc.Preferred]
		if drop {
			family.samples, family.seen = family.samples[:0], nil
		}
		return drop
	})
}

// All yields the families that have samples, in the order in which they were added. Those of Merge are not among them.
func (s *Set) All() iter.Seq[*Family] { return slices.Values(s.order) }

// Families returns the families that have samples, sorted by name. Those of Merge are
// not among them.
func (s *Set) Families() []*Family {
	return slices.SortedFunc(slices.Values(s.order), func(a, b *Family) int {
		return strings.Compare(a.Desc.Name, b.Desc.Name)
	})
}
