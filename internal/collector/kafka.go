package collector

import (
	"regexp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the line: Kamailio's src/modules/kafka/kafka_mod.c; source of the
// numbers: kfk_stats_add in kfk.c. They are unsigned 64-bit integers and never
// decrease.
var kafkaLine = regexp.MustCompile(`^Total messages: (\d+)\s+Errors: (\d+)$`)

var (
	kafkaMessages = counter("kamailio_kafka_messages_total",
		"Number of messages that were delivered to Kafka or that failed. Total messages in the line of kafka.stats.")
	kafkaErrors = counter("kamailio_kafka_errors_total",
		"Number of messages that could not be delivered to Kafka. Errors in the line of kafka.stats.")
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
