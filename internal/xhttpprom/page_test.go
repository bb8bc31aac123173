package xhttpprom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// page is a page of Kamailio 6.0.1, with a histogram as in the module's source and a line
// that is not valid.
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

const (
	wholeHistogram = "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"
	wantHistogram  = "# TYPE h histogram\n" + wholeHistogram
	wholeSummary   = "s{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n"
)

// parts returns the samples of a histogram or summary as separate families.
func parts(text string) string {
	var b strings.Builder
	last := ""
	byName := func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) }
	for _, line := range slices.SortedStableFunc(strings.Lines(text), byName) {
		if name := nameOf(line); name != last {
			last = name
			b.WriteString("# TYPE " + name + " untyped\n")
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, page, want string
		bad              []string
	}{
		{"a whole page", page, want, []string{`kamailio_lab_odd{text="a "quoted" word"} 1 1795417833533`}},
		{"an empty page", "", "", nil},
		{"no metrics yet", "# User defined metrics\n\n# Kamailio statistics for group: core:\nkamailio_core_x 1 1\n", "", nil},
		{"types that the page gives", "# HELP a_total Of\\na\n# HELP a_total no\n# TYPE a_total gauge\na_total 1 5\nb_total 1\n", "# HELP a_total Of\\na\n# TYPE a_total gauge\na_total 1\n# TYPE b_total untyped\nb_total 1\n", nil},
		{"a second type", "# TYPE a counter\na 1\n# TYPE a gauge\nb 1\n", "# TYPE a counter\na 1\n# TYPE b untyped\nb 1\n", []string{"# TYPE a gauge"}},
		{"a late type", "a 1\n# TYPE a gauge\nb 1\n", "# TYPE a gauge\na 1\n# TYPE b untyped\nb 1\n", nil},
		{"an unknown type", "# TYPE a odd\na 1\n", "# TYPE a untyped\na 1\n", []string{"# TYPE a odd"}},
		{"another comment", "# Kamailio is ours\nx 1\n", "# TYPE x untyped\nx 1\n", nil},
		{"no end of line", "x 1", "# TYPE x untyped\nx 1\n", nil},
		{"ends of lines of Windows", "# TYPE x gauge\r\nx 1\r\nx{a=\"1\"} 1 5\r\n\r\n", "# TYPE x gauge\nx 1\nx{a=\"1\"} 1\n", nil},
		{"a bad line among good ones", "x 1\nx{a=\"1\"} ?\nx{a=\"2\"} 2\n", "# TYPE x untyped\nx 1\nx{a=\"2\"} 2\n", []string{`x{a="1"} ?`}},

		{"equal labels", "a 1\na 2\na 1 7\n", "# TYPE a untyped\na 1\n", []string{"a 2", "a 1 7"}},
		{"equal labels in another order", "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", "# TYPE a untyped\na{x=\"1\",y=\"2\"} 1\n", []string{`a{y="2",x="1"} 2`}},
		{"equal labels except one without a value", "a 1\na{x=\"\"} 2\n", "# TYPE a untyped\na 1\n", []string{`a{x=""} 2`}},
		{"a bucket twice", wholeHistogram + "h_bucket{le=\"1\"} 9\n", wantHistogram, []string{`h_bucket{le="1"} 9`}},
		{"a reserved label", "a{__x=\"1\"} 1\na 2\n", "# TYPE a untyped\na 2\n", []string{`a{__x="1"} 1`}},
		{"a name that needs quotes", "{\"a.b\"} 1\na\"b\" 1\na{\"x.y\"=\"1\"} 1\na{x=\"1\",x=\"2\"} 1\na 2\n", "# TYPE a untyped\na 2\n",
			[]string{`{"a.b"} 1`, `a"b" 1`, `a{"x.y"="1"} 1`, `a{x="1",x="2"} 1`}},
		{"invalid UTF-8", "a{x=\"\xff\"} 1\na 2\n", "# TYPE a untyped\na 2\n", []string{"a{x=\"\xff\"} 1"}},
		{"an empty name of a histogram", "_bucket{le=\"+Inf\"} 1\n_sum 1\n_count 1\n", parts("_bucket{le=\"+Inf\"} 1\n_sum 1\n_count 1\n"), nil},

		{"a bucket that is not a number", "h_bucket{le=\"abc\"} 1\ngood 5\n", parts("good 5\nh_bucket{le=\"abc\"} 1\n"), nil},
		{"a quantile that is not a number", "# TYPE s summary\ns{quantile=\"x\"} 1\ns_sum 1\ns_count 1\ngood 5\n", parts("good 5\ns{quantile=\"x\"} 1\ns_sum 1\ns_count 1\n"), nil},

		{"a histogram", wholeHistogram, wantHistogram, nil},
		{"a histogram with a type", "# HELP h help\n# TYPE h histogram\n" + wholeHistogram, "# HELP h help\n" + wantHistogram, nil},
		{"a summary", "# TYPE s summary\n" + wholeSummary, "# TYPE s summary\n" + wholeSummary, nil},
		{"a summary without a type", wholeSummary, parts(wholeSummary), nil},
		{"a summary with the name of a histogram's sum", "# TYPE a histogram\n# TYPE a_sum summary\na_bucket{quantile=\"1\",le=\"+Inf\"} 1\na_sum{quantile=\"1\"} 1\na_count{quantile=\"1\"} 1\na_sum_sum 1\na_sum_count 1\n",
			"# TYPE a histogram\na_bucket{quantile=\"1\",le=\"+Inf\"} 1\na_sum{quantile=\"1\"} 1\na_count{quantile=\"1\"} 1\n" + parts("a_sum_sum 1\na_sum_count 1\n"), nil},
		{"buckets on a page with types", "# TYPE x gauge\n" + wholeHistogram, parts(wholeHistogram), nil},
		{"a count that is not an integer", "h_bucket{le=\"+Inf\"} 1.5\nh_count 1\nh_sum 1\n", parts("h_bucket{le=\"+Inf\"} 1.5\nh_count 1\nh_sum 1\n"), nil},
		{"a bound in two forms", wholeHistogram + "h_bucket{le=\"1.0\"} 1\n", parts(wholeHistogram + "h_bucket{le=\"1.0\"} 1\n"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(t.Context(), test.page)
			if err != nil {
				t.Fatal(err)
			}
			if text := text(t, got); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
			if !slices.Equal(got.Bad, test.bad) || got.BadCount != len(test.bad) {
				t.Errorf("bad %q (%d), want %q", got.Bad, got.BadCount, test.bad)
			}
			gather(t, got)
		})
	}
}

