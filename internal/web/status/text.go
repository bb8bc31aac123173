package status

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// Lengths of text that may be a server's, in characters.
const (
	longText  = 2000 // an error
	shortText = 120  // a name
)

// password matches the password of a URI, for example of sip:alice:secret@example.net, and what may be one at the end of a text
// that was cut.
var password = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*:(?://)?[^\s:@/]*):[^\s/]+(@|…$)`)

// clean returns a text that may be a server's for a page: without passwords of URIs, with control characters and marks of the
// writing direction escaped, and cut to a number of characters.
func clean(text string, limit int) string {
	if len(text) > 4*limit {
		text = strings.ToValidUTF8(text[:4*limit], "") + "…"
	}
	text = cli.Printable(password.ReplaceAllString(text, "$1:…$2"))
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// When is a time for a page.
type When struct {
	// Machine is the time for programs, "" if the time is not known.
	Machine string
	// Full is the time with date.
	Full string
	// Ago is how long ago the time was, for example "3 h 12 min".
	Ago string
}

// at returns a time for a page; a zero time is not known.
func at(t, now time.Time) When {
	if t.IsZero() {
		return When{}
	}
	return When{t.UTC().Format(time.RFC3339), t.UTC().Format("2006-01-02 15:04:05 UTC"), span(now.Sub(t))}
}

// span returns a duration with at most two units.
func span(d time.Duration) string {
	seconds := max(0, int64(d/time.Second))
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 24*3600:
		return twoUnits(seconds/3600, "h", seconds%3600/60, "min")
	default:
		return twoUnits(seconds/86400, "d", seconds%86400/3600, "h")
	}
}

func twoUnits(large int64, largeUnit string, small int64, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}

// took returns a short duration, "" if it is not known.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// count returns a whole number with separators of thousands.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:] // a narrow space
	}
	return digits
}

// plural returns a number with a noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// maxWhole is the limit from which numbers are shown with an exponent. A server may send numbers that do not fit an int.
const maxWhole = 1e15

// number returns a number with three digits, or more before the point. It returns "–" for NaN.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.Abs(v) >= maxWhole:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v >= 100 || v == math.Trunc(v):
		return count(int(math.Round(v)))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// bytes returns a number of bytes with a unit.
func bytes(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for v >= 1024 && len(units) > 1 {
		v, units = v/1024, units[1:]
	}
	if math.Abs(v) >= maxWhole {
		return number(v) + " " + units[0]
	}
	if units[0] == "B" || v >= 100 {
		return fmt.Sprintf("%.0f %s", v, units[0])
	}
	return fmt.Sprintf("%.1f %s", v, units[0])
}
