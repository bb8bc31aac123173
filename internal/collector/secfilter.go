package collector

import (
	"regexp"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/secfilter/secfilter_rpc.c. 5.6
// answers with lines of text under headings, of which JSON-RPC drops all but the
// last, an empty one; 5.7 and later answer with structs of numbers. The names of the
// checks are made alike. The numbers only grow, but for secfilter.stats_reset.

var secfilterMessages = counter("kamailio_secfilter_messages_total",
	"Messages for which a check found an entry in a list of secfilter, by the list's action. All fields of secfilter.stats.",
	"action", "check")

// secfilterActions are by the struct in which the numbers are, or by the heading
// above them.
var secfilterActions = map[string]string{
	"Blacklist":                    "blocked",
	"Whitelist":                    "allowed",
	"Other":                        "blocked",
	"Blocked messages (blacklist)": "blocked",
	"Allowed messages (whitelist)": "allowed",
	"Other blocked messages":       "blocked",
}

var secfilterLine = regexp.MustCompile(`^\[\+\] (?:By )?(.+?)\s*: (\d+)$`)

var secfilterStats = &Collector{
	Method:     "secfilter.stats",
	Module:     "secfilter",
	Help:       "messages that matched a list of the Kamailio module secfilter, 26 series",
	Auto:       true,
	BINRPCOnly: true, // because of 5.6
	Metrics:    []*metric.Desc{secfilterMessages},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		if reply.Value.Kind() == rpc.KindStruct {
			collectSecfilterStructs(out, reply.Value)
			return
		}
		action := ""
		for line := range reply.Value.Rows() {
			action = collectSecfilterLine(out, action, line.Text())
		}
	}),
}

func collectSecfilterStructs(out *metric.Writer, lists rpc.Value) {
	for list := range lists.All() {
		action, ok := secfilterActions[list.Name()]
		if !ok {
			out.Skip(metric.UnknownField, list.Name())
			continue
		}
		for check := range list.All() {
			if check.Name() == "" {
				out.Skip(metric.BadValue, "a check of "+list.Name()+" has no name")
				continue
			}
			f := field{name: check.Name(), unsigned: true, desc: secfilterMessages}
			f.add(out, check, action, strings.ToLower(check.Name()))
		}
	}
}

// collectSecfilterLine adds what the line says under a heading of that action,
// and returns the action of the lines that follow.
func collectSecfilterLine(out *metric.Writer, action, line string) string {
	if strings.Trim(line, "=") == "" {
		return action
	}
	if next, ok := secfilterActions[line]; ok {
		return next
	}
	match := secfilterLine.FindStringSubmatch(line)
	if match == nil || action == "" {
		out.Skip(metric.UnknownField, otherForm)
		return action
	}
	check := strings.ReplaceAll(strings.ToLower(match[1]), " ", "-")
	if check == "destinations" {
		check = "destination" // 6.0's name
	}
	addText(out, secfilterMessages, match[2], action, check)
	return action
}