// TestIncompleteHistogramsAndSummaries removes a line of a histogram or summary, or adds
// one. The lines remain separate families, and no value is added.
func TestIncompleteHistogramsAndSummaries(t *testing.T) {
	const other = "h_bucket{a=\"b\",le=\"+Inf\"} 1\n"
	for _, test := range []struct{ name, types, page string }{
		{"no sum", "", strings.ReplaceAll(wholeHistogram, "h_sum 3\n", "")},
		{"no count", "", strings.ReplaceAll(wholeHistogram, "h_count 2\n", "")},
		{"no last bucket", "", strings.ReplaceAll(wholeHistogram, "h_bucket{le=\"+Inf\"} 2\n", "")},
		{"another label set without a sum", "", wholeHistogram + other},
		{"another label set without buckets", "", wholeHistogram + "h_sum{a=\"b\"} 1\nh_count{a=\"b\"} 1\n"},
		{"a bucket without a bound", "", wholeHistogram + "h_bucket 1\n"},
		{"a sample of the name itself", "", wholeHistogram + "h 1\n"},
		{"a negative bucket", "", strings.ReplaceAll(wholeHistogram, "\"} 1", "\"} -1")},
		{"a count that is not an integer", "", strings.ReplaceAll(wholeHistogram, "h_count 2", "h_count 2.5")},
		{"a bound that is NaN", "", wholeHistogram + "h_bucket{le=\"NaN\"} 1\n"},
		{"declared, no count", "# TYPE h histogram\n", strings.ReplaceAll(wholeHistogram, "h_count 2\n", "")},
		{"summary, no sum", "# TYPE s summary\n", strings.ReplaceAll(wholeSummary, "s_sum 3\n", "")},
		{"summary, no count", "# TYPE s summary\n", strings.ReplaceAll(wholeSummary, "s_count 2\n", "")},
		{"summary, no quantile", "# TYPE s summary\n", wholeSummary + "s 1\n"},
		{"summary, quantile at the sum", "# TYPE s summary\n", "s_sum{quantile=\"1\"} 3\ns_count{quantile=\"1\"} 3\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(t.Context(), test.types+test.page)
			if err != nil || got.BadCount > 0 {
				t.Errorf("%v, %q", err, got.Bad)
			}
			sorted := func(text string) []string { return slices.Sorted(strings.Lines(text)) }
			if text := text(t, got); !slices.Equal(sorted(text), sorted(parts(test.page))) {
				t.Errorf("got\n%s", text)
			}
			gather(t, got)
		})
	}
}

