package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/keepalive/keepalive_rpc.c; source of
// the states: api.h. The times are texts in Kamailio's time zone and not exported.
// Over JSON-RPC Kamailio sends only the last row.

// keepaliveStates are the names of the states 0, 1 and 2.
var keepaliveStates = []string{"unknown", "up", "down"}

var keepaliveState = gauge("kamailio_keepalive_destination_state",
	"1 for the state that the destination is in, 0 for the others. The state is unknown until the first check. Field state of keepalive.list.",
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
