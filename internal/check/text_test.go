package check

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestLongLines has texts that do not fit in a line, and a word that fits in none.
func TestLongLines(t *testing.T) {
	s := section{title: "Step"}
	s.add(ok, strings.Repeat("word ", 40)+strings.Repeat("x", 120)+" end")
	s.add(note, "")
	s.add(change, "short")
	var out strings.Builder
	if err := write(&out, "Title", []section{s}); err != nil {
		t.Fatal(err)
	}
	full := strings.TrimSuffix(strings.Repeat("word ", 18), " ")
	rest := strings.TrimSuffix(strings.Repeat("word ", 4), " ")
	want := "Title\n\n1. Step\n   ok     " + full + "\n          " + full + "\n          " + rest +
		"\n          " + strings.Repeat("x", 120) + "\n          end\n   change short\n\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestHostileText has texts of a server in all kinds of lines.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[2J\r\n\u202eb\xff\u2028c"
	s := section{title: "Step"}
	s.add(ok, hostile+strings.Repeat("y", 1<<20))
	s.addLines(row, hostile)
	s.addLines(copied, hostile)
	if kept := len(s.lines[0].text); kept > 2*maxText {
		t.Errorf("a report keeps a text of %d bytes", kept)
	}
	var out strings.Builder
	if err := write(&out, hostile, []section{s}); err != nil {
		t.Fatal(err)
	}
	if len(out.String()) > 2*maxText || strings.ContainsAny(out.String(), "\x1b\r\u202e\u2028") || !utf8.ValidString(out.String()) {
		t.Errorf("%d bytes: %.1000q", out.Len(), out.String())
	}
	if want := "   ok     " + `a\x1b[2J\r;` + "\n          " + `\u202eb�\u2028cyy`; !strings.Contains(out.String(), want) {
		t.Errorf("%s is not in %.1000q", want, out.String())
	}
}

func TestAge(t *testing.T) {
	for seconds, want := range map[int64]string{0: "0s", 3: "3s", 3725: "1h2m5s", 172800: "2 days", 9999999: "115 days"} {
		if got := age(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("%d seconds: %s, want %s", seconds, got, want)
		}
	}
}
