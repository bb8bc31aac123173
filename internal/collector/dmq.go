package collector

import (
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/rpc"
)

// Source of the fields: Kamailio's src/modules/dmq/dmq.c.
var dmqNode = gauge("kamailio_dmq_list_nodes_node",
	"Always 1, for each node of the DMQ bus. Fields host, port, status and local of dmq.list_nodes.",
	"host", "local", "port", "status")

var dmqListNodes = &Collector{
	Method:  "dmq.list_nodes",
	Module:  "dmq",
	Help:    "nodes of the DMQ bus; a series for each",
	Auto:    true,
	Metrics: []*metric.Desc{dmqNode},
	collect: each(func(out *metric.Set, reply rpc.Reply) {
		for node := range reply.Value.Rows() {
			local, _ := node.Get("local").Int()
			out.Add(dmqNode, 1, node.Get("host").Text(), strconv.FormatInt(local, 10),
				node.Get("port").Text(), node.Get("status").Text())
		}
	}),
}
