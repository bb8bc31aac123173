//go:build linux

package web

import (
	"bufio"
	"bytes"
	standard "compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
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

// liveHandler is the exporter of a real Kamailio.
func liveHandler(b *testing.B, options scrape.Options) http.Handler {
	b.Helper()
	client, err := dial.New(options.URI)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	handler, err := NewHandler(Options{
		Target:          scrape.NewTarget(client, options),
		TelemetryPath:   "/metrics",
		Timeout:         time.Minute,
		MaxRequests:     testRequests,
		ExporterMetrics: true,
		Logger:          options.Logger,
	})
	if err != nil {
		b.Fatal(err)
	}
	return handler
}

func scrapeAll(b *testing.B, options scrape.Options) {
	b.Helper()
	server := httptest.NewServer(liveHandler(b, options))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	replies := bufio.NewReaderSize(conn, 1<<20)
	b.ReportAllocs()
	var length int64
	for b.Loop() {
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		response, err := http.ReadResponse(replies, nil)
		if err != nil {
			b.Fatal(err)
		}
		if length, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.Status, err)
		}
		response.Body.Close()
	}
	b.ReportMetric(float64(length), "bytes")
}

// BenchmarkLiveGzip compares libraries and levels on the page of a real Kamailio with
// 4,000 destinations: how long they take, and what they leave.
func BenchmarkLiveGzip(b *testing.B) {
	k := lab.StartTest(b, lab.Options{Destinations: 4000})
	handler := liveHandler(b, scrape.Options{URI: k.URI("unix"), Auto: true, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody))
	page := recorder.Body.Bytes()
	type writer interface {
		io.WriteCloser
		Reset(w io.Writer)
	}
	for _, library := range []struct {
		name string
		make func(io.Writer, int) (writer, error)
	}{
		{"standard", func(w io.Writer, level int) (writer, error) { return standard.NewWriterLevel(w, level) }},
		{"klauspost", func(w io.Writer, level int) (writer, error) { return gzip.NewWriterLevel(w, level) }},
	} {
		for level := 1; level <= 3; level++ {
			b.Run(fmt.Sprintf("%s/level=%d", library.name, level), func(b *testing.B) {
				z, err := library.make(nil, level)
				if err != nil {
					b.Fatal(err)
				}
				var packed bytes.Buffer
				for b.Loop() {
					packed.Reset()
					z.Reset(&packed)
					for chunk := range slices.Chunk(page, 64<<10) { // as respond writes it
						if _, err := z.Write(chunk); err != nil {
							b.Fatal(err)
						}
					}
					if err := z.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(packed.Len()), "bytes")
				b.ReportMetric(float64(len(page)), "page-bytes")
			})
		}
	}
}
