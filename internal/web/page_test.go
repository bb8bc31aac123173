package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// fixedPage returns a page with all kinds of families. Its content is always the same.
func fixedPage(tb testing.TB) page {
	tb.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "go_things_total", Help: "Things."}, func() float64 { return 3 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_things", Help: `Quoted "things", back\slashed.`}, func() float64 { return 1.5 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kamailio_exporter_build_info", Help: "Built.", ConstLabels: prometheus.Labels{"version": "1"}}, func() float64 { return 1 }),
	)
	set := metric.NewSet()
	out := set.Writer("test", 0)
	for i, value := range []float64{0, 1, -1, 0.5, 123456, 1e6, 1234567, 1e21, math.Inf(1), math.NaN()} {
		for _, text := range []string{"", "plain", `a"b\c` + "\nd", "ümläut", "\xff"} {
			out.Add(oddGauge, value, strconv.Itoa(i), text)
			out.Add(oddCounter, value, strconv.Itoa(i), text)
		}
	}
	out.Add(&metric.Desc{Name: "kamailio_exporter_total_scrapes", Help: "Scrapes.", Type: metric.Counter}, 7)
	set.Merge(&dto.MetricFamily{
		Name: proto.String("my_requests"), Help: proto.String("The routing script's."), Type: dto.MetricType_HISTOGRAM.Enum(),
		Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(3), SampleSum: proto.Float64(4.5),
			Bucket: []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(2)}},
		}}},
	})
	own := &ownMetrics{registry: registry, logger: slog.New(slog.DiscardHandler)}
	return page{own: own.gather(), found: set}
}

var (
	oddGauge   = &metric.Desc{Name: "kamailio_odd", Help: "Odd\n\"values\\.", Labels: []string{"i", "text"}}
	oddCounter = &metric.Desc{Name: "kamailio_odd_total", Help: "Odd.", Type: metric.Counter, Labels: []string{"i", "text"}}
)

// families returns all families of the page in its order, as messages of the library.
func (p page) families(tb testing.TB) []*dto.MetricFamily {
	tb.Helper()
	found, err := p.found.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	return slices.Concat(p.own.families, found)
}

// answer requests the page. headers alternates names and values.
func (p page) answer(t *testing.T, headers ...string) (int, http.Header, []byte) {
	t.Helper()
	var log bytes.Buffer
	handler := &metricsHandler{gate: newGate(defaultLimits), logger: slog.New(slog.NewTextHandler(&log, nil))}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.answer(recorder, request, p, func() {})
	if log.Len() > 0 {
		t.Errorf("log %s", log.String())
	}
	response := recorder.Result()
	defer response.Body.Close()
	var body io.Reader = response.Body
	if response.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, content
}

// prometheus3 is the header Accept of Prometheus 3.
const prometheus3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// TestPageEqualsThatOfLibrary compares pages with those that package expfmt writes: a small page, and one that is compressed.
func TestPageEqualsThatOfLibrary(t *testing.T) {
	small := fixedPage(t)
	large := small
	large.found = manySamples(20)
	t.Run("small", func(t *testing.T) { comparePage(t, small) })
	t.Run("large", func(t *testing.T) { comparePage(t, large) })
}

func comparePage(t *testing.T, p page) {
	t.Helper()
	for accept, contentType := range map[string]string{
		"": "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.5": "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"application/openmetrics-text;version=0.0.1":                                   "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores",
		prometheus3: "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores",
	} {
		for _, encoding := range []string{"", "gzip", "gzip;q=0", "deflate, gzip;q=1.0, *;q=0.5"} {
			status, header, got := p.answer(t, "Accept", accept, "Accept-Encoding", encoding)
			if header.Get("Content-Type") != contentType || status != http.StatusOK {
				t.Errorf("Accept %q: status %d, type %q, want %q", accept, status, header.Get("Content-Type"), contentType)
			}
			if vary := header.Values("Vary"); !slices.Equal(vary, []string{"Accept", "Accept-Encoding"}) {
				t.Errorf("vary %q", vary)
			}
			var want bytes.Buffer
			encoder := expfmt.NewEncoder(&want, expfmt.Format(contentType))
			for _, family := range p.families(t) {
				if err := encoder.Encode(family); err != nil {
					t.Fatal(err)
				}
			}
			if closer, ok := encoder.(expfmt.Closer); ok {
				if err := closer.Close(); err != nil {
					t.Fatal(err)
				}
			}
			accepted := encoding != "" && encoding != "gzip;q=0"
			if packed := header.Get("Content-Encoding") == "gzip"; packed != (accepted && want.Len() >= minProbe) {
				t.Errorf("Accept-Encoding %q: gzip is %t for %d bytes", encoding, packed, want.Len())
			}
			if strings.Contains(contentType, "protobuf") {
				checkSameFamilies(t, got, want.Bytes())
				continue
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("Accept %q: got\n%s\nwant\n%s", accept, got, want.Bytes())
			}
		}
	}
}

