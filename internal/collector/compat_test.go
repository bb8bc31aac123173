package collector

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// v2Family is a family of the exporter's versions 0 to 2.
type v2Family struct {
	method string
	typ    metric.Type
	labels string // names, separated by commas
	names  string // separated by spaces, without prefix
	prefix string
	// values are the values of the only label, separated by spaces. They are the same for all versions of Kamailio.
	values string
}

// v2Families are all families of the ten methods of versions 0 to 2. They must never change.
var v2Families = []v2Family{
	{method: "tm.stats", typ: metric.Gauge, prefix: "kamailio_tm_stats_", names: "current waiting"},
	{method: "tm.stats", typ: metric.Counter, prefix: "kamailio_tm_stats_",
		names: "total_total total_local_total rpl_received_total rpl_generated_total rpl_sent_total created_total freed_total delayed_free_total"},
	{method: "tm.stats", typ: metric.Counter, prefix: "kamailio_tm_stats_", names: "codes_total", labels: "code", values: "2xx 3xx 4xx 5xx 6xx"},
	{method: "sl.stats", typ: metric.Counter, prefix: "kamailio_sl_stats_", names: "codes_total", labels: "code",
		values: "200 202 2xx 300 301 302 3xx 400 401 403 404 407 408 483 4xx 500 5xx 6xx xxx"},
	{method: "core.shmmem", typ: metric.Gauge, prefix: "kamailio_core_shmmem_", names: "total free used real_used max_used fragments"},
	{method: "core.uptime", typ: metric.Counter, prefix: "kamailio_core_uptime_", names: "uptime_total"},
	{method: "core.tcp_info", typ: metric.Gauge, prefix: "kamailio_core_tcp_info_",
		names: "readers max_connections max_tls_connections opened_connections opened_tls_connections write_queued_bytes"},
	{method: "dispatcher.list", typ: metric.Gauge, prefix: "kamailio_dispatcher_list_", names: "target", labels: "flags,setid,uri"},
	{method: "tls.info", typ: metric.Gauge, prefix: "kamailio_tls_info_", names: "opened_connections max_connections"},
	{method: "dlg.stats_active", typ: metric.Gauge, prefix: "kamailio_dlg_stats_active_", names: "starting connecting answering ongoing all"},
	{method: "dmq.list_nodes", typ: metric.Gauge, prefix: "kamailio_dmq_list_nodes_", names: "node", labels: "host,local,port,status"},
	{method: "stats.fetch", typ: metric.Gauge, prefix: "kamailio_stats_fetch_", names: "value", labels: "group,name"},
}

// TestSeriesOfVersion2 checks that the captured replies of each version of Kamailio produce every series of versions 0 to 2,
// with the same name, type and labels.
func TestSeriesOfVersion2(t *testing.T) {
	for version, when := range captured {
		for _, want := range v2Families {
			c, settings := v2Collector(t, want.method)
			set := metric.NewSet()
			answer := Reply{Call: c.Calls(settings)[0], Reply: readReply(t, v2Capture(t, version, want.method), when)}
			if err := c.Collect(set, settings, answersWith(t, c, answer)); err != nil {
				t.Fatalf("%s %s: %v", version, want.method, err)
			}
			families := map[string]*metric.Family{}
			for _, family := range set.Families() {
				families[family.Desc.Name] = family
			}
			for name := range strings.FieldsSeq(want.names) {
				checkV2Family(t, version, want, families[want.prefix+name])
			}
		}
	}
}

func v2Collector(t *testing.T, method string) (*Collector, Settings) {
	t.Helper()
	selected, err := Select([]string{method})
	if err != nil {
		t.Fatal(err)
	}
	return selected[0], Settings{Named: []string{method}, StatsGroups: []string{"script"}}
}

// v2Capture returns the file with the captured reply to the method's first call.
func v2Capture(t *testing.T, version, method string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", version, method+"*.binrpc"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no capture of %s of %s: %v", method, version, err)
	}
	return slices.Min(files)
}

func checkV2Family(t *testing.T, version string, want v2Family, family *metric.Family) {
	t.Helper()
	if family == nil {
		t.Errorf("%s: a family %s{%s} of %s is missing", version, want.prefix+want.names, want.labels, want.method)
		return
	}
	if family.Desc.Type != want.typ || strings.Join(family.Desc.Labels, ",") != want.labels {
		t.Errorf("%s: %s has type %d and labels %v, want %d and %s", version, family.Desc.Name, family.Desc.Type, family.Desc.Labels, want.typ, want.labels)
	}
	if want.values == "" {
		return
	}
	values := map[string]bool{}
	for i := range family.Len() {
		_, labels := family.Sample(i)
		values[labels[0]] = true
	}
	if got := slices.Sorted(maps.Keys(values)); !slices.Equal(got, slices.Sorted(slices.Values(strings.Fields(want.values)))) {
		t.Errorf("%s: %s has the labels %v, want %s", version, family.Desc.Name, got, want.values)
	}
}
