//go:build linux

package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveClientsThatDoNotRead has 45 and then 60 clients request a page of 4,000 destinations, about 7 MB, and not read it.
// All other scrapes are served, and the exporter uses little memory.
func TestLiveClientsThatDoNotRead(t *testing.T) { // not parallel; see TestLiveSlowReader
	k := lab.StartTest(t, lab.Options{Destinations: 4000})
	e := start(t, "-u", k.URI("unix"), "-t", "30s", "--log.level", "debug")
	for _, clients := range []int{45, 60} {
		for range clients {
			requestWithoutReading(t, e)
		}
		for range 5 {
			p := e.scrape() // fails with status 503
			p.check(t, "kamailio_up", 1)
			const largest = 150 << 20
			if memory := p["process_resident_memory_bytes"]; memory > largest && !raceDetector {
				t.Errorf("the exporter has %.0f MB of memory", memory/(1<<20))
			}
		}
		e.awaitLog("the client does not read the page")
	}
}

// requestWithoutReading requests the metrics and does not read the response.
func requestWithoutReading(t *testing.T, e *exporter) {
	t.Helper()
	address := strings.TrimPrefix(e.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil { //nolint:errcheck // always that type
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
}
