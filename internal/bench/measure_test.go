//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

const (
	// destinations is the number of destinations of the crowded Kamailio, in addition to the lab's five.
	destinations = 4000
	// warmUp is the number of scrapes before the measured ones.
	warmUp = 10
	// pingRate is the number of OPTIONS requests per second.
	pingRate = 400
)

var (
	fiveMethods = []string{"tm.stats", "sl.stats", "core.shmmem", "core.uptime", "core.tcp_info"}
	nineMethods = append(slices.Clone(fiveMethods), "tls.info", "dlg.stats_active", "dmq.list_nodes", "stats.fetch")
	dispatcher  = []string{"dispatcher.list"}
	short       = []string{"--kamailio.short=dispatcher.list"}
)

// measurements are in the order of the table. crowded is a Kamailio with many destinations.
var measurements = []struct {
	name    string
	measure func(t *testing.T, ordinary, crowded *lab.Kamailio) []row
}{
	{"compare", compareAll},
	{"cpu", cpu},
	{"memory", memory},
	{"start", start},
	{"sip", responseTimes},
}

func compareAll(t *testing.T, ordinary, crowded *lab.Kamailio) (rows []row) {
	for _, c := range []struct {
		name  string
		limit float64 // maximum of the exporter's time divided by the floor, 0 for no limit
		work  work
	}{
		{"five methods", 6, work{on: ordinary, methods: fiveMethods}},
		{"nine methods", 2.5, work{on: ordinary, methods: nineMethods, flags: []string{"--kamailio.stats-groups=all"}}},
		{"4000 destinations in short", 1.2, work{on: crowded, methods: dispatcher, flags: short}},
		{"4000 destinations", 1.6, work{on: crowded, methods: dispatcher}},
		{"4000 destinations, gzip", 0, work{on: crowded, methods: dispatcher, gzip: true}},
	} {
		t.Run(c.name, func(t *testing.T) { rows = append(rows, compare(t, c.name, c.limit, c.work)) })
	}
	return rows
}

// compare measures the floor and an exporter alternately.
func compare(t *testing.T, name string, limit float64, w work) row {
	t.Helper()
	f, e := newFloor(t, w), startExporter(t, w)
	for range warmUp {
		f.scrape(t)
		e.scrape(t)
	}
	var floors, exporters []time.Duration
	for begin := time.Now(); len(floors) == 0 || time.Since(begin) < lasting(10*time.Second); {
		floors = append(floors, f.scrape(t))
		exporters = append(exporters, e.scrape(t))
	}
	name = fmt.Sprintf("%s, %d lines, %.3g MB", name, bytes.Count(e.page, []byte("\n")), megabytes(e.body.Len()))
	return ratioRow(name, percentile(floors, 50), percentile(exporters, 50), limit)
}

// cpu measures the CPU time of an exporter per scrape, including its work between two scrapes.
func cpu(t *testing.T, ordinary, _ *lab.Kamailio) []row {
	e := startExporter(t, work{on: ordinary, methods: fiveMethods})
	e.scrapeEach(t, 0, warmUp)
	perScrape := func(interval time.Duration, n int) float64 {
		before := cpuTime(t, e.pid)
		e.scrapeEach(t, interval, n)
		return milliseconds(cpuTime(t, e.pid)-before) / float64(n)
	}
	interval := lasting(15 * time.Second)
	return []row{
		{work: "CPU of the exporter for a scrape of five methods, back to back", figure: perScrape(0, int(lasting(40_000))), limit: 0.4, unit: "ms"},
		{work: fmt.Sprintf("the same, a scrape every %v", interval), figure: perScrape(interval, 10), limit: 1, unit: "ms"},
	}
}

// cpuTime returns the CPU time of all threads of a process: the first number of schedstat, in nanoseconds. It does not
// include threads that have ended, which is rare in Go. Source: Linux's Documentation/scheduler/sched-stats.rst.
func cpuTime(t *testing.T, pid int) (total time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, thread := range threads {
		total += time.Duration(number(t, thread, `^(\d+)`))
	}
	return total
}