// gather gathers the page with client_golang, which reports families that it refuses.
func gather(t *testing.T, p Page) {
	t.Helper()
	gatherer := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return p.Families, nil })
	if _, err := (prometheus.Gatherers{prometheus.NewRegistry(), gatherer}).Gather(); err != nil {
		t.Error(err)
	}
}

// TestLibraryAcceptsFamilies gathers pages with everything that client_golang refuses:
// types and names that collide, and labels that are reserved, invalid or repeated.
func TestLibraryAcceptsFamilies(t *testing.T) {
	lines := []string{
		"# TYPE a histogram", "# TYPE a summary", "# TYPE a_sum summary", "# TYPE a_count summary", "# TYPE a_bucket histogram", "# TYPE a_sum histogram",
		"a 1", `a{quantile="1"} 1`, `a_bucket{le="+Inf"} 1`, "a_bucket 1", "a_sum 1", "a_count 1", "a_sum 2",
		"a_sum_sum 1", "a_sum_count 1", `a_sum{quantile="1"} 1`, `a_sum_bucket{le="+Inf"} 1`,
		"a_count_sum 1", "a_count_count 1", `a_bucket_bucket{le="+Inf"} 1`, "a_bucket_sum 1", "a_bucket_count 1",
		`a{__name__="b"} 1`, `a{__b="c"} 1`, `a{le="1",le="2"} 1`, `a{b="\xff"} 1`, "a.b 1", "é 1", `{"a"} 1`, `a{"b c"="d"} 1`, `a_sum{quantile="1"} 2`,
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var page strings.Builder
		for _, i := range random.Perm(len(lines))[:1+random.IntN(len(lines))] {
			page.WriteString(lines[i] + "\n")
		}
		p, err := Parse(t.Context(), page.String())
		if err != nil && !errors.Is(err, errNoMetric) {
			t.Fatal(err)
		}
		if gather(t, p); t.Failed() {
			t.Fatalf("page\n%s", page.String())
		}
	}
}

// TestTimeOfLargePagesIsLimited parses the largest pages that are accepted, of the slowest
// kinds.
func TestTimeOfLargePagesIsLimited(t *testing.T) {
	repeat := func(lines int, line func(i int) string) string {
		var b strings.Builder
		for i := range lines {
			b.WriteString(line(i))
		}
		return b.String()
	}
	labels := repeat(maxPageSize/10, func(i int) string { return fmt.Sprintf("l%06d=\"\",", i) })
	for name, page := range map[string]string{
		"no valid line":          strings.Repeat("?\n", maxLines),
		"one bad name":           strings.Repeat("a ?\n", maxLines),
		"one name":               repeat(maxLines, func(i int) string { return fmt.Sprintf("a{b=\"%d\"} 1\n", i) }),
		"many names":             repeat(maxLines, func(i int) string { return fmt.Sprintf("a%d 1\n", i) }),
		"many bad names":         repeat(maxLines, func(i int) string { return fmt.Sprintf("a%d ?\n", i) }),
		"many histograms":        repeat(maxLines/4, func(i int) string { return strings.ReplaceAll(wholeHistogram, "h", "h"+strconv.Itoa(i)) }),
		"many labels":            "a{" + labels + "} 1\n",
		"many comments":          repeat(maxLines, func(i int) string { return fmt.Sprintf("# TYPE a%d histogram\n", i) }),
		"one name and a bad one": "a ?\n" + repeat(maxLines-1, func(i int) string { return fmt.Sprintf("a{b=\"%d\"} 1\n", i) }),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			p, err := Parse(t.Context(), page)
			took := time.Since(start)
			if err != nil && !errors.Is(err, errNoMetric) {
				t.Fatal(err)
			}
			if len(p.Bad) > maxBad || p.BadCount < len(p.Bad) {
				t.Errorf("%d of %d bad lines", len(p.Bad), p.BadCount)
			}
			if t.Logf("%v", took); took > 30*time.Second { // 0.1 s on an idle machine; a quadratic time is minutes
				t.Errorf("Parse took %v", took)
			}
		})
	}
}

