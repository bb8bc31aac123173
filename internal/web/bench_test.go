package web

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// manySamples returns 16 families with a sample for each destination, as dispatcher.list
// has them.
func manySamples(destinations int) *metric.Set {
	labels := []string{"duid", "setid", "socket", "uri"}
	families := make([]*metric.Desc, 16)
	for i := range families {
		families[i] = &metric.Desc{Name: fmt.Sprintf("kamailio_dispatcher_destination_number_%d", i), Help: "A number.", Labels: labels}
	}
	set := metric.NewSet()
	out := set.Writer("dispatcher.list", 0)
	for i := range destinations {
		duid, setid, uri := fmt.Sprintf("destination-%d", i), strconv.Itoa(i/50), fmt.Sprintf("sip:10.%d.%d.1:5060;transport=udp", i/50, i%50)
		shared := out.Labels(labels, duid, setid, "udp:127.0.0.1:5060", uri)
		for k, family := range families {
			out.AddTo(shared, family, float64(i%(k+1))+float64(k%4)/4)
		}
	}
	return set
}

// ownPage returns a page with only the metrics of the exporter's own process.
func ownPage(tb testing.TB) page {
	tb.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	own := &ownMetrics{registry: registry, logger: slog.New(slog.DiscardHandler)}
	return page{own: own.gather(), found: metric.NewSet()}
}

func (p page) writeTo(tb testing.TB, w io.Writer, contentType expfmt.Format, format metric.Format) {
	tb.Helper()
	buffer := bufio.NewWriterSize(w, 64<<10)
	if dropped, err := p.writeText(buffer, contentType, format), buffer.Flush(); dropped != nil || err != nil {
		tb.Fatal(dropped, err)
	}
}

// BenchmarkPage compares the exporter's writing of pages with that of package expfmt.
func BenchmarkPage(b *testing.B) {
	for _, destinations := range []int{0, 4000} {
		p := ownPage(b)
		p.found = manySamples(destinations)
		for _, contentType := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0} {
			format, _ := textFormat(contentType)
			name := fmt.Sprintf("%d/%s/", destinations*16, []string{"text", "OpenMetrics"}[format])
			b.Run(name+"ours", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.writeTo(b, io.Discard, contentType, format)
				}
			})
			b.Run(name+"library", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.writeByLibrary(b, io.Discard, contentType)
				}
			})
		}
	}
}

func (p page) writeByLibrary(tb testing.TB, w io.Writer, contentType expfmt.Format) {
	tb.Helper()
	families, err := prometheus.Gatherers{p.own, p.found}.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	encoder := expfmt.NewEncoder(w, contentType)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkOwnMetrics(b *testing.B) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