// memory measures the maximum memory of three exporters at the same time.
func memory(t *testing.T, ordinary, crowded *lab.Kamailio) []row {
	scrapes := int(lasting(600))
	rows := []row{
		{work: "most memory of the exporter, five methods", limit: 18},
		{work: "most memory, 4000 destinations in short", limit: 32},
		{work: "most memory, everything that auto finds, 4000 destinations"},
	}
	t.Run("parallel", func(t *testing.T) { // returns when its subtests have ended
		for i, w := range []work{
			{on: ordinary, methods: fiveMethods},
			{on: crowded, methods: dispatcher, flags: short},
			{on: crowded},
		} {
			t.Run(rows[i].work, func(t *testing.T) {
				t.Parallel()
				e := startExporter(t, w)
				e.scrapeEach(t, time.Second, scrapes)
				rows[i].work += fmt.Sprintf(", %d scrapes, one a second", scrapes)
				rows[i].figure = megabytes(1024 * number(t, fmt.Sprintf("/proc/%d/status", e.pid), `VmHWM:\s+(\d+) kB`))
				rows[i].unit = "MB"
			})
		}
	})
	return rows
}

// number returns the number that the first group of a pattern matches in a file.
func number(t *testing.T, path, pattern string) int {
	t.Helper()
	n, err := strconv.Atoi(find(t, path, pattern))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return n
}

// start measures the time from the start of an exporter to the end of its first scrape.
func start(t *testing.T, ordinary, _ *lab.Kamailio) []row {
	var times []time.Duration
	for range 20 {
		e := startExporter(t, work{on: ordinary, methods: fiveMethods})
		e.scrape(t)
		times = append(times, time.Since(e.started))
		e.stop()
	}
	return []row{{work: "from the start of the exporter to its first whole page, five methods, median of 20", figure: milliseconds(percentile(times, 50)), limit: 60, unit: "ms"}}
}

// responseTimes measures how fast Kamailio replies to SIP requests, alternately without scrapes and while an exporter with
// its default methods is scraped.
func responseTimes(t *testing.T, ordinary, _ *lab.Kamailio) []row {
	e := startExporter(t, work{on: ordinary})
	e.scrapeEach(t, 0, warmUp)
	conn, err := net.Dial("udp", ordinary.SIPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var p99s [2][]time.Duration // of the runs without scrapes and with scrapes
	for run := range 20 {
		var times []time.Duration
		pinged := make(chan error, 1)
		go func() {
			var err error
			times, err = ping(conn, int(lasting(10*pingRate)))
			pinged <- err
		}()
		if run%2 == 1 {
			e.scrapeEach(t, lasting(time.Second), 9)
		}
		if err := <-pinged; err != nil {
			t.Fatal(err)
		}
		p99s[run%2] = append(p99s[run%2], percentile(times, 99))
	}
	const name = "p99 of Kamailio's response time, 400 OPTIONS a second, without scrapes and with one a second, median of 10 runs"
	return []row{ratioRow(name, percentile(p99s[0], 50), percentile(p99s[1], 50), 1.05)}
}

// ping sends n OPTIONS requests, to which Kamailio itself replies, and returns the time to each reply.
func ping(conn net.Conn, n int) (times []time.Duration, err error) {
	tick := time.NewTicker(time.Second / pingRate)
	defer tick.Stop()
	reply := make([]byte, 4096)
	for ; n > 0 && err == nil; n-- {
		<-tick.C
		begin := time.Now()
		id := begin.UnixNano()
		request := fmt.Appendf(nil, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:bench@localhost>;tag=%d\r\nTo: <sip:bench@localhost>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
			conn.RemoteAddr(), conn.LocalAddr(), id, id, id)
		deadlineErr := conn.SetDeadline(begin.Add(patience))
		_, writeErr := conn.Write(request)
		_, readErr := conn.Read(reply)
		times = append(times, time.Since(begin))
		err = errors.Join(deadlineErr, writeErr, readErr)
		if err == nil && !bytes.HasPrefix(reply, []byte("SIP/2.0 200 ")) {
			err = fmt.Errorf("the reply to OPTIONS begins with %.40q", reply)
		}
	}
	return times, err
}