// TestMemoryForBadLines checks that bad lines share one parser, which takes 4 kB.
func TestMemoryForBadLines(t *testing.T) {
	page := strings.Repeat("a ?\n", maxLines)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = Parse(t.Context(), page)
	runtime.ReadMemStats(&after)
	if memory := after.TotalAlloc - before.TotalAlloc; memory > maxLines*4096 {
		t.Errorf("Parse allocated %d bytes", memory)
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse(t.Context(), strings.Repeat("a 1\n", maxLines+1)); err == nil || !strings.Contains(err.Error(), "more than 20000 lines") {
		t.Errorf("error %v", err)
	}
	p, err := Parse(t.Context(), strings.Repeat("?", 2*maxBadLength)+"\n"+strings.Repeat("?\n", 2*maxBad)+"a 1\n")
	if err != nil || len(p.Bad) != maxBad || p.BadCount != 2*maxBad+1 || len(p.Bad[0]) > maxBadLength+3 {
		t.Errorf("%d of %d bad lines, %v", len(p.Bad), p.BadCount, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Parse(ctx, "a 1\n"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
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

	for _, test := range []struct{ page, want string }{
		{"", ""},
		{"# TYPE a counter\n", ""},
		{"a 1\n?\n", ""},
		{"<html>\n<p>Log in</p>\n", errNoMetric.Error()},
		{"a ?\n", errNoMetric.Error()},
	} {
		answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(test.page)) }
		if _, err := client.Fetch(t.Context()); test.want == "" && err != nil || test.want != "" && !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%q: error %v, want %q", test.page, err, test.want)
		}
	}

	answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	if _, err := client.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
		t.Errorf("error %v", err)
	}
	answer = func(w http.ResponseWriter, _ *http.Request) {
		for range maxPageSize/1024 + 2 {
			_, _ = w.Write(bytes.Repeat([]byte("\n"), 1024))
		}
	}
	if _, err := client.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestNewClient(t *testing.T) {
	for _, bad := range []string{
		"", "127.0.0.1:5060", "ftp://host/", "http://", "http://[::1", "http://u:secret@host/",
		"ftp://u:secret@host/", "ftp://host/?key=secret", "http:u:secret@host", "u:secret@host", "http://u:secret%zz@host/",
	} {
		if _, err := NewClient(bad, http.DefaultClient); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// TestErrorsHaveNoSecrets makes each kind of error, with a key in the query of the URL and
// with passwords in the URLs of redirects.
func TestErrorsHaveNoSecrets(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	defer server.Close()
	client, err := NewClient(server.URL+"/metrics?key=secret#secret", &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string, handler http.HandlerFunc) {
		t.Helper()
		answer.Store(&handler)
		_, err := client.Fetch(t.Context())
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	shown := server.URL + "/metrics"
	check(shown, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, to := range []string{"http://127.0.0.1:1/else?secret", "http://secret:secret@127.0.0.1:1/else"} {
		check(shown+": 302 Found, which redirects to http://127.0.0.1:1/else: redirects are not followed", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	check(shown, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://secret:secret%zz@host/")
		w.WriteHeader(http.StatusFound)
	})
	check(shown, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	check(shown, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "5") })
	check(shown, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("?\n")) })
	check(shown, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxPageSize+1)) })
	client.http.Transport = &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		return nil, fmt.Errorf("get a token: %w", &url.Error{Op: "Post", URL: "http://secret:secret@token/new?secret", Err: errors.New("refused")})
	}}
	check(`Post "http://token/new": refused`, nil)
	client.http.Transport = nil

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestRedirectsAreNotFollowed redirects to another page and to the page itself, with each status of a redirect and with a
// client that follows redirects. Only one request is sent.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var others atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	for _, status := range []int{
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	} {
		for _, to := range []string{other.URL + "/metrics", "/metrics"} {
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				http.Redirect(w, r, to, status)
			}))
			follow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
			client, err := NewClient(server.URL+"/metrics", follow)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Fetch(t.Context())
			server.Close()
			if err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
				t.Errorf("%d to %s: error %v", status, to, err)
			}
			if requests.Load() != 1 || others.Load() != 0 {
				t.Errorf("%d to %s: %d requests, and %d to the other server, want 1 and 0", status, to, requests.Load(), others.Load())
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(page)
	f.Add("# TYPE a histogram\na_bucket{le=\"x\"} 1\n")
	f.Add("# TYPE s summary\n" + wholeSummary + wholeHistogram)
	f.Fuzz(func(t *testing.T, page string) {
		p, err := Parse(t.Context(), page)
		if err != nil && len(p.Families) > 0 {
			t.Error(err)
		}
		gather(t, p)
		_ = text(t, p)
	})
}
