package collector

import (
	"regexp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the lines: rpc_call_obj_stats in Kamailio's
// src/modules/call_obj/call_obj_mod.c; the same in 5.6 and 6.1. The first line has
// the lowest and the highest number, the second line the rest. JSON-RPC sends only
// the second.
var (
	callObjRange = regexp.MustCompile(`^Start: \d+  End: \d+$`)
	callObjTotal = regexp.MustCompile(`^Total: (\d+)  Assigned: (\d+)  \(`)
)

var (
	callObjNumbers = gauge("kamailio_call_obj_numbers",
		"Number of call numbers of the Kamailio module call_obj. Total in the second line of call_obj.stats.")
	callObjAssigned = gauge("kamailio_call_obj_assigned_numbers",
		"Number of call numbers that are assigned to a call. Assigned in the second line of call_obj.stats.")
)

var callObjStats = &Collector{
	Method:  "call_obj.stats",
	Module:  "call_obj",
	Help:    "call numbers of the Kamailio module call_obj, 2 series",
	Auto:    true,
	Metrics: []*metric.Desc{callObjNumbers, callObjAssigned},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := callObjTotal.FindStringSubmatch(line.Text())
			switch {
			case match != nil:
				addText(out, callObjNumbers, match[1])
				addText(out, callObjAssigned, match[2])
			case !callObjRange.MatchString(line.Text()):
				out.Skip(metric.BadValue, otherForm)
			}
		}
	}),
}
