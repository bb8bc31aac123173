//go:build linux

package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

const (
	// maxMemory is the maximum memory of the exporter with all hostile servers, in bytes.
	maxMemory = 150_000_000
	// maxGrowth is the maximum difference of its memory before the batch and two minutes after it, in bytes.
	maxGrowth = 10_000_000
)

// hostileConfig has modules whose methods have numbers, texts and rows, and custom metrics with ordinary expressions. The module slow,
// with a short timeout, is for servers that do not reply in time.
const hostileConfig = `
modules:
  long:
    methods: [core.uptime, tm.stats, sl.stats, core.shmmem, dispatcher.list, stats.fetch]
    custom_metrics: [rows, deep, grouped]
    timeout: 30s
  slow:
    methods: [core.uptime, tm.stats, dispatcher.list]
    custom_metrics: [rows]
    timeout: 2s
custom_metrics:
  rows:
    method: htable.dump
    args: [rows]
    rows: '.[].slot[]?'
    metrics: [{name: torture_rows, type: gauge, help: Value of each row., labels: {name: .name}, value: .value}]
  deep:
    method: htable.dump
    args: [deep]
    rows: '.. | objects'
    metrics: [{name: torture_deep, type: gauge, help: Members of each object., labels: {name: '.name? // "none"'}, value: length}]
  grouped:
    method: dispatcher.list
    rows: '[.. | .URI? | strings] | group_by(.)[] | {uri: .[0], n: length}'
    metrics: [{name: torture_grouped, type: gauge, help: Destinations by URI., labels: {uri: .uri}, value: .n}]
targets:
`

// healthyReplies are captured replies of a Kamailio to the methods of hostileConfig.
var healthyReplies = map[string]rpc.Value{}

