package collector

import (
	"regexp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the line: Kamailio's src/modules/kafka/kafka_mod.c, of the numbers
// kfk_stats_add in kfk.c: unsigned 64 bits, never lowered.
var kafkaLine = regexp.MustCompile(`^Total messages: (\d+)\s+Errors: (\d+)$`)

var (
	kafkaMessages = counter("kamailio_kafka_messages_total",
		"Messages that Kafka reported on, errors included. Total messages in the line of kafka.stats.")
	kafkaErrors = counter("kamailio_kafka_errors_total",
		"Messages that Kafka reported an error for. Errors in the line of kafka.stats.")
)

var kafkaStats = &Collector{
	Method:  "kafka.stats",
	Module:  "kafka",
	Help:    "messages to Kafka, 2 series",
	Auto:    true,
	Metrics: []*metric.Desc{kafkaMessages, kafkaErrors},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for line := range reply.Value.Rows() {
			match := kafkaLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			addText(out, kafkaMessages, match[1])
			addText(out, kafkaErrors, match[2])
		}
	}),
}
