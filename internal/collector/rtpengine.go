package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/rtpengine/rtpengine.c,
// add_rtpp_node_info; source of the number: rtpengine_hash_table_total in
// rtpengine_hash.c.
//
// The meaning of disabled depends on the version. In 5.6 it is the state of the
// node, or "1(permanent)" for a node that was disabled permanently, over RPC or in
// the database. In 6.0 it is 1 for a node that is disabled permanently, and active
// has the state. recheck_ticks is in seconds; for a node that is disabled
// permanently it is "N/A" in 5.6 and -1 in 6.0.

var (
	rtpengineUp = relayMetric("rtpengine", "up",
		"1 if Kamailio uses the node, 0 if the node did not reply or is disabled. Field active, or disabled before 6.0, of rtpengine.show.")
	rtpengineDisabled = relayMetric("rtpengine", "disabled",
		"1 if the node is disabled permanently, so that Kamailio does not check it again, 0 if not. Field disabled of rtpengine.show.")
	rtpengineWeight = field{name: "weight", unsigned: true, desc: relayMetric("rtpengine", "weight",
		"Weight of the node in its set. Field weight of rtpengine.show.")}
	rtpengineRecheck = field{name: "recheck_ticks", desc: relayMetric("rtpengine", "recheck_seconds",
		"Seconds until Kamailio checks the node again, 0 if the node is up or the check is due. Field recheck_ticks of rtpengine.show.")}
)

// relayMetric returns a family with a series for each media relay of a module.
func relayMetric(module, name, help string) *metric.Desc {
	return gauge("kamailio_"+module+"_node_"+name, help, "index", "set", "url")
}

var rtpengineShow = &Collector{
	Method:  "rtpengine.show",
	Module:  "rtpengine",
	Help:    "state and weight of RTPEngine nodes, 4 series for each node",
	Auto:    true,
	Metrics: []*metric.Desc{rtpengineUp, rtpengineDisabled, rtpengineWeight.desc, rtpengineRecheck.desc},
	noRows:  "Initializing - try later", // shortly after the start of Kamailio
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "rtpengine.show", Args: []any{"all"}}}
	},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		seen := map[[2]string]bool{}
		for node := range reply.Value.Rows() {
			if url, ok := keys(out, node, "url"); ok {
				collectRTPEngine(out, node, relayLabels(seen, node.Get("index"), node.Get("set"), url[0]))
			}
		}
	}),
}

func collectRTPEngine(out *metric.Writer, node rpc.Value, labels []string) {
	addNumbers(out, []field{rtpengineWeight}, node, labels)
	disabled, active := node.Get("disabled"), node.Get("active")
	switch {
	case active.Exists():
		addFlag(out, rtpengineUp, active, true, labels)
		addFlag(out, rtpengineDisabled, disabled, true, labels)
	case disabled.Text() == "1(permanent)":
		out.Add(rtpengineUp, 0, labels...)
		out.Add(rtpengineDisabled, 1, labels...)
	case addFlag(out, rtpengineUp, disabled, false, labels):
		out.Add(rtpengineDisabled, 0, labels...)
	}
	ticks := node.Get(rtpengineRecheck.name)
	if n, ok := ticks.Int(); ticks.Exists() && ticks.Text() != "N/A" && (!ok || n >= 0) {
		rtpengineRecheck.add(out, ticks, labels...)
	}
}

// addFlag adds 1 if v, as a boolean, equals good, otherwise 0. It reports whether v
// is an integer.
func addFlag(out *metric.Writer, desc *metric.Desc, v rpc.Value, good bool, labels []string) bool {
	n, ok := v.Int()
	if v.Exists() && !ok {
		out.Skip(metric.NotANumber, whatIs(v.Name(), v))
	}
	if ok {
		out.Add(desc, is((n != 0) == good), labels...)
	}
	return ok
}

// relayLabels returns the labels of a media relay. The index may change when the
// list is reloaded, so it is only used for a relay that has the same URL as an
// earlier one of its set.
func relayLabels(seen map[[2]string]bool, index, set rpc.Value, url string) []string {
	key := [2]string{integer(set), url}
	labels := []string{"", key[0], key[1]}
	if seen[key] {
		labels[0] = integer(index)
	}
	seen[key] = true
	return labels
}

// rtpengineEntries is the number of entries of all rows. Kamailio keeps a count for
// each row, of which there are 256 by default, and does not iterate over the entries.
var rtpengineEntries = field{name: "the reply", unsigned: true, desc: gauge("kamailio_rtpengine_hash_entries",
	"Number of entries in the table of the RTPEngine node that each call uses. Kamailio removes an expired entry when it searches its row. "+
		"Reply of rtpengine.get_hash_total.")}

var rtpengineGetHashTotal = &Collector{
	Method:  "rtpengine.get_hash_total",
	Module:  "rtpengine",
	Help:    "number of calls that use RTPEngine, 1 series",
	Auto:    true,
	Metrics: []*metric.Desc{rtpengineEntries.desc},
	collect: each(func(out *metric.Writer, reply rpc.Reply) { rtpengineEntries.add(out, reply.Value) }),
}
