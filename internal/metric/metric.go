// Package metric holds what one scrape found: samples in families, checked as
// they are added, so that what comes out is always valid for Prometheus.
package metric

import (
	"hash/maphash"
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

	values []float64
	// kamailio tells that a collector added it, so that counters began when
	// Kamailio did.
	kamailio bool
	labels   []string       // len(Desc.Labels) for each sample
	seen     map[uint64]int // hash of a sample's labels to the sample
}

// Len is the number of samples.
func (f *Family) Len() int { return len(f.values) }

// Sample is the i-th sample's value, and the values of its labels in the order
// of Desc.Labels. The slice is the family's own.
func (f *Family) Sample(i int) (float64, []string) {
	n := len(f.Desc.Labels)
	return f.values[i], f.labels[i*n : (i+1)*n : (i+1)*n]
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
	families  map[*Desc]*Family
	order     []*Family
	skips     []Skip
	foreign   []*dto.MetricFamily
	created   time.Time
	collector string
	left      int // series that the collector may still add
	added     int // series that the collector has added
	skipped   int // what was left out of it
}

// NewSet makes an empty Set.
func NewSet() *Set { return &Set{families: map[*Desc]*Family{}} }

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

// Add adds a sample, with a value for each of the family's labels. One that
// repeats the labels of another is left out and counted.
func (s *Set) Add(desc *Desc, value float64, labels ...string) {
	if !s.add(desc, value, labels) {
		s.Skip(Duplicate, example(desc, labels))
	}
}

// AddOnce is Add for samples that are meant to repeat: only the first counts,
// and nothing is lost with the others.
func (s *Set) AddOnce(desc *Desc, value float64, labels ...string) {
	s.add(desc, value, labels)
}

func example(desc *Desc, labels []string) string {
	return desc.Name + "{" + strings.Join(labels, ",") + "}"
}

// add tells whether the sample is the first one with its labels.
func (s *Set) add(desc *Desc, value float64, labels []string) bool {
	if len(labels) != len(desc.Labels) {
		panic("metric " + desc.Name + ": wrong number of labels") // a bug in a collector
	}
	if s.collector != "" && s.left == 0 {
		s.Skip(TooMany, example(desc, labels))
		return true
	}
	family := s.family(desc)
	start := len(family.labels)
	for _, label := range labels {
		// Kamailio's strings may be any bytes, Prometheus' are UTF-8.
		family.labels = append(family.labels, strings.ToValidUTF8(label, "\uFFFD"))
	}
	if !family.claim(family.labels[start:]) {
		family.labels = family.labels[:start]
		return false
	}
	family.values = append(family.values, value)
	s.left--
	s.added++
	return true
}

func (s *Set) family(desc *Desc) *Family {
	family, ok := s.families[desc]
	if !ok {
		family = &Family{Desc: desc, kamailio: s.collector != ""}
		s.families[desc] = family
		s.order = append(s.order, family)
	}
	return family
}

var seed = maphash.MakeSeed()

// claim tells whether no sample has these labels yet, and notes that the next
// one has.
func (f *Family) claim(labels []string) bool {
	if len(labels) == 0 {
		return len(f.values) == 0
	}
	if f.seen == nil {
		f.seen = map[uint64]int{}
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for _, label := range labels {
		h.WriteString(label)
		h.WriteByte(0xff) // in no UTF-8
	}
	for sum := h.Sum64(); ; sum++ { // on to the next place where different labels have the same hash
		i, taken := f.seen[sum]
		if !taken {
			f.seen[sum] = len(f.values)
			return true
		}
		if _, other := f.Sample(i); slices.Equal(other, labels) {
			return false
		}
	}
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
