package collector

import (
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/dmq/dmq.c; source of the states:
// dmq_get_status_str in dmqnode.c. Host, port and protocol identify a node, as in
// cmp_dmq_node there; port is null for a node without a port. last_notification,
// and fail_count of 6.1, are not used.
var (
	dmqNode = gauge("kamailio_dmq_list_nodes_node",
		"Always 1. The labels describe a node of the DMQ bus. Fields host, port, status and local of dmq.list_nodes.",
		"host", "local", "port", "status")
	dmqNodeState = gauge("kamailio_dmq_node_state",
		"1 for the state that the node of the DMQ bus is in, 0 for the others. Field status of dmq.list_nodes.",
		"host", "port", "proto", "state")
)

// dmqStates are the states of all versions: 5.6 and 6.0 have pending and timeout,
// later versions have not_active.
var dmqStates = []string{"active", "disabled", "not_active", "pending", "timeout"}

var dmqListNodes = &Collector{
	Method:  "dmq.list_nodes",
	Module:  "dmq",
	Help:    "state of DMQ nodes, 6 series for each node",
	Auto:    true,
	Metrics: []*metric.Desc{dmqNode, dmqNodeState},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for node := range reply.Value.Rows() {
			texts, ok := keys(out, node, "host", "status")
			if !ok {
				continue
			}
			host, status, port := texts[0], texts[1], node.Get("port").Text()
			if local, ok := numberKey(out, node, "local"); ok {
				out.AddOnce(dmqNode, 1, host, local, port, status) // nodes may differ only in their protocol
			}
			addNodeState(out, host, port, node.Get("proto").Text(), status)
		}
	}),
}

func addNodeState(out *metric.Writer, host, port, proto, status string) {
	if !slices.Contains(dmqStates, status) {
		out.Skip(metric.BadValue, "status is unknown")
		return
	}
	for _, state := range dmqStates {
		out.Add(dmqNodeState, is(state == status), host, port, proto, state)
	}
}
