package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: rpc_presence_presentity_list_filter in Kamailio's
// src/modules/presence/presence.c; the same in 5.6, 6.0 and 6.1. The reply is empty
// if there are no presentities, and if Kamailio does not keep them in memory, which
// it does with publ_cache=2 only. So an empty reply has no series. Names of users
// are not exported. presence.watcher_list wants the URI of a presentity, so there
// is no collector for it.
var presencePresentities = gauge("kamailio_presence_presentities",
	"Number of published presentities in memory, by event package. A user has one for each device and package. Rows of presence.presentity_list.", "event")

var presencePresentityList = &Collector{
	Method: "presence.presentity_list",
	Module: "presence",
	Help: "number of presentities of the Kamailio module presence that are in memory (publ_cache=2), a series for each event package " +
		"that has some. Kamailio sends every presentity, under the locks of their table, so the cost grows with the number of users",
	Large:   true,
	Metrics: []*metric.Desc{presencePresentities},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		counts := map[string]int{}
		for presentity := range reply.Value.Rows() {
			if event, ok := keys(out, presentity, "event"); ok {
				counts[event[0]]++
			}
		}
		addCounts(out, presencePresentities, counts)
	}),
}
