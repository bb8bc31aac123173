package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the number: Kamailio's src/modules/ctl/io_listener.c.
var ctlConnectionsField = field{name: "connections", unsigned: true, desc: gauge("kamailio_ctl_connections",
	"Number of open stream connections to the Kamailio module ctl, including the exporter's. The maximum is 128. Reply of ctl.connections.")}

var ctlConnections = &Collector{
	Method:     "ctl.connections",
	Module:     "ctl",
	Help:       "connections to the Kamailio module ctl, 1 series",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{ctlConnectionsField.desc},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for number := range reply.Value.Rows() {
			ctlConnectionsField.add(out, number)
		}
	}),
}