// checkSameFamilies compares pages in protobuf, in which the library sorts samples.
func checkSameFamilies(t *testing.T, got, want []byte) {
	t.Helper()
	if a, b := decoded(t, got), decoded(t, want); !slices.Equal(a, b) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

func decoded(t *testing.T, protobuf []byte) []string {
	t.Helper()
	decoder := expfmt.NewDecoder(bytes.NewReader(protobuf), expfmt.NewFormat(expfmt.TypeProtoDelim))
	var samples []string
	for {
		var family dto.MetricFamily
		err := decoder.Decode(&family)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range family.GetMetric() {
			samples = append(samples, fmt.Sprint(family.GetName(), family.GetHelp(), family.GetType(), m))
		}
	}
	slices.Sort(samples)
	return samples
}

func TestContentLength(t *testing.T) {
	p := fixedPage(t)
	_, header, body := p.answer(t)
	if length := header.Get("Content-Length"); length != strconv.Itoa(len(body)) {
		t.Errorf("length %q of %d bytes", length, len(body))
	}
	p.found = manySamples(1000)
	if _, header, body := p.answer(t); header.Get("Content-Length") != "" || len(body) < 1e6 {
		t.Errorf("a page of %d bytes has a Content-Length: it was not sent in parts", len(body))
	}
	if _, header, _ := p.answer(t, "Accept-Encoding", "gzip"); header.Get("Content-Length") != "" {
		t.Error("a compressed page has the length of the page")
	}
}

func TestPageOfSomeFamilies(t *testing.T) {
	p := fixedPage(t)
	p.names = []string{"kamailio_exporter_total_scrapes", "my_requests", "go_things_total", "no_such"}
	_, _, body := p.answer(t)
	const want = `# HELP go_things_total Things.
# TYPE go_things_total counter
go_things_total 3
# HELP kamailio_exporter_total_scrapes Scrapes.
# TYPE kamailio_exporter_total_scrapes counter
kamailio_exporter_total_scrapes 7
# HELP my_requests The routing script's.
# TYPE my_requests histogram
my_requests_bucket{le="1"} 2
my_requests_bucket{le="+Inf"} 3
my_requests_sum 4.5
my_requests_count 3
`
	if string(body) != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	_, _, body = p.answer(t, "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if samples := decoded(t, body); len(samples) != 3 {
		t.Errorf("in protobuf %s", strings.Join(samples, "\n"))
	}
}

// TestFamilyThatCannotBeWrittenIsDropped has a histogram that cannot be written in OpenMetrics.
func TestFamilyThatCannotBeWrittenIsDropped(t *testing.T) {
	p := fixedPage(t)
	p.found.Merge(&dto.MetricFamily{
		Name: proto.String("my_floats"), Type: dto.MetricType_HISTOGRAM.Enum(),
		Metric: []*dto.Metric{{Histogram: &dto.Histogram{SampleCountFloat: proto.Float64(1.5)}}},
	})
	var log bytes.Buffer
	handler := &metricsHandler{gate: newGate(defaultLimits), logger: slog.New(slog.NewTextHandler(&log, nil))}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Accept", prometheus3)
	recorder := httptest.NewRecorder()
	handler.answer(recorder, request, p, func() {})
	if body := recorder.Body.String(); strings.Contains(body, "my_floats") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("got\n%s", body)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "write my_floats") {
		t.Errorf("log %s", log.String())
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"":                          false,
		"gzip":                      true,
		"GZIP":                      true,
		"x-gzip":                    true,
		"br, zstd":                  false,
		"br,gzip":                   true,
		"gzip;q=0.1":                true,
		"gzip;q=0":                  false,
		"gzip; Q = 0.000":           false,
		"*":                         true,
		"*;q=0":                     false,
		"gzip;q=0, *":               false,
		"*;q=0, gzip":               true,
		"identity":                  false,
		"gzip;q=nonsense":           true,
		"gzipped":                   false,
		"deflate;q=0.5 , gzip ;q=1": true,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("%q: %t, want %t", header, got, want)
		}
	}
	if !acceptsGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("a second header is ignored")
	}
}
