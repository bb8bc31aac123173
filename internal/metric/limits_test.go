package metric

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLongLabelValueIsCutAndCountedOnce(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	values := []string{strings.Repeat("a", 16<<20), "y"}
	labels := w.Labels(labeled.Labels, values...)
	for i := range 20 {
		w.AddTo(labels, &Desc{Name: "c_" + strconv.Itoa(i), Labels: labeled.Labels}, 1)
	}
	w.Add(labeled, 1, values...)
	for _, family := range s.Families() {
		_, got := family.Sample(0)
		if want := strings.Repeat("a", MaxLabelLength-len(cutMark)-8) + cutMark; !strings.HasPrefix(got[0], want) || len(got[0]) != MaxLabelLength || got[1] != "y" {
			t.Fatalf("the labels of %s have %d and %d bytes", family.Desc.Name, len(got[0]), len(got[1]))
		}
	}
	skips := s.Skips()
	if len(skips) != 1 || skips[0].Reason != TooLong || skips[0].Count != 1 || len(skips[0].Example) > maxExample {
		t.Errorf("dropped %+v", skips)
	}
	if len(values[0]) != 16<<20 {
		t.Error("the caller's value was changed")
	}
}

func TestLongValueOfALaterLabelIsCounted(t *testing.T) {
	s := NewSet()
	s.Writer("c", 0).Labels(labeled.Labels, "x", strings.Repeat("a", MaxLabelLength+1))
	if skips := s.Skips(); len(skips) != 1 || skips[0].Reason != TooLong || !strings.HasPrefix(skips[0].Example, "y=aaa") {
		t.Errorf("dropped %+v", skips)
	}
}

// TestExampleIsCut has examples around the maximum length.
func TestExampleIsCut(t *testing.T) {
	for size, want := range map[int]string{
		maxExample - 1: strings.Repeat("a", maxExample-1),
		maxExample:     strings.Repeat("a", maxExample),
		maxExample + 1: strings.Repeat("a", maxExample-len(cutMark)) + cutMark,
	} {
		s := NewSet()
		s.Writer("c", 0).Skip(UnknownField, strings.Repeat("a", size))
		if got := s.Skips()[0].Example; got != want {
			t.Errorf("%d bytes became %q", size, got)
		}
	}
}

// TestNothingIsAddedToAFullSet has Sets that are just full, and just not full.
func TestNothingIsAddedToAFullSet(t *testing.T) {
	for size, added := range map[int]int{MaxSize - 1: 1, MaxSize: 0, MaxSize + 1: 0} {
		s := NewSet()
		s.size = size
		w := s.Writer("c", 0)
		w.Add(plain, 1)
		if w.Added() != added {
			t.Errorf("with %d bytes, %d samples were added, want %d", size, w.Added(), added)
		}
	}
}

func TestDifferentLongLabelValuesStayDifferent(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	for _, end := range []string{"1", "2", "1"} {
		w.Add(labeled, 1, strings.Repeat("a", 3000)+end, "")
	}
	if got := s.Families()[0].Len(); got != 2 {
		t.Errorf("%d samples, want 2", got)
	}
}

func TestCutDoesNotSplitCharacters(t *testing.T) {
	for shift := range 4 {
		text := strings.Repeat("x", shift) + strings.Repeat("😀", MaxLabelLength)
		got := cut(text, MaxLabelLength)
		if !utf8.ValidString(got) || len(got) > MaxLabelLength || len(got) < MaxLabelLength-len("😀") || !strings.HasSuffix(got, cutMark) {
			t.Errorf("shifted by %d: %d bytes, valid: %t", shift, len(got), utf8.ValidString(got))
		}
	}
	if got := cut(strings.Repeat("\x80", 2000), MaxLabelLength); len(got) != MaxLabelLength { // not UTF-8
		t.Errorf("%d bytes", len(got))
	}
}

func TestLabelValueOfMaximumLengthIsNotCut(t *testing.T) {
	s := NewSet()
	s.Writer("c", 0).Add(labeled, 1, strings.Repeat("a", MaxLabelLength), "")
	if _, got := s.Families()[0].Sample(0); len(got[0]) != MaxLabelLength || len(s.Skips()) > 0 {
		t.Errorf("%d bytes, dropped %+v", len(got[0]), s.Skips())
	}
}

