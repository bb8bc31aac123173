package xhttpprom

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
)

// page is what Kamailio 6.0.1 shows, with a histogram as the module's source
// makes one, and a line that is none.
const page = `# User defined metrics
kamailio_lab_calls_total{method="INVITE", result="relayed"} 3 1795417833533
kamailio_lab_level 1.5 1795417833533
kamailio_lab_seconds_bucket{method="INVITE", le="0.100000"} 1 1795417833533
kamailio_lab_seconds_bucket{method="INVITE", le="1.000000"} 2 1795417833533
kamailio_lab_seconds_bucket{method="INVITE", le="+Inf"} 2 1795417833533
kamailio_lab_seconds_sum{method="INVITE"} 0.550000 1795417833533
kamailio_lab_seconds_count{method="INVITE"} 2 1795417833533
kamailio_lab_odd{text="a "quoted" word"} 1 1795417833533

# Kamailio whole internal statistics
kamailio_core_bad_URIs_rcvd 0 1795417833533
`

const want = `# TYPE kamailio_lab_calls_total counter
kamailio_lab_calls_total{method="INVITE",result="relayed"} 3
# TYPE kamailio_lab_level untyped
kamailio_lab_level 1.5
# TYPE kamailio_lab_seconds histogram
kamailio_lab_seconds_bucket{method="INVITE",le="0.1"} 1
kamailio_lab_seconds_bucket{method="INVITE",le="1"} 2
kamailio_lab_seconds_bucket{method="INVITE",le="+Inf"} 2
kamailio_lab_seconds_sum{method="INVITE"} 0.55
kamailio_lab_seconds_count{method="INVITE"} 2
`

func text(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	for _, family := range p.Families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, page, want string
		bad              []string
	}{
		{"all there is", page, want, []string{`kamailio_lab_odd{text="a "quoted" word"} 1 1795417833533`}},
		{"nothing", "", "", nil},
		{"no metrics yet", "# User defined metrics\n\n# Kamailio statistics for group: core:\nkamailio_core_x 1 1\n", "", nil},
		{"types that the page gives", "# TYPE a_total gauge\na_total 1 5\n", "# TYPE a_total gauge\na_total 1\n", nil},
		{"not together", "# TYPE a counter\na 1\n# TYPE a gauge\n", "", []string{"text format parsing error in line 3: second TYPE line for metric name \"a\", or TYPE reported after samples"}},
		{"a comment of a script's own", "# Kamailio is ours\nx 1\n", "# TYPE x untyped\nx 1\n", nil},
		{"no end of line", "x 1", "# TYPE x untyped\nx 1\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Parse(test.page)
			if text := text(t, got); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
			if !slices.Equal(got.Bad, test.bad) {
				t.Errorf("bad %q, want %q", got.Bad, test.bad)
			}
		})
	}
}

func TestFetch(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer server.Close()
	client, err := NewClient(server.URL+"/metrics", http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Fetch(t.Context())
	if err != nil || text(t, got) != want {
		t.Errorf("%v, %s", err, text(t, got))
	}

	answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	if _, err := client.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
		t.Errorf("error %v", err)
	}
	answer = func(w http.ResponseWriter, _ *http.Request) {
		for range largestPage/1024 + 2 {
			_, _ = w.Write(bytes.Repeat([]byte("\n"), 1024))
		}
	}
	if _, err := client.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error %v", err)
	}
}

func TestNewClient(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:5060", "ftp://host/", "http://", "http://[::1", "http://u:p@host/"} {
		if _, err := NewClient(bad, http.DefaultClient); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(page)
	f.Add("# TYPE a histogram\na_bucket{le=\"x\"} 1\n")
	f.Fuzz(func(_ *testing.T, page string) { Parse(page) })
}
