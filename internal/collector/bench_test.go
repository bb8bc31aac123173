package collector

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// manyDestinations returns a reply of dispatcher.list with n destinations, 50 in
// each set. They are copies of the first destination of a captured reply with
// different URIs.
func manyDestinations(b *testing.B, n int) rpc.Reply {
	b.Helper()
	captured := readReply(b, filepath.Join("testdata", "5.6.3", "dispatcher.list.binrpc"), captured["5.6.3"])
	first, _ := captured.Value.Get("RECORDS").Get("SET").Get("TARGETS").Get("DEST").Interface().(rpc.Members)
	var sets rpc.Members
	for len(sets) < n/50 {
		var destinations rpc.Members
		for i := range 50 {
			uri := rpc.Member{Name: "URI", Value: fmt.Sprintf("sip:10.%d.%d.1:5060;transport=udp", len(sets), i)}
			destinations = append(destinations, rpc.Member{Name: "DEST", Value: append(rpc.Members{uri}, first[1:]...)})
		}
		sets = append(sets, rpc.Member{Name: "SET", Value: rpc.Members{{Name: "ID", Value: len(sets)}, {Name: "TARGETS", Value: destinations}}})
	}
	value, err := rpc.ValueOf(rpc.Members{{Name: "NRSETS", Value: len(sets)}, {Name: "RECORDS", Value: sets}})
	if err != nil || first[0].Name != "URI" {
		b.Fatal(first, err)
	}
	return rpc.Reply{Value: value}
}

func BenchmarkCollect(b *testing.B) {
	captured := func(name string) rpc.Reply {
		return readReply(b, filepath.Join("testdata", "6.0.1", name+".binrpc"), captured["6.0.1"])
	}
	many := manyDestinations(b, 4000)
	for _, bench := range []struct {
		name      string
		collector *Collector
		reply     rpc.Reply
		settings  Settings
	}{
		{"tm.stats", tmStats, captured("tm.stats"), Settings{}},
		{"stats.fetch", statsFetch, captured("stats.fetch_all"), Settings{StatsGroups: []string{"all"}}},
		{"dispatcher.list", dispatcherList, many, Settings{}},
		{"dispatcher.list_short", dispatcherList, many, Settings{Short: []string{"dispatcher.list"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			answers := []Reply{{Call: bench.collector.Calls(bench.settings)[0], Reply: bench.reply}}
			b.ReportAllocs()
			samples := 0
			set := metric.NewSet()
			for b.Loop() {
				set.Reset()
				if err := bench.collector.Collect(set, bench.settings, answers); err != nil || len(set.Skips()) > 0 {
					b.Fatal(err, set.Skips())
				}
				samples = 0
				for _, family := range set.Families() {
					samples += family.Len()
				}
			}
			b.ReportMetric(float64(samples), "samples")
		})
	}
}
