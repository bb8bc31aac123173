package collector

import (
	"regexp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the line: Kamailio's src/modules/sca/sca_rpc.c; the same in 5.6 and
// 6.0.
var scaLine = regexp.MustCompile(`^(\d+) (call-info|line-seize)$`)

var scaSubscriptions = gauge("kamailio_sca_subscriptions",
	"Number of subscriptions for shared call appearances, by event. Line of sca.subscription_count.", "event")

var scaSubscriptionCount = &Collector{
	Method: "sca.subscription_count",
	Module: "sca",
	Help: "number of subscriptions for shared call appearances, 2 series. Kamailio iterates over all subscriptions under " +
		"their locks",
	Metrics: []*metric.Desc{scaSubscriptions},
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{
			{Method: "sca.subscription_count", Args: []any{"call-info"}},
			{Method: "sca.subscription_count", Args: []any{"line-seize"}},
		}
	},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := scaLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			addText(out, scaSubscriptions, match[1], match[2])
		}
	}),
}
