package xhttpprom

import (
	"strings"
	"testing"
)

// TestTimestampsAreDropped has timestamps in all forms of the parameter timestamp_format, and in other forms of numbers.
func TestTimestampsAreDropped(t *testing.T) {
	for _, time := range []string{
		"", " 1795620014499", " 1795620014", " 1795620014.499", " 1.795620014499e+12", " 1.795620014499E9", " -1", " 0.5", "\t1795620014.499", "  1795620014.499 ",
	} {
		got, err := Parse(t.Context(), strings.ReplaceAll(
			`kamailio_calls_total{method="INVITE", to="a } b"} 2TIME
kamailio_level 1.500000TIME
kamailio_seconds_bucket{le="0.100000"} 1TIME
kamailio_seconds_bucket{le="+Inf"} 2TIME
kamailio_seconds_sum 0.55TIME
kamailio_seconds_count 2TIME
`, "TIME", time))
		if err != nil || got.BadCount > 0 {
			t.Errorf("%q: %v, bad %q", time, err, got.Bad)
		}
		const want = `# TYPE kamailio_calls_total counter
kamailio_calls_total{method="INVITE",to="a } b"} 2
# TYPE kamailio_level untyped
kamailio_level 1.5
# TYPE kamailio_seconds histogram
kamailio_seconds_bucket{le="0.1"} 1
kamailio_seconds_bucket{le="+Inf"} 2
kamailio_seconds_sum 0.55
kamailio_seconds_count 2
`
		if text := text(t, got); text != want {
			t.Errorf("%q: got\n%s", time, text)
		}
	}
}

// TestLinesWithoutValueAreBad has lines with something else than a value and a timestamp after the labels.
func TestLinesWithoutValueAreBad(t *testing.T) {
	for _, line := range []string{"a", "a ?", "a 1 x", "a 1 2 3", "a{b=\"c\"} 1 2 3", "a{b=\"c\"}", "a{b=\"c\"} 1795620014.499.1 2", `a{b="c"} 1 2"} 3 4.5`, "a b 1.5"} {
		got, err := Parse(t.Context(), line+"\nb 1\n")
		if err != nil || got.BadCount != 1 || got.Bad[0] != line {
			t.Errorf("%q: %v, bad %q", line, err, got.Bad)
		}
	}
}
