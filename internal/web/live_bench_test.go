//go:build linux

package web

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/rpc/dial"
)

// BenchmarkLive scrapes a real Kamailio over HTTP, for CPU profiles of all that a
// scrape does: go test ./internal/web -run '^$' -bench Live/five -cpuprofile cpu.out
func BenchmarkLive(b *testing.B) {
	five := []string{"tm.stats", "sl.stats", "core.shmmem", "core.uptime", "core.tcp_info"}
	for _, bench := range []struct {
		name         string
		methods      []string
		destinations int
		short        []string
	}{
		{"five", five, 0, nil},
		{"nine", append([]string{"tls.info", "dlg.stats_active", "dmq.list_nodes", "stats.fetch"}, five...), 0, nil},
		{"4000_short", []string{"dispatcher.list"}, 4000, []string{"dispatcher.list"}},
		{"4000", []string{"dispatcher.list"}, 4000, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			k := lab.StartTest(b, lab.Options{Destinations: bench.destinations})
			named, err := collector.Select(bench.methods)
			if err != nil {
				b.Fatal(err)
			}
			scrapeAll(b, scrape.Options{
				URI:      k.URI("unix"),
				Named:    named,
				Settings: collector.Settings{Named: bench.methods, StatsGroups: []string{"all"}, Short: bench.short},
				Timeout:  time.Minute,
				Logger:   slog.New(slog.DiscardHandler),
			})
		})
	}
}

func scrapeAll(b *testing.B, options scrape.Options) {
	b.Helper()
	client, err := dial.New(options.URI)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	handler, err := NewHandler(Options{
		Target:          scrape.NewTarget(client, options),
		TelemetryPath:   "/metrics",
		Timeout:         time.Minute,
		ExporterMetrics: true,
		Logger:          options.Logger,
	})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	replies := bufio.NewReaderSize(conn, 1<<20)
	b.ReportAllocs()
	var bytes int64
	for b.Loop() {
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		response, err := http.ReadResponse(replies, nil)
		if err != nil {
			b.Fatal(err)
		}
		if bytes, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.Status, err)
		}
		response.Body.Close()
	}
	b.ReportMetric(float64(bytes), "bytes")
}
