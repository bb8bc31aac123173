//go:build linux

package web

import (
	"bufio"
	"bytes"
	standard "compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// BenchmarkLive scrapes a real Kamailio over HTTP, for CPU profiles of a whole scrape:
// go test ./internal/web -run '^$' -bench Live/five -cpuprofile cpu.out
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
			args := []string{"-u", k.URI("unix"), "-m", strings.Join(bench.methods, ","), "--kamailio.stats-groups=all"}
			if bench.short != nil {
				args = append(args, "--kamailio.short", strings.Join(bench.short, ","))
			}
			scrapeAll(b, newTestHandler(b, io.Discard, args...))
		})
	}
}

func scrapeAll(b *testing.B, handler http.Handler) {
	b.Helper()
	server := httptest.NewServer(handler)
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

// BenchmarkLiveGzip compares the time and the size of the result of libraries and levels,
// for the page of a real Kamailio with 4,000 destinations.
func BenchmarkLiveGzip(b *testing.B) {
	k := lab.StartTest(b, lab.Options{Destinations: 4000})
	handler := newTestHandler(b, io.Discard, "-u", k.URI("unix"))
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
