package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/mqueue/mqueue_mod.c; the same in
// 5.6 and 6.0.
var mqueueFields = []field{
	{name: "size", unsigned: true, desc: gauge("kamailio_mqueue_items",
		"Number of items in the queue. Field size of mqueue.get_sizes.", "queue")},
}

var mqueueGetSizes = &Collector{
	Method:  "mqueue.get_sizes",
	Module:  "mqueue",
	Help:    "number of items in message queues, a series for each queue",
	Auto:    true,
	Metrics: descsOf(mqueueFields),
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for queue := range reply.Value.Rows() {
			if name, ok := keys(out, queue, "name"); ok {
				addNumbers(out, mqueueFields, queue, name)
			}
		}
	}),
}
