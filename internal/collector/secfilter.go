package collector

import (
	"regexp"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/secfilter/secfilter_rpc.c. The
// reply of 5.6 has lines of text under headings, of which Kamailio sends only the
// last, an empty one, over JSON-RPC. The reply of 5.7 and later has structs of
// numbers. The labels are the same for both. The numbers decrease only after
// secfilter.stats_reset.

var secfilterMessages = counter("kamailio_secfilter_messages_total",
	"Number of messages that matched a list of secfilter, by the list's action and by check. Fields of secfilter.stats.",
	"action", "check")

// secfilterActions maps the name of a struct of numbers, or the heading above
// lines, to the action.
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

// collectSecfilterLine adds the number of a line, which has the action of the
// heading above it, and returns the action of the next line.
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
