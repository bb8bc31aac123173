// Package metric holds what one scrape found: samples in families, checked as
// they are added, so that what comes out is always valid for Prometheus.
package metric

import (
	"math"
	"slices"
	"strings"
	"time"

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
}

// Family is the samples of one Desc.
type Family struct {
	Desc *Desc

	samples []sample
	heads   [2][]byte // by Format; made with the family, which serves many scrapes
	// kamailio tells that a collector added it, so that counters began when
	// Kamailio did.
	kamailio bool
	labels   *labelTable
	seen     map[labelID]bool // nil as long as every sample had a higher label set than the one before it
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

// claim tells whether no sample has this label set yet, and notes that the next
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
)

// Skip is what was left out of a Set for one reason.
type Skip struct {
	Collector string
	Reason    Reason
	Count     int
	// Example is the first of them, for the log.
	Example string
}

// Set is what one scrape found. It may be read concurrently once it is complete.
type Set struct {
	families  map[*Desc]*Family // also those that had samples before a Reset
	labels    *labelTable
	order     []*Family // those that have samples
	skips     []Skip
	foreign   []*dto.MetricFamily
	created   time.Time
	collector string
	left      int // series that the collector may still add
	added     int // series that the collector has added
	skipped   int // what was left out of it
}

// NewSet makes an empty Set.
func NewSet() *Set { return &Set{families: map[*Desc]*Family{}, labels: newLabelTable()} }

// Begin names the collector that adds what follows, until End. It may add at most
// that many series, 0 means any number; what is beyond is left out and counted.
func (s *Set) Begin(collector string, series int) {
	if series == 0 {
		series = math.MaxInt
	}
	s.collector, s.left, s.added, s.skipped = collector, series, 0, 0
}

// Added is how many series the collector that Begin named has added.
func (s *Set) Added() int { return s.added }

// Skipped is how much has been left out of what that collector adds.
func (s *Set) Skipped() int { return s.skipped }

// End tells that what follows is of no collector.
func (s *Set) End() { s.collector = "" }

// SetCreated says when Kamailio started, and with it all its counters.
func (s *Set) SetCreated(started time.Time) { s.created = started }

// Labels is a label set that a Set knows, to add samples of several families
// with.
type Labels struct {
	// First tells that the Set did not know the label set before.
	First bool

	names  []string
	values []string
	id     labelID
}

// Labels makes a label set of the names in a family's Desc.Labels and their
// values. It is worth it where several families have a sample with the same one.
func (s *Set) Labels(names []string, values ...string) Labels {
	if len(names) != len(values) {
		panic("metric: wrong number of labels for " + strings.Join(names, ",")) // a bug in a collector
	}
	known := len(s.labels.texts)
	id := s.labels.id(names, values)
	return Labels{int(id) == known, names, values, id}
}

// Add adds a sample, with a value for each of the family's labels. One that
// repeats the labels of another is left out and counted.
func (s *Set) Add(desc *Desc, value float64, labels ...string) {
	s.AddTo(s.Labels(desc.Labels, labels...), desc, value)
}

// AddTo is Add with a label set made by the same Set's Labels, of the names that
// the family has.
func (s *Set) AddTo(labels Labels, desc *Desc, value float64) {
	if !s.add(labels, desc, value) {
		s.Skip(Duplicate, example(desc, labels))
	}
}

// AddOnce is Add for samples that are meant to repeat: only the first counts,
// and nothing is lost with the others.
func (s *Set) AddOnce(desc *Desc, value float64, labels ...string) {
	s.add(s.Labels(desc.Labels, labels...), desc, value)
}

func example(desc *Desc, labels Labels) string {
	return desc.Name + "{" + strings.Join(labels.values, ",") + "}"
}

// add tells whether the sample is the first one with its labels.
func (s *Set) add(labels Labels, desc *Desc, value float64) bool {
	if !sameNames(labels.names, desc.Labels) {
		panic("metric " + desc.Name + ": labels of other names") // a bug in a collector
	}
	if s.collector != "" && s.left == 0 {
		s.Skip(TooMany, example(desc, labels))
		return true
	}
	family := s.family(desc)
	if !family.claim(labels.id) {
		return false
	}
	family.samples = append(family.samples, sample{value, labels.id})
	s.left--
	s.added++
	return true
}

func sameNames(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

func (s *Set) family(desc *Desc) *Family {
	family, ok := s.families[desc]
	if !ok {
		family = &Family{Desc: desc, labels: s.labels, heads: [2][]byte{desc.head(Text), desc.head(OpenMetrics)}}
		s.families[desc] = family
	}
	if len(family.samples) == 0 {
		family.kamailio = s.collector != ""
		s.order = append(s.order, family)
	}
	return family
}

// Reset empties the Set, and keeps its memory for what another scrape finds, which
// as a rule is as much again.
func (s *Set) Reset() {
	for _, family := range s.order {
		family.samples, family.seen = family.samples[:0], nil
	}
	s.labels.reset()
	*s = Set{families: s.families, labels: s.labels, order: s.order[:0]}
}

// Skip counts something that is left out, with an example of it.
func (s *Set) Skip(reason Reason, example string) {
	s.skipped++
	for i := range s.skips {
		if s.skips[i].Collector == s.collector && s.skips[i].Reason == reason {
			s.skips[i].Count++
			return
		}
	}
	s.skips = append(s.skips, Skip{s.collector, reason, 1, example})
}

// Skips are what was left out, by collector and reason.
func (s *Set) Skips() []Skip { return s.skips }

// Families are the families that have samples, by name.
func (s *Set) Families() []*Family {
	return slices.SortedFunc(slices.Values(s.order), func(a, b *Family) int {
		return strings.Compare(a.Desc.Name, b.Desc.Name)
	})
}
