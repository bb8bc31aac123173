package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/keepalive/keepalive_rpc.c, of the
// states api.h. The times are texts in Kamailio's own zone, and not shown. Over
// JSON-RPC Kamailio drops all rows but the last.

// keepaliveStates are those that the numbers 0, 1 and 2 stand for.
var keepaliveStates = []string{"unknown", "up", "down"}

var keepaliveState = gauge("kamailio_keepalive_destination_state",
	"1 for the state that the destination is in, 0 for the others; unknown until it was asked. Field state of keepalive.list.",
	"owner", "state", "uri")

var keepaliveList = &Collector{
	Method: "keepalive.list",
	Module: "keepalive",
	Help: "state of the destinations that the Kamailio module keepalive monitors, 3 series for each " +
		"destination",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{keepaliveState},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for destination := range reply.Value.Rows() {
			uri, ok := keys(out, destination, "uri")
			if !ok {
				continue
			}
			v := destination.Get("state")
			if !v.Exists() {
				continue
			}
			n, ok := v.Int()
			if !ok || n < 0 || n >= int64(len(keepaliveStates)) {
				out.Skip(metric.BadValue, "state is unknown")
				continue
			}
			for i, state := range keepaliveStates {
				out.Add(keepaliveState, is(n == int64(i)), destination.Get("owner").Text(), state, uri[0])
			}
		}
	}),
}
