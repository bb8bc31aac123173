// Package metric holds what one scrape found: samples in families, checked as
// they are added, so that what comes out is always valid for Prometheus.
package metric

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// Type is a metric's type in Prometheus' sense.
type Type uint8

// The types that replies are turned into.
const (
	Gauge Type = iota
	Counter
)

// Desc describes a family: what all its samples share. It is made once, at
// start-up, and never changes.
type Desc struct {
	// Name is the family's full name.
	Name string
	// Help says in a sentence what is counted, and for which field of which RPC.
	Help string
	// Type is Counter only for what Kamailio never lowers, short of a restart.
	Type Type
	// Labels are the names of the labels, sorted.
	Labels []string
	// Preferred is the name of another family with the same figures, which is
	// preferred to this one; "" if there is none.
	Preferred string
	// Legacy reports whether the family is kept only for those who used it
	// before Preferred existed.
	Legacy bool
}

// Family is the samples of one Desc.
type Family struct {
	Desc *Desc

	samples []sample
	heads   [2][]byte // by Format; made with the family, which serves many scrapes
	// collected says that a collector found it, so that its counters began at Set.created.
	collected bool
	labels    *labelTable
	seen      map[labelID]bool // nil as long as every sample had a higher label set than the one before it
}

// sample is a value and its label set. It has no pointers: there can be tens of
// thousands, which the garbage collector then need not look at.
type sample struct {
	value  float64
	labels labelID
}

// Len is the number of samples.
func (f *Family) Len() int { return len(f.samples) }

// Sample is the i-th sample's value, and the values of its labels in the order
// of Desc.Labels.
func (f *Family) Sample(i int) (float64, []string) {
	return f.samples[i].value, f.labels.values(f.samples[i].labels, f.Desc.Labels)
}

// claim reports whether no sample has this label set yet, and notes that the next
// one has. Label sets are numbered as they come, so that a higher one than the
// last sample's is new as long as all came in that order, as they mostly do.
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

// Reason says why something was left out of a Set.
type Reason string

// The reasons, as they stand in the label of that name.
const (
	// Duplicate is a sample whose labels another one has already.
	Duplicate Reason = "duplicate"
	// NotANumber is a value that should be a number and is none.
	NotANumber Reason = "not_a_number"
	// UnknownField is a field of a reply that no metric is known for.
	UnknownField Reason = "unknown_field"
	// TooMany is a sample beyond what its collector may add.
	TooMany Reason = "too_many"
	// BadValue is a value outside of what its field can have.
	BadValue Reason = "bad_value"
	// TooLong is the value of a label beyond MaxLabelLength. It is cut, and the
	// samples that have it are kept.
	TooLong Reason = "too_long"
)

const (
	// MaxLabelLength is the maximum length of the value of a label, in bytes. A
	// longer value is cut, and then ends with cutMark. The SIP URIs that Kamailio
	// itself keeps are shorter than 512 bytes.
	MaxLabelLength = 1024
	// MaxSize is the maximum size of the text of all samples that collectors add to
	// a Set, in bytes, approximately. A page of 4,000 dispatcher destinations in
	// full has 7 MB.
	MaxSize = 16 << 20

	cutMark = "…"
	// maxExample is the maximum length of the example of a Skip, in bytes.
	maxExample = 300
)

// Skip is what was left out of a Set for one reason.
type Skip struct {
	Collector string
	Reason    Reason
	Count     int
	// Example is the first of them, for the log. It is cut after 300 bytes.
	Example string
}

// Set is what one scrape found. It may be read concurrently once it is complete.
type Set struct {
	families map[*Desc]*Family // also those that had samples before a Reset
	labels   *labelTable
	order    []*Family // those that have samples
	skips    []Skip
	foreign  []*dto.MetricFamily
	created  time.Time
	size     int // bytes of the samples' text and of the label sets, approximately
	largest  int // the largest size that the Set had since its memory was allocated
}

// NewSet makes an empty Set.
func NewSet() *Set { return &Set{families: map[*Desc]*Family{}, labels: newLabelTable()} }

// Labels is a label set that a Set knows, to add samples of several families
// with.
type Labels struct {
	// First reports whether the Set did not know the label set before.
	First bool

	names  []string
	values []string
	id     labelID
}

func isLong(value string) bool { return len(value) > MaxLabelLength }

// cutAll returns the values with those cut that are too long.
func cutAll(values []string) []string {
	values = slices.Clone(values)
	for i, value := range values {
		if isLong(value) {
			values[i] = cut(value, MaxLabelLength)
		}
	}
	return values
}

// cut returns the beginning of a text and a mark, together at most limit bytes. The
// result does not share the memory of the text.
func cut(text string, limit int) string {
	end := limit - len(cutMark)
	for i := range utf8.UTFMax { // do not cut within a character
		if utf8.RuneStart(text[end-i]) {
			end -= i
			break
		}
	}
	return text[:end] + cutMark
}

// grow counts bytes.
func (s *Set) grow(bytes int) {
	s.size += bytes
	s.largest = max(s.largest, s.size)
}

// Add adds a sample of the exporter itself, with a value for each of the family's labels. A sample that repeats the labels of
// another is left out.
func (s *Set) Add(desc *Desc, value float64, labels ...string) {
	checkLabels(desc.Labels, labels)
	id, _ := s.labels.id(desc.Labels, labels, true)
	s.insert(id, desc, value, false)
}

// checkLabels panics if there is not one value for each name, which is a bug in the caller.
func checkLabels(names, values []string) {
	if len(names) != len(values) {
		panic("metric: wrong number of labels for " + strings.Join(names, ","))
	}
}

// insert adds a sample. It reports whether the sample is the first one with its labels. collected says that a collector found
// it.
func (s *Set) insert(id labelID, desc *Desc, value float64, collected bool) bool {
	family := s.family(desc, collected)
	if !family.claim(id) {
		return false
	}
	family.samples = append(family.samples, sample{value, id})
	s.grow(len(desc.Name) + len(s.labels.texts[id]) + valueLength)
	return true
}

// valueLength is how many bytes a value, the space before it and the end of the
// line take, approximately.
const valueLength = 8

func sameNames(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

func (s *Set) family(desc *Desc, collected bool) *Family {
	family, ok := s.families[desc]
	if !ok {
		family = &Family{Desc: desc, labels: s.labels, heads: [2][]byte{desc.head(Text), desc.head(OpenMetrics)}}
		s.families[desc] = family
	}
	if len(family.samples) == 0 {
		family.collected = collected
		s.order = append(s.order, family)
	}
	return family
}

// spareSize is the size up to which a Set keeps its memory in any case, in bytes.
const spareSize = 1 << 20

// Reset empties the Set. It keeps the memory for the next scrape, which as a rule
// finds as much again, unless the Set once was much larger than it was this time.
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

// Size is about how many bytes the text of the samples has.
func (s *Set) Size() int { return s.size }

func cutExample(example string) string {
	if len(example) <= maxExample {
		return strings.Clone(example) // it may be a part of a large reply
	}
	return cut(example, maxExample)
}

// Skips are what was left out, by collector and reason.
func (s *Set) Skips() []Skip { return s.skips }

// DropLegacy removes the families that are kept beside a preferred one, where that
// one has samples.
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

// Families are the families that have samples, by name.
func (s *Set) Families() []*Family {
	return slices.SortedFunc(slices.Values(s.order), func(a, b *Family) int {
		return strings.Compare(a.Desc.Name, b.Desc.Name)
	})
}