// TestSizeOfSetIsLimited adds more than MaxSize, with new label sets and with new
// families of the same label set.
func TestSizeOfSetIsLimited(t *testing.T) {
	long := strings.Repeat("x", MaxLabelLength)
	for name, add := range map[string]func(w *Writer, i int){
		"samples": func(w *Writer, i int) { w.Add(labeled, 1, long, strconv.Itoa(i)) },
		"families": func(w *Writer, i int) {
			w.Add(&Desc{Name: "c_" + strconv.Itoa(i), Labels: labeled.Labels}, 1, long, "")
		},
		"label sets without samples": func(w *Writer, i int) { w.Labels(labeled.Labels, long, strconv.Itoa(i)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSet()
			w := s.Writer("c", 0)
			const tooMany = 20_000
			for i := range tooMany {
				add(w, i)
			}
			if s.Size() < MaxSize/2 || s.Size() > MaxSize+2*MaxLabelLength {
				t.Errorf("the size is %d", s.Size())
			}
			memory := 0
			for _, chunk := range s.labels.chunks {
				memory += cap(chunk)
			}
			if memory > 2*MaxSize {
				t.Errorf("the label sets take %d bytes", memory)
			}
			w = s.Writer("d", 0)
			w.Add(labeled, 1, "d", "")
			s.Add(plain, 1)
			skips := s.Skips()
			if last := skips[len(skips)-1]; last.Collector != "d" || last.Reason != TooMany || last.Count != 1 {
				t.Errorf("dropped %+v", skips)
			}
			if !strings.Contains(text(t, s), "a_plain 1\n") {
				t.Error("a sample of the exporter itself was dropped")
			}
		})
	}
}

// TestSizeIsThatOfTheText has values of six digits, whose length is that which the size assumes.
func TestSizeIsThatOfTheText(t *testing.T) {
	s := NewSet()
	s.Add(plain, 123456)
	s.Add(labeled, 123456, "p", "q")
	lines := "a_plain 123456\n" + `b_labeled_total{x="p",y="q"} 123456` + "\n"
	if got := s.Size(); got != len(lines) {
		t.Errorf("the size is %d, want %d", got, len(lines))
	}
	s.Writer("c", 0).Add(labeled, 123456, "r", "s") // its labels take memory too
	lines += `b_labeled_total{x="r",y="s"} 123456` + "\n" + `{x="r",y="s"}`
	if got := s.Size(); got != len(lines) {
		t.Errorf("with a sample of a collector, the size is %d, want %d", got, len(lines))
	}
}

func TestCounterBelowZeroIsDropped(t *testing.T) {
	s := NewSet()
	w := s.Writer("c", 0)
	w.Add(labeled, -0.001, "x", "y")
	w.Add(plain, -1)
	if got := text(t, s); strings.Contains(got, labeled.Name) || !strings.Contains(got, "a_plain -1\n") {
		t.Errorf("got\n%s", got)
	}
	if skips := s.Skips(); len(skips) != 1 || skips[0] != (Skip{"c", BadValue, 1, "b_labeled_total{x,y}"}) {
		t.Errorf("dropped %+v", skips)
	}
}

// TestResetAfterSmallScrapeFreesMemory resets a Set after a large scrape, which keeps
// the memory, and after a small one.
func TestResetAfterSmallScrapeFreesMemory(t *testing.T) {
	fill := func(s *Set, samples int) {
		for i := range samples {
			s.Add(labeled, 1, strconv.Itoa(i), strings.Repeat("x", 1000))
		}
	}
	s := NewSet()
	fill(s, 4000)
	s.Reset()
	if len(s.labels.chunks) < 100 {
		t.Errorf("after a large scrape there are %d chunks, want more than 100", len(s.labels.chunks))
	}
	fill(s, 10)
	s.Reset()
	if len(s.labels.chunks) > 1 || len(s.families) > 0 {
		t.Errorf("after a small scrape there are %d chunks and %d families, want 1 and 0", len(s.labels.chunks), len(s.families))
	}
	fill(s, 1)
	if got := len(s.Families()); got != 1 {
		t.Errorf("%d families", got)
	}
}

// TestResetKeepsMemory has sizes around those from which on the memory is freed.
func TestResetKeepsMemory(t *testing.T) {
	for _, test := range []struct {
		largest, size int
		keeps         bool
	}{
		{spareSize - 1, 0, true},
		{spareSize, 0, true},
		{spareSize + 1, 0, false},
		{4 * spareSize, spareSize - 1, false},
		{4 * spareSize, spareSize, true},
	} {
		s := NewSet()
		s.Add(plain, 1)
		s.largest, s.size = test.largest, test.size
		s.Reset()
		if keeps := len(s.families) > 0; keeps != test.keeps || s.Size() != 0 {
			t.Errorf("size %d, once %d: the memory is kept: %t; size %d after Reset", test.size, test.largest, keeps, s.Size())
		}
	}
}
