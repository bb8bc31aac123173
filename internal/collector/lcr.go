package collector

import (
	"slices"
	"strconv"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/lcr/lcr_rpc.c; source of the states:
// lcr_mod.h; the same in 5.6 and 6.0. defunct_until is a text.

// lcrStates are the names of the states 0, 1 and 2, and two others. A higher number
// counts the failures of a gateway that has not yet failed often enough to be
// inactive: it is failing. A gateway that is not used until some time is defunct,
// with any number.
var lcrStates = []string{"active", "pinging", "inactive", lcrFailing, lcrDefunct}

const (
	lcrFailing = "failing"
	lcrDefunct = "defunct"
)

var (
	lcrGatewayState = gauge("kamailio_lcr_gateway_state",
		"1 for the state that the gateway is in, 0 for the others. A defunct gateway is not used until some time, by the clock of the "+
			"exporter's host. A failing gateway is used, but failed recently. Fields state and defunct_until of lcr.dump_gws.",
		"gw_id", "gw_name", "lcr_id", "state")
	lcrGatewayDefunctUntil = gauge("kamailio_lcr_gateway_defunct_until_timestamp_seconds",
		"Unix timestamp until which the gateway is not used. It is 0 or in the past if the gateway is used. Field defunct_until of lcr.dump_gws.",
		"gw_id", "gw_name", "lcr_id")
)

var lcrDumpGws = &Collector{
	Method:  "lcr.dump_gws",
	Module:  "lcr",
	Help:    "state of the gateways of the Kamailio module lcr, 6 series for each gateway",
	Auto:    true,
	Metrics: []*metric.Desc{lcrGatewayState, lcrGatewayDefunctUntil},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for record := range reply.Value.Rows() {
			for gateway := range record.Get("gw").Rows() {
				collectGateway(out, gateway, reply.Received)
			}
		}
	}),
}

func collectGateway(out *metric.Writer, gateway rpc.Value, now time.Time) {
	gw, ok := numberKey(out, gateway, "gw_id")
	if !ok {
		return
	}
	lcr, ok := numberKey(out, gateway, "lcr_id")
	if !ok {
		return
	}
	name := gateway.Get("gw_name").Text()
	until, ok := defunctUntil(out, gateway.Get("defunct_until"))
	if ok {
		out.Add(lcrGatewayDefunctUntil, until, gw, name, lcr)
	}
	state, ok := gatewayState(out, gateway.Get("state"))
	if !ok {
		return
	}
	if until > float64(now.Unix()) {
		state = lcrDefunct
	}
	for _, s := range lcrStates {
		out.Add(lcrGatewayState, is(s == state), gw, name, lcr, s)
	}
}

// defunctUntil returns a Unix timestamp, or false if there is none. Kamailio sends
// it as a text.
func defunctUntil(out *metric.Writer, v rpc.Value) (float64, bool) {
	if !v.Exists() {
		return 0, false
	}
	if seconds, ok := number(v, true); ok {
		return seconds, true
	}
	seconds, err := strconv.ParseUint(v.Text(), 10, 64)
	if err != nil {
		skipNumber(out, "defunct_until", v)
		return 0, false
	}
	return float64(seconds), true
}

func gatewayState(out *metric.Writer, v rpc.Value) (string, bool) {
	if !v.Exists() {
		return "", false
	}
	n, ok := v.Uint()
	if !ok {
		skipNumber(out, "state", v)
		return "", false
	}
	if n < uint64(slices.Index(lcrStates, lcrFailing)) {
		return lcrStates[n], true
	}
	return lcrFailing, true
}

// Source of the fields: dump_rules in lcr_rpc.c; the same in 5.6, 6.0 and 6.1.
// Kamailio sends a record for each LCR instance that has rules: a list of rules,
// followed by a list of the lengths of their prefixes. If the rules do not fit in
// ctl's buffer, which is so for more than 4,096 with its default size, it sends the
// first ones, and neither the lengths nor a fault.

var (
	lcrRules = gauge("kamailio_lcr_rules",
		"Number of enabled rules in memory, by LCR instance. Rows in field rule of lcr.dump_rules.", "lcr_id")
	lcrRuleTargets = gauge("kamailio_lcr_rule_targets",
		"Number of gateways of all rules, by LCR instance. A rule without a gateway routes no call. Rows in field rule.gw of lcr.dump_rules.", "lcr_id")
	lcrRuleRows = gauge("kamailio_lcr_rule_table_rows",
		"Number of enabled rules in memory of all LCR instances, 0 if there are none. Rows in field rule of lcr.dump_rules.")
)

var lcrDumpRules = &Collector{
	Method: "lcr.dump_rules",
	Module: "lcr",
	Help: "number of rules of the Kamailio module lcr and of their gateways, 2 series for each LCR instance and 1 in " +
		"total. Kamailio sends the whole table, and only a part of it if there are too many rules",
	Large:      true,
	BINRPCOnly: true, // over JSON-RPC Kamailio sends only the last LCR instance
	Metrics:    []*metric.Desc{lcrRules, lcrRuleTargets, lcrRuleRows},
	noRows:     "Empty reply",
	noRowsAre:  lcrRuleRows,
	collect:    each(collectRules),
	verify: func(_ Settings, replies []Reply) error {
		if slices.ContainsFunc(replies, func(reply Reply) bool { return lacksRules(reply.Value) }) {
			return ErrCutShort
		}
		return nil
	},
}

func collectRules(out *metric.Writer, reply rpc.Reply) {
	if lacksRules(reply.Value) {
		return // the numbers would be wrong
	}
	rows := 0
	rules, targets := map[string]int{}, map[string]int{}
	for record := range reply.Value.Rows() {
		for rule := range record.Get("rule").Rows() {
			if lcr, ok := numberKey(out, rule, "lcr_id"); ok {
				rows++
				rules[lcr]++
				targets[lcr] += rule.Get("gw").Len()
			}
		}
	}
	addCounts(out, lcrRules, rules)
	addCounts(out, lcrRuleTargets, targets)
	addTableRows(out, lcrRuleRows, reply.Value, rows)
}

// lacksRules reports whether Kamailio sent only the first rules.
func lacksRules(reply rpc.Value) bool {
	for record := range reply.Rows() {
		if record.Get("rule").Exists() && !record.Get("prefix_len").Exists() {
			return true
		}
	}
	return false
}
