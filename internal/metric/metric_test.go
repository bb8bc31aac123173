package metric

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

var (
	plain   = &Desc{Name: "a_plain", Help: "One.", Type: Gauge}
	labeled = &Desc{Name: "b_labeled_total", Help: "Many.", Type: Counter, Labels: []string{"x", "y"}}
)

func text(t *testing.T, s *Set) string {
	t.Helper()
	families, err := s.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, family := range families {
		if family.Name == nil {
			continue // merged
		}
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestSet(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	w.Add(labeled, 1, "p", "q")
	w.Add(labeled, 2, "pq", "")
	w.Add(plain, 3)
	w.Add(labeled, 4, "", "pq")
	w.Add(labeled, 5, "p", "q")
	w.Add(plain, 6)
	w.Add(labeled, 7, "\xff", "")
	w.Add(labeled, 8, "\uFFFD", "")
	w.AddOnce(labeled, 9, "p", "q")
	w.AddOnce(labeled, 10, "once", "")
	want := `# HELP a_plain One.
# TYPE a_plain gauge
a_plain 3
# HELP b_labeled_total Many.
# TYPE b_labeled_total counter
b_labeled_total{x="p",y="q"} 1
b_labeled_total{x="pq",y=""} 2
b_labeled_total{x="",y="pq"} 4
b_labeled_total{x="` + "\uFFFD" + `",y=""} 7
b_labeled_total{x="once",y=""} 10
`
	if got := text(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	skips := []Skip{{"c", Duplicate, 3, "b_labeled_total{p,q}"}}
	if !slices.Equal(s.Skips(), skips) {
		t.Errorf("dropped %+v, want %+v", s.Skips(), skips)
	}
}

func TestAddDoesNotChangeLabelsOfCaller(t *testing.T) {
	labels := []string{"\xff", "y"}
	NewSet().Add(labeled, 1, labels...)
	if labels[0] != "\xff" {
		t.Errorf("the caller's label became %q", labels[0])
	}
}

// TestLabelSetsWithEqualHashes makes the hash of one label set that of another one.
func TestLabelSetsWithEqualHashes(t *testing.T) {
	s := NewSet()
	s.Add(labeled, 1, "p", "q")
	pq, _ := s.labels.id(labeled.Labels, []string{"p", "q"}, true)
	s.labels.ids[maphash.Bytes(seed, []byte(`{x="r",y="s"}`))] = pq // as if {p,q} had that hash
	s.Add(labeled, 2, "r", "s")
	s.Add(labeled, 3, "r", "s")
	if got := text(t, s); !strings.Contains(got, `{x="r",y="s"} 2`) || strings.Contains(got, " 3") {
		t.Errorf("got\n%s", got)
	}
}

// TestSetIsAsNewAfterReset fills a Set, resets it, and fills it again.
func TestSetIsAsNewAfterReset(t *testing.T) {
	s := NewSet()
	fill := func() {
		w := s.Writer("c", 0)
		for _, x := range []string{"b", "a", "b"} {
			w.Add(labeled, 1, x, "")
		}
		other := &Desc{Name: "c_other", Help: "Other.", Labels: labeled.Labels}
		for _, x := range []string{"a", "b", strings.Repeat("long", labelChunk)} { // in another order than above
			w.Add(other, 1, x, "")
		}
		for i := range 1000 {
			w.Add(other, 1, strconv.Itoa(i), "")
		}
		w.SetCreated(time.Unix(1, 0))
		s.Merge(&dto.MetricFamily{})
	}
	fill()
	want, chunks, labels := text(t, s), len(s.labels.chunks), len(s.labels.texts)
	if all, err := s.Gather(); err != nil || len(s.Merged()) != 1 || all[len(all)-1] != s.Merged()[0] {
		t.Errorf("%d families were merged, and all are %v: error %v", len(s.Merged()), all, err)
	}
	s.Reset()
	if got := text(t, s); got != "" || len(s.Skips()) > 0 || len(s.Merged()) > 0 {
		t.Errorf("after Reset, the set has %+v and\n%s", s.Skips(), got)
	}
	s.Writer("c", 0).Add(labeled, 1, "b", "")
	families, err := s.Gather()
	if err != nil || families[0].GetMetric()[0].GetCounter().GetCreatedTimestamp() != nil {
		t.Errorf("after Reset, counters have the old start time: %v, %v", families, err)
	}
	for range 3 {
		s.Reset()
		fill()
	}
	if got := text(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(s.labels.chunks) != chunks || len(s.labels.texts) != labels {
		t.Errorf("%d chunks became %d, %d label sets became %d", chunks, len(s.labels.chunks), labels, len(s.labels.texts))
	}
}

// TestLabelsAroundTheSizeOfAChunk has label sets whose text just fits into a chunk, and one whose text does not.
func TestLabelsAroundTheSizeOfAChunk(t *testing.T) {
	for size, chunk := range map[int]int{labelChunk - 1: 0, labelChunk: 0, labelChunk + 1: 1} {
		s := NewSet()
		values := []string{strings.Repeat("a", size-len(`{x="",y=""}`)), ""}
		s.Add(labeled, 1, values...)
		if got := s.labels.chunk; got != chunk {
			t.Errorf("%d bytes are in chunk %d, want %d", size, got, chunk)
		}
		s.Add(labeled, 2, "b", "")
		if _, got := s.Families()[0].Sample(0); !slices.Equal(got, values) {
			t.Errorf("%d bytes became %q", size, got)
		}
	}
}

// TestFirst checks which label sets are new, with a Writer that may add one series.
func TestFirst(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 1)
	for i, test := range []struct {
		values []string
		want   bool
	}{
		{nil, false}, // all Sets have the empty label set
		{[]string{"a", ""}, true},
		{[]string{"a", ""}, false},
		{[]string{"b", ""}, true}, // uses up the series
		{[]string{"a", ""}, false},
		{[]string{"c", ""}, true},
		{[]string{"c", ""}, true}, // was not added
	} {
		labels := w.Labels(labeled.Labels[:len(test.values)], test.values...)
		if labels.First != test.want {
			t.Errorf("label set %d, %q: first is %t", i, test.values, labels.First)
		}
		if i == 3 {
			w.AddTo(labels, labeled, 1)
		}
	}
	s.Reset()
	if !s.Writer("c", 0).Labels(labeled.Labels, "a", "").First {
		t.Error("after Reset, the Set has a label set")
	}
}

func TestWrongNumberOfLabelsPanics(t *testing.T) {
	for _, values := range [][]string{nil, {"1"}, {"1", "2", "3"}} {
		for name, add := range map[string]func(){
			"Set":    func() { NewSet().Add(labeled, 1, values...) },
			"Writer": func() { NewSet().Writer("c", 0).Add(labeled, 1, values...) },
		} {
			if got, want := panicOf(add), "metric: wrong number of labels for x,y"; got != want {
				t.Errorf("%s, labels %q: panic %v, want %s", name, values, got, want)
			}
		}
	}
}

// panicOf returns the value with which a function panics, nil if it does not.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func BenchmarkAdd(b *testing.B) {
	var names []string
	for i := range 4000 {
		names = append(names, fmt.Sprintf("sip:127.0.0.1:%d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		s := NewSet()
		for _, name := range names {
			s.Add(labeled, 1, name, "1")
		}
	}
}

func TestMaxSeries(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 2)
	w.Add(labeled, 1, "a", "")
	w.Add(labeled, 1, "a", "") // is not counted as a series
	w.Add(plain, 2)
	w.Add(labeled, 3, "b", "")
	if w.Added() != 2 || w.Skipped() != 2 {
		t.Errorf("%d series were added, and %d dropped, want 2 and 2", w.Added(), w.Skipped())
	}
	w = s.Writer("d", 0)
	w.Add(labeled, 4, "c", "")
	w.Add(labeled, 5, "d", "")
	if got := text(t, s); strings.Contains(got, `x="b"`) || !strings.Contains(got, `x="c"`) || !strings.Contains(got, `x="d"`) {
		t.Errorf("got\n%s", got)
	}
	skips := []Skip{{"c", Duplicate, 1, "b_labeled_total{a,}"}, {"c", TooMany, 1, "b_labeled_total{b,}"}}
	if !slices.Equal(s.Skips(), skips) {
		t.Errorf("dropped %+v, want %+v", s.Skips(), skips)
	}
}

// TestOnlyCountersOfCollectorsHaveStartOfKamailio adds counters of a collector and one
// of the exporter itself.
func TestOnlyCountersOfCollectorsHaveStartOfKamailio(t *testing.T) {
	own := &Desc{Name: "c_own_total", Help: "Own.", Type: Counter}
	started := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := NewSet()
	w := s.Writer("c", 0)
	w.Add(plain, 1)
	w.Add(labeled, 1, "", "")
	w.SetCreated(started)
	s.Add(own, 1)
	families, err := s.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := families[1].GetMetric()[0].GetCounter().GetCreatedTimestamp(); !got.AsTime().Equal(started) {
		t.Errorf("%s was created at %v", families[1].GetName(), got)
	}
	if got := families[2].GetMetric()[0].GetCounter().GetCreatedTimestamp(); got != nil {
		t.Errorf("%s was created at %v", families[2].GetName(), got)
	}
}

func TestDropLegacy(t *testing.T) {
	old := &Desc{Name: "old", Help: "Old.", Preferred: "new", Legacy: true}
	same := &Desc{Name: "same", Help: "Same.", Preferred: "new"}
	preferred := &Desc{Name: "new", Help: "New."}
	s := NewSet()
	for _, added := range [][]*Desc{{old, same}, {old, same, preferred}, {old, same}} {
		s.Reset()
		for _, desc := range added {
			s.Add(desc, 1)
		}
		s.DropLegacy()
		want := []string{"old", "same"}
		if slices.Contains(added, preferred) {
			want = []string{"new", "same"}
		}
		var got []string
		for _, family := range s.Families() {
			got = append(got, family.Desc.Name)
			if family.Len() != 1 {
				t.Errorf("%s has %d samples, want 1", family.Desc.Name, family.Len())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d families: %q remain, want %q", len(added), got, want)
		}
	}
}

// TestHas has values that look like another label.
func TestHas(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	desc := &Desc{Name: "a", Labels: []string{"uri", "xy", "y"}}
	for _, uri := range []string{`,y="1"`, `a",y=`, `,y="1`, `\",y="1"`, ",y=", "{y=", `,y=\`, ",y=\n1"} {
		w.Add(desc, 1, uri, "1", "2")
	}
	for family := range s.All() {
		for i := range family.Len() {
			if _, values := family.Sample(i); !family.Has(i, NewPair("y", "2")) || !family.Has(i, NewPair("xy", "1")) || family.Has(i, NewPair("y", "1")) {
				t.Errorf("labels %q", values)
			}
		}
		if family.Collector() != "c" || family.Value(1) != 1 {
			t.Errorf("collector %q, value %v", family.Collector(), family.Value(1))
		}
	}
}

// TestHasFirstLabel has samples of one label, of two, and of none.
func TestHasFirstLabel(t *testing.T) {
	s := NewSet()
	pair := NewPair("x", "1")
	for _, labels := range [][]string{nil, {"x"}, {"x", "y"}} {
		values := []string{"1", "1"}[:len(labels)]
		desc := &Desc{Name: "a", Labels: labels}
		s.Add(desc, 1, values...)
		if got, want := s.families[desc].Has(0, pair), len(labels) > 0; got != want {
			t.Errorf("labels %q: the label is found: %t, want %t", labels, got, want)
		}
	}
}
