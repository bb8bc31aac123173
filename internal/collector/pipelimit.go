package collector

import (
	"maps"
	"regexp"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/pipelimit/pl_ht.c;
// the same in 5.6 and 6.0. Routing scripts can create pipes at any time, often
// one for each source address, so neither method is used by default. The counter of
// the current interval is not used, because it depends on the time of the call.
// pl_pipe_timer_update counts unused intervals only if clean_unused is set.

var (
	plPipes = gauge("kamailio_pipelimit_pipes",
		"Number of pipes, by algorithm. Rows of pl.list.", "algorithm")
	plPipeInfo = gauge("kamailio_pipelimit_pipe_info",
		"Always 1. The labels are the pipe and its algorithm. Field algorithm of pl.list.", "algorithm", "pipe")
	plPipeFields = []field{
		{name: "limit", desc: gauge("kamailio_pipelimit_pipe_limit",
			"Limit of the pipe in requests per second, or in the unit of its algorithm. Field limit of pl.list.", "pipe")},
		{name: "last_counter", desc: gauge("kamailio_pipelimit_pipe_interval_requests",
			"Number of requests to the pipe in the last complete interval of the module's timer. Field last_counter of pl.list.", "pipe")},
		{name: "unused_intervals", desc: gauge("kamailio_pipelimit_pipe_unused_intervals",
			"Number of intervals since the last request to the pipe. Always 0 if clean_unused is not set. Field unused_intervals of pl.list.", "pipe")},
	}
)

var plList = &Collector{
	Method: "pl.list",
	Module: "pipelimit",
	Help: "requests and limits of pipes, 4 series for each pipe and one for each algorithm. The short form " +
		"has only the series for each algorithm. Routing scripts can create a pipe for each source address",
	Large:   true,
	Short:   true,
	Metrics: append([]*metric.Desc{plPipes, plPipeInfo}, descsOf(plPipeFields)...),
	collect: func(out *metric.Writer, settings Settings, replies []Reply) {
		pipes := map[string]float64{}
		for _, reply := range replies {
			for pipe := range reply.Value.Rows() {
				texts, ok := keys(out, pipe, "algorithm", "name")
				if !ok {
					continue
				}
				pipes[texts[0]]++
				if !slices.Contains(settings.Short, "pl.list") {
					out.Add(plPipeInfo, 1, texts...)
					addNumbers(out, plPipeFields, pipe, texts[1:])
				}
			}
		}
		for _, algorithm := range slices.Sorted(maps.Keys(pipes)) {
			out.Add(plPipes, pipes[algorithm], algorithm)
		}
	},
}

// plStatsLine matches a line of pl.stats. A pipe's name may contain any text.
var plStatsLine = regexp.MustCompile(`(?s)^PIPE: id=(.+) load=(-?\d+) counter=-?\d+$`)

var plPipeLoad = gauge("kamailio_pipelimit_pipe_load",
	"Requests in the last complete interval divided by the limit, as an integer. With the algorithm NETWORK it is 1 if the limit is exceeded, otherwise -1. "+
		"Number after load= in the lines of pl.stats.", "pipe")

var plStats = &Collector{
	Method: "pl.stats",
	Module: "pipelimit",
	Help: "load of pipes, a series for each pipe. Routing scripts can create a pipe for each source " +
		"address",
	Large:   true,
	Metrics: []*metric.Desc{plPipeLoad},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := plStatsLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			addText(out, plPipeLoad, match[2], match[1])
		}
	}),
}
