package metric

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
)

// byLibrary returns a Set as package expfmt writes it.
func byLibrary(t *testing.T, s *Set, format Format) string {
	t.Helper()
	families, err := s.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, family := range families {
		write := func() (int, error) { return expfmt.MetricFamilyToText(&b, family) }
		if format == OpenMetrics {
			write = func() (int, error) { return expfmt.MetricFamilyToOpenMetrics(&b, family) }
		}
		if _, err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// byUs returns a Set as WriteText writes it.
func byUs(t *testing.T, s *Set, format Format) string {
	t.Helper()
	var b strings.Builder
	w := bufio.NewWriterSize(&b, 64) // shorter than most lines
	for _, family := range s.Families() {
		if err := family.WriteText(w, format); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func checkText(t *testing.T, s *Set) {
	t.Helper()
	for _, format := range []Format{Text, OpenMetrics} {
		if got, want := byUs(t, s, format), byLibrary(t, s, format); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// oddTexts are label values and help texts with special characters.
var oddTexts = []string{"", "plain", `\`, `"`, "\n", `\n`, `\\"`, `a"b\c` + "\nd", "ümläut", "\xff\xfe", "\x80", "a\xffb", "\uFFFD", "}", "{", `x="y"`, "\x00", "\r\t"}

// oddValues are numbers around which the form of a number changes.
var oddValues = []float64{
	0, math.Copysign(0, -1), 1, -1, 2, 10, 0.5, -0.5, 1e-3, 1e-4, 1e-5, 123456, 999999, 1e6, -999999, -1e6, 999999.5, 1234567, 1e20, 1e21, 1e22,
	123456.789, 4294967295, math.MaxUint32, math.MaxInt64, math.MinInt64, math.MaxUint64, math.MaxFloat64, math.SmallestNonzeroFloat64,
	math.Inf(1), math.Inf(-1), math.NaN(), 1 << 53, 1.0000000000000002,
}

func TestTextEqualsThatOfLibrary(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	wrongCounter := &Desc{Name: "counter_of_another_name", Help: "Counts.", Type: Counter}
	s.Add(wrongCounter, 3)
	s.Add(plain, 2)
	for i, value := range oddValues {
		for k, text := range oddTexts {
			w.Add(&Desc{Name: "odd_help", Help: text, Type: Type(k % 2)}, value)
			w.AddOnce(labeled, value, text, oddTexts[(i+k)%len(oddTexts)])
		}
	}
	checkText(t, s)
}

func FuzzText(f *testing.F) {
	for i, text := range oddTexts {
		f.Add("Help.", text, "y", oddValues[i], true)
		f.Add(text, "x", text, oddValues[len(oddValues)-1-i], false)
	}
	f.Fuzz(func(t *testing.T, help, x, y string, value float64, counter bool) {
		desc := &Desc{Name: "fuzzed_total", Help: strings.ToValidUTF8(help, ""), Labels: []string{"x", "y"}}
		if counter {
			desc.Type = Counter
		}
		s := NewSet()
		w := s.Writer("c", 0)
		w.Add(desc, value, x, y)
		w.Add(desc, value, y, x)
		checkText(t, s)
		if counter && value < 0 {
			return // see TestCounterBelowZeroIsDropped
		}
		_, labels := s.Families()[0].Sample(0)
		want := cutAll([]string{x, y})
		for i := range want {
			want[i] = strings.ToValidUTF8(want[i], "\uFFFD")
		}
		if !slices.Equal(labels, want) {
			t.Errorf("labels %q, want %q", labels, want)
		}
	})
}

// TestSamplesInAnyOrder adds label sets to a family in another order than that in which
// another family added them.
func TestSamplesInAnyOrder(t *testing.T) {
	other := &Desc{Name: "c_other", Help: "Other.", Labels: labeled.Labels}
	s := NewSet()
	w := s.Writer("c", 0)
	for _, x := range []string{"1", "2", "3"} {
		w.Add(labeled, 1, x, "")
	}
	for _, x := range []string{"3", "1", "4", "2", "1", "4", "5", "5"} {
		w.Add(other, 1, x, "")
	}
	var got []string
	for i := range s.families[other].Len() {
		_, labels := s.families[other].Sample(i)
		got = append(got, labels[0])
	}
	if want := []string{"3", "1", "4", "2", "5"}; !slices.Equal(got, want) {
		t.Errorf("samples %v, want %v", got, want)
	}
	if skips := s.Skips(); len(skips) != 1 || skips[0].Count != 3 || skips[0].Example != "c_other{1,}" {
		t.Errorf("dropped %+v", skips)
	}
}

func TestLabelsWithOtherNamesPanic(t *testing.T) {
	for _, names := range [][]string{{"x", "z"}, {"x"}, nil} {
		w := NewSet().Writer("c", 0)
		labels := w.Labels(names, []string{"1", "2"}[:len(names)]...)
		if got, want := panicOf(func() { w.AddTo(labels, labeled, 1) }), "metric b_labeled_total: labels with other names"; got != want {
			t.Errorf("labels %q: panic %v, want %s", names, got, want)
		}
	}
}

// brokenPipe is a writer to which nothing can be written.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteTextReturnsTheErrorOfTheWriter(t *testing.T) {
	s := NewSet()
	s.Add(plain, 1)
	if err := s.Families()[0].WriteText(bufio.NewWriterSize(brokenPipe{}, 16), Text); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}
