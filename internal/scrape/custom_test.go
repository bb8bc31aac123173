package scrape

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// customCollector returns a collector of a user's own metrics with one metric without labels.
func customCollector(t *testing.T, name, rows, value string) *collector.Collector {
	t.Helper()
	entry := &custom.Entry{Name: name, Call: rpc.Call{Method: "my.method"}, Metrics: []custom.Metric{{Desc: &metric.Desc{Name: "kamailio_my_" + name}}}}
	var err error
	if entry.Rows, err = custom.Compile(rows); err != nil {
		t.Fatal(err)
	}
	if entry.Metrics[0].Value, err = custom.Compile(value); err != nil {
		t.Fatal(err)
	}
	return collector.NewCustom(entry)
}

// TestCustomMetrics has entries that work, that do not end, that fail, and that skip values. None of them affects the others.
func TestCustomMetrics(t *testing.T) {
	client := &script{methods: []string{"core.uptime"}, answers: map[string]answer{"core.uptime": uptimeAnswer, "my.method": {records: []any{1, "x", 3}}}}
	module := &config.Module{Name: "default", Timeout: time.Second, Auto: true}
	module.Settings.MaxSeries = 10
	module.Custom = []*collector.Collector{
		customCollector(t, "endless", "def f: f; f", "1"),
		customCollector(t, "first", ".[0]", "."),
		customCollector(t, "failing", ".[].x", "."),
		customCollector(t, "texts", ".[1]", "."),
	}
	module.Named = module.Custom
	log := &logBuffer{}
	cfg := &config.Target{Name: "a", URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/no/such/ctl"}, Modules: []*config.Module{module}}
	target := newTarget(client, cfg, slog.New(slog.NewTextHandler(log, nil)))
	defer target.Close()
	checkSamples(t, scraped(t.Context(), target),
		"core_uptime_uptime_total[] 42",
		"exporter_collector_success[core.uptime] 1",
		"exporter_collector_success[custom:endless] 0",
		"exporter_collector_success[custom:failing] 0",
		"exporter_collector_success[custom:first] 1",
		"exporter_collector_success[custom:texts] 1",
		"exporter_failed_scrapes[] 1",
		"exporter_skipped_total[custom:texts not_a_number] 1",
		"exporter_total_scrapes[] 1",
		"my_first[] 1",
		"up[] 1",
	)
	for _, want := range []string{"the jq expressions did not end in time", "custom metrics failing", `kamailio_my_texts: \"x\" is not a number`} {
		if !strings.Contains(strings.ReplaceAll(log.String(), `\\\"`, `\"`), want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	if _, err := target.Select("", []string{"custom:first"}); err != nil {
		t.Error(err)
	}
}
