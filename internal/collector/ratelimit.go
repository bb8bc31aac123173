package collector

import (
	"regexp"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the lines in this file: Kamailio's
// src/modules/ratelimit/ratelimit.c; the same in 5.6 and 6.0. There is no
// collector of rl.stats: its values are those of rl.get_pipes, and it includes
// pipes that are not configured. The counter of the current interval is not used,
// because it depends on the time of the call. Over JSON-RPC Kamailio sends only the
// last line.

var (
	rlPipeLine  = regexp.MustCompile(`^PIPE\[(\d+)\]: \d+:(\S+) (-?\d+)/(-?\d+) \(drop rate: (-?\d+)\) \[-?\d+\]$`)
	rlQueueLine = regexp.MustCompile(`^QUEUE\[(\d+)\]: (-?\d+):(.+)$`)
)

var (
	rlPipeInfo = gauge("kamailio_ratelimit_pipe_info",
		"Always 1. The labels are the pipe and its algorithm. Text after the colon in the lines of rl.get_pipes.",
		"algorithm", "pipe")
	rlPipeRequests = gauge("kamailio_ratelimit_pipe_interval_requests",
		"Number of requests to the pipe in the last complete interval of the module's timer. Number before the slash in the lines of rl.get_pipes.",
		"pipe")
	rlPipeLimit = gauge("kamailio_ratelimit_pipe_limit",
		"Limit of the pipe in requests per second, or in the unit of its algorithm. Number after the slash in the lines of rl.get_pipes.",
		"pipe")
	rlPipeLoad = gauge("kamailio_ratelimit_pipe_load",
		"Requests in the last complete interval divided by the limit, as an integer. With the algorithm NETWORK it is 1 if the limit is exceeded, otherwise -1. "+
			"Drop rate in the lines of rl.get_pipes.",
		"pipe")
)

var rlGetPipes = &Collector{
	Method:     "rl.get_pipes",
	Module:     "ratelimit",
	Help:       "requests, limits and load of the Kamailio module ratelimit, 4 series for each pipe",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{rlPipeInfo, rlPipeRequests, rlPipeLimit, rlPipeLoad},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := rlPipeLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			pipe := match[1]
			out.Add(rlPipeInfo, 1, match[2], pipe)
			addText(out, rlPipeRequests, match[3], pipe)
			addText(out, rlPipeLimit, match[4], pipe)
			addText(out, rlPipeLoad, match[5], pipe)
		}
	}),
}

var rlQueueInfo = gauge("kamailio_ratelimit_queue_info",
	"Always 1. The labels are the queue, its SIP method and its pipe. Lines of rl.get_queues.",
	"method", "pipe", "queue")

var rlGetQueues = &Collector{
	Method:     "rl.get_queues",
	Module:     "ratelimit",
	Help:       "pipe of each queue of the Kamailio module ratelimit, a series for each queue",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{rlQueueInfo},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := rlQueueLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			out.Add(rlQueueInfo, 1, match[3], match[2], match[1])
		}
	}),
}

// addText adds an integer that is part of a text.
func addText(out *metric.Writer, desc *metric.Desc, text string, labels ...string) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		out.Skip(metric.NotANumber, desc.Name+" is not an integer")
		return
	}
	out.Add(desc, float64(n), labels...)
}