// readHealthyReplies fills healthyReplies.
func readHealthyReplies(t *testing.T) {
	t.Helper()
	for method, capture := range map[string]string{
		"core.uptime": "core.uptime", "tm.stats": "tm.stats", "sl.stats": "sl.stats", "core.shmmem": "core.shmmem",
		"dispatcher.list": "dispatcher.list", "stats.fetch": "stats.fetch_all", "htable.dump": "htable.dump_a",
	} {
		packet, err := os.ReadFile(filepath.Join("../../rpc/binrpc/testdata/captures/6.0.1", capture+".binrpc"))
		if err != nil {
			t.Fatal(err)
		}
		message, err := binrpc.Parse(packet, rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		healthyReplies[method] = message.Value
	}
	names := []any{listMethods}
	for method := range healthyReplies {
		names = append(names, method)
	}
	list, err := rpc.ValueOf(names...)
	if err != nil {
		t.Fatal(err)
	}
	healthyReplies[listMethods] = list
}

// hostileTarget is a target with a hostile server.
type hostileTarget struct {
	hostileCase
	*peer
	target, transport string
}

// TestHostileServers scrapes hostile servers with one exporter. Each scrape ends at its timeout or before, the log says what is wrong,
// the memory of the exporter is limited, and when the server is healthy again, the next scrape has all of its series.
func TestHostileServers(t *testing.T) {
	readHealthyReplies(t)
	targets, config := startHostileServers(t)
	e := start(t, "--config.file", config)
	want := map[string][]string{}
	for _, transport := range strings.Fields(anyway) {
		want[transport] = seriesOf(e.mustScrape(t, "healthy-"+transport))
		if !slices.Contains(want[transport], "kamailio_up 1") || len(want[transport]) < 100 {
			t.Fatalf("the page of a healthy server: %q", want[transport])
		}
	}
	before := e.memory(t, "VmRSS")
	var slow sync.WaitGroup
	for _, h := range targets {
		if h.slow {
			slow.Go(func() { h.check(t, e, nil) })
		}
	}
	slow.Wait()
	for _, h := range targets {
		if !h.slow {
			h.check(t, e, want[h.transport])
		}
	}
	peak := e.memory(t, "VmHWM")
	t.Logf("%d hostile servers: memory %.1f MB before, at most %.1f MB, %.1f MB at the end", len(targets), megabytes(before), megabytes(peak), megabytes(e.memory(t, "VmRSS")))
	if peak > maxMemory {
		t.Errorf("the exporter used %d bytes, want at most %d", peak, maxMemory)
	}
	if *long {
		checkMemoryReturns(t, e, before)
	}
}

func megabytes(bytes int) float64 { return float64(bytes) / 1e6 }

// checkMemoryReturns waits at most two minutes until the exporter uses as much memory as before.
func checkMemoryReturns(t *testing.T, e *exporter, before int) {
	t.Helper()
	begin := time.Now()
	for range time.Tick(time.Second) {
		now, waited := e.memory(t, "VmRSS"), time.Since(begin)
		if now <= before+maxGrowth {
			t.Logf("%.1f MB after %v", megabytes(now), waited.Round(time.Second))
			return
		}
		if waited > 2*time.Minute {
			t.Errorf("the exporter uses %d bytes after %v, before the batch %d", now, waited, before)
			return
		}
	}
}

// startHostileServers starts a server for each case and transport, and returns them with the path of a configuration file.
func startHostileServers(t *testing.T) (targets []*hostileTarget, file string) {
	t.Helper()
	var config strings.Builder
	config.WriteString(hostileConfig)
	for _, c := range hostileCases {
		for _, transport := range strings.Fields(c.on) {
			h := &hostileTarget{hostileCase: c, target: fmt.Sprintf("%s-%s", regexp.MustCompile(`\W+`).ReplaceAllString(c.name, "-"), transport), transport: transport}
			h.peer = newPeer(h.hostile)
			h.serve(t, transport)
			module := "long"
			if c.slow {
				module = "slow"
			}
			fmt.Fprintf(&config, "- {name: %s, uri: %q, modules: [%s]}\n", h.target, h.uri, module)
			targets = append(targets, h)
		}
	}
	for _, transport := range strings.Fields(anyway) {
		healthy := newPeer(reply)
		healthy.serve(t, transport)
		fmt.Fprintf(&config, "- {name: healthy-%s, uri: %q, modules: [long]}\n", transport, healthy.uri)
	}
	file = filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return targets, file
}

// hostile is the script of the target's server.
func (h *hostileTarget) hostile(e *exchange) error {
	if e.method == listMethods && !h.list {
		return reply(e)
	}
	return h.hostileCase.script(e)
}

// check scrapes a target while its server is hostile, and once after that. want are the series of a healthy server, nil if they are not
// compared.
func (h *hostileTarget) check(t *testing.T, e *exporter, want []string) {
	t.Helper()
	timeout := 30 * time.Second
	if h.slow {
		timeout = 2 * time.Second
	}
	page := ""
	for range max(h.polls, 1) {
		begin := time.Now()
		page = e.mustScrape(t, h.target)
		if took := time.Since(begin); took > timeout+10*time.Second {
			t.Errorf("%s: a scrape took %v", h.target, took)
		}
	}
	if h.slow && h.log == "" || strings.Contains(page, `kamailio_up 1`) && h.log == "" && !strings.Contains(page, "kamailio_exporter_failed_scrapes 0") {
		t.Errorf("%s: a scrape failed", h.target)
	}
	if h.log != "" {
		e.awaitLog(t, h.target, h.log)
	}
	h.heal()
	after := seriesOf(e.mustScrape(t, h.target))
	if !slices.Contains(after, "kamailio_up 1") || want != nil && !slices.Equal(after, want) {
		t.Errorf("%s: the page after it has %d series, that of a healthy server %d; missing are %q", h.target, len(after), len(want), missing(want, after))
	}
	if called := h.called(); !isSubset(called, healthyReplies) {
		t.Errorf("%s: these methods were called: %q", h.target, called)
	}
}

// missing returns the elements of want that are not in got.
func missing(want, got []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
}

func isSubset(names []string, of map[string]rpc.Value) bool {
	return !slices.ContainsFunc(names, func(name string) bool { _, ok := of[name]; return !ok })
}

// mustScrape fetches the page of a target. It must be valid.
func (e *exporter) mustScrape(t *testing.T, target string) string {
	t.Helper()
	return e.mustGet(t, "/probe?target="+target)
}

// seriesOf returns the samples of a page, without those about the exporter, and without the start time: the exporter finds out the
// time zone of Kamailio's clock from the current time, which is long after that of the captured replies.
func seriesOf(page string) []string {
	var series []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "kamailio_exporter_") || strings.HasPrefix(line, "kamailio_start_time_seconds ") {
			continue
		}
		series = append(series, strings.TrimSpace(line))
	}
	slices.Sort(series)
	return series
}
