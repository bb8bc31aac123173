package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/lcr/lcr_rpc.c, of the states
// lcr_mod.h; the same in 5.6 and 6.0. defunct_until is a text.

// lcrStates are those that a number stands for. A larger number counts the
// failures of a gateway that has not failed often enough to be inactive.
var lcrStates = []string{"active", "pinging", "inactive", "failing"}

var (
	lcrGatewayState = gauge("kamailio_lcr_gateway_state",
		"1 for the state that the gateway is in, 0 for the others; failing means that it is used, but failed lately. Field state of lcr.dump_gws.",
		"gw_id", "gw_name", "lcr_id", "state")
	lcrGatewayDefunctUntil = gauge("kamailio_lcr_gateway_defunct_until_timestamp_seconds",
		"Until when the gateway is not used, in seconds since 1970; 0, or a time that has passed, if it is. Field defunct_until of lcr.dump_gws.",
		"gw_id", "gw_name", "lcr_id")
)

var lcrDumpGws = &Collector{
	Method:  "lcr.dump_gws",
	Module:  "lcr",
	Help:    "state of the gateways of the Kamailio module lcr, 5 series for each gateway",
	Auto:    true,
	Metrics: []*metric.Desc{lcrGatewayState, lcrGatewayDefunctUntil},
	collect: each(func(out *metric.Set, reply rpc.Reply) {
		for record := range reply.Value.Rows() {
			for gateway := range record.Get("gw").Rows() {
				collectGateway(out, gateway)
			}
		}
	}),
}

func collectGateway(out *metric.Set, gateway rpc.Value) {
	gw, ok := numberKey(out, gateway, "gw_id")
	if !ok {
		return
	}
	lcr, ok := numberKey(out, gateway, "lcr_id")
	if !ok {
		return
	}
	name := gateway.Get("gw_name").Text()
	if v := gateway.Get("state"); v.Exists() {
		n, ok := v.Uint()
		if !ok {
			out.Skip(metric.NotANumber, whatIs("state", v))
		}
		for i, state := range lcrStates {
			if ok {
				out.Add(lcrGatewayState, is(min(n, 3) == uint64(i)), gw, name, lcr, state)
			}
		}
	}
	switch until := gateway.Get("defunct_until"); until.Kind() {
	case rpc.KindAbsent:
	case rpc.KindString:
		addText(out, lcrGatewayDefunctUntil, until.Text(), gw, name, lcr)
	default:
		f := field{name: "defunct_until", unsigned: true, desc: lcrGatewayDefunctUntil}
		f.add(out, until, gw, name, lcr)
	}
}
