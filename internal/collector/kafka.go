package collector

import (
	"fmt"
	"regexp"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the lines: Kamailio's src/modules/kafka/kafka_mod.c; source of the
// numbers: kfk_stats_add in kfk.c. They are unsigned 64-bit integers and never
// decrease.
var (
	kafkaLine      = regexp.MustCompile(`^Total messages: (\d+)\s+Errors: (\d+)$`)
	kafkaTopicLine = regexp.MustCompile(`^Topic: .+  Total messages: (\d+)\s+Errors: (\d+)$`)
)

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

// kafkaTopic matches a name that Kafka allows for a topic.
var kafkaTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// ParseKafkaTopic returns text, the name of a topic of Kafka. It returns an error if
// Kafka does not allow the name.
func ParseKafkaTopic(text string) (string, error) {
	if !kafkaTopic.MatchString(text) {
		return "", fmt.Errorf("%q names no topic of Kafka, use letters, digits, dots, underscores and hyphens", text)
	}
	return text, nil
}

var (
	kafkaTopicMessages = counter("kamailio_kafka_topic_messages_total",
		"Number of messages to the topic that were delivered to Kafka or that failed. Total messages in the line of kafka.stats_topic.", "topic")
	kafkaTopicErrors = counter("kamailio_kafka_topic_errors_total",
		"Number of messages to the topic that could not be delivered to Kafka. Errors in the line of kafka.stats_topic.", "topic")
)

// Kamailio sends zeros for a topic without messages, and logs an error.
var kafkaStatsTopic = &Collector{
	Method:  "kafka.stats_topic",
	Module:  "kafka",
	Help:    "messages to topics of Kafka, 2 series for each configured topic",
	Auto:    true,
	Setting: "kafka_topics",
	Metrics: []*metric.Desc{kafkaTopicMessages, kafkaTopicErrors},
	calls: func(settings Settings) []rpc.Call {
		var calls []rpc.Call
		for _, topic := range settings.KafkaTopics {
			calls = append(calls, rpc.Call{Method: "kafka.stats_topic", Args: []any{topic}})
		}
		return calls
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			for line := range reply.Value.Rows() {
				collectTopic(out, reply.argument(0), line.Text())
			}
		}
	},
}

func collectTopic(out *metric.Writer, topic, line string) {
	match := kafkaTopicLine.FindStringSubmatch(line)
	if match == nil {
		out.Skip(metric.BadValue, otherForm)
		return
	}
	addText(out, kafkaTopicMessages, match[1], topic)
	addText(out, kafkaTopicErrors, match[2], topic)
}
