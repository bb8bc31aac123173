package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the text: Kamailio's src/modules/siptrace/siptrace.c; the same in
// 5.6 and 6.0. The argument must be check; on and off would change
// the setting.
var siptraceEnabled = gauge("kamailio_siptrace_enabled",
	"1 if SIP messages are traced, 0 if not. Reply of siptrace.status.")

var siptraceStatus = &Collector{
	Method:  "siptrace.status",
	Module:  "siptrace",
	Help:    "whether SIP tracing is enabled, 1 series",
	Auto:    true,
	Metrics: []*metric.Desc{siptraceEnabled},
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "siptrace.status", Args: []any{"check"}}}
	},
	collect: each(enabled(siptraceEnabled)),
}

// enabled returns a function that reads a reply that is Enabled or Disabled.
func enabled(desc *metric.Desc) func(*metric.Writer, rpc.Reply) {
	return func(out *metric.Writer, reply rpc.Reply) {
		for reply := range reply.Value.Rows() {
			switch reply.Text() {
			case "Enabled", "Disabled":
				out.Add(desc, is(reply.Text() == "Enabled"))
			default:
				out.Skip(metric.BadValue, "neither Enabled nor Disabled")
			}
		}
	}
}
