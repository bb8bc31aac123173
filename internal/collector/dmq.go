package collector

import (
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/dmq/dmq.c; source of the states:
// dmq_get_status_str in dmqnode.c. Host, port and protocol identify a node, as in
// cmp_dmq_node there; port is null for a node without a port. last_notification is
// not used: no version from 5.6 to 6.1 sets it, so it is always 0.
var (
	dmqNode = gauge("kamailio_dmq_list_nodes_node",
		"Always 1. The labels describe a node of the DMQ bus. Fields host, port, status and local of dmq.list_nodes.",
		"host", "local", "port", "status")
	dmqNodeState = gauge("kamailio_dmq_node_state",
		"1 for the state that the node of the DMQ bus is in, 0 for the others. Field status of dmq.list_nodes.",
		"host", "port", "proto", "state")
	// Since 6.1. Only the reply to a ping resets it.
	dmqFailCount = field{name: "fail_count", desc: gauge("kamailio_dmq_node_consecutive_timeouts",
		"Number of requests to the node that timed out since its last successful ping. Always 0 if the parameter fail_count_enabled is not set. "+
			"Field fail_count of dmq.list_nodes.",
		"host", "port", "proto")}
)

// dmqStates are the states of all versions: 5.6 and 6.0 have pending and timeout,
// later versions have not_active.
var dmqStates = []string{"active", "disabled", "not_active", "pending", "timeout"}

var dmqListNodes = &Collector{
	Method:  "dmq.list_nodes",
	Module:  "dmq",
	Help:    "state of DMQ nodes, 7 series for each node",
	Auto:    true,
	Metrics: []*metric.Desc{dmqNode, dmqNodeState, dmqFailCount.desc},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for node := range reply.Value.Rows() {
			texts, ok := keys(out, node, "host", "status")
			if !ok {
				continue
			}
			host, status, port, proto := texts[0], texts[1], node.Get("port").Text(), node.Get("proto").Text()
			if local, ok := numberKey(out, node, "local"); ok {
				out.AddOnce(dmqNode, 1, host, local, port, status) // nodes may differ only in their protocol
			}
			addNodeState(out, host, port, proto, status)
			addNumbers(out, []field{dmqFailCount}, node, []string{host, port, proto})
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
