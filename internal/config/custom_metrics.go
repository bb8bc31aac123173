package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector/custom"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// readCustomMetrics reads one entry of custom_metrics.
func (l *loader) readCustomMetrics(key, value node) error {
	if err := key.checkName("an entry of custom_metrics"); err != nil {
		return err
	}
	entry := &custom.Entry{Name: key.Value}
	l.custom[entry.Name] = &collector.Collector{} // so that modules may name an entry that has errors
	readOnly := false
	var method, metrics node
	keep := func(dst *node) func(node) error {
		return func(n node) error {
			*dst = n
			return nil
		}
	}
	err := value.readFields(fields{
		"method":    keep(&method),
		"args":      readArgs(&entry.Call.Args),
		"read_only": intoBool(&readOnly),
		"rows":      intoExpression(&entry.Rows),
		"metrics":   keep(&metrics),
	})
	if err != nil {
		return err
	}
	if method.Node == nil || metrics.Node == nil {
		return value.wrong("an entry of custom_metrics must have the keys method and metrics")
	}
	if entry.Call.Method, err = method.line(); err != nil {
		return err
	}
	err = errors.Join(l.checkMethod(method, entry.Call, readOnly), metrics.readList(l.readCustomMetric(entry)))
	if err == nil && len(entry.Metrics) == 0 {
		err = metrics.wrong("an entry of custom_metrics must have at least one metric")
	}
	l.custom[entry.Name] = collector.NewCustom(entry)
	l.entries[entry.Name] = entry
	return err
}

// checkMethod returns an error if a call may change something, and adds a warning if it is expensive.
func (l *loader) checkMethod(at node, call rpc.Call, readOnly bool) error {
	known, ok := rpcmethods.Lookup(call.Method)
	if !ok && !readOnly {
		return at.wrong("%s is not in the table of known RPC methods: if you are sure that it only reads, add read_only: true", call.Method)
	}
	switch known.With(call.Args...) {
	case rpcmethods.Changes:
		return at.wrong("%s must not be called, because it changes the state of Kamailio: %s", call.Method, known.Note)
	case rpcmethods.Unsafe:
		return at.wrong("%s must not be called, because it is unsafe: %s", call.Method, known.Note)
	case rpcmethods.Costly:
		l.warnings = append(l.warnings, fmt.Sprintf("%s:%d: %s can be expensive for Kamailio: %s", at.file, at.Line, call.Method, known.Note))
	}
	return nil
}

// readArgs returns a function that reads the arguments of a call. Their types are those of YAML, because Kamailio checks types.
func readArgs(dst *[]any) func(node) error {
	return func(n node) error {
		return n.readList(func(element node) error {
			arg, err := element.arg()
			*dst = append(*dst, arg)
			return err
		})
	}
}

// arg reads an argument of a call.
func (n node) arg() (any, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, n.wrong("an argument must be a text or a number")
	}
	switch n.Tag {
	case "!!int":
		if number, err := strconv.ParseInt(n.Value, 0, 32); err == nil {
			return number, nil
		}
		return nil, n.wrong("an integer must be from -2147483648 to 2147483647; put others in quotes to send them as text")
	case "!!float":
		number, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return nil, n.wrong("%q is not a number", n.Value)
		}
		return number, nil
	case "!!str":
		if strings.ContainsRune(n.Value, 0) {
			return nil, n.wrong("an argument must not contain a zero byte")
		}
		return n.Value, nil
	default:
		return nil, n.wrong("an argument must be a text or a number; put it in quotes to send it as text")
	}
}

// maxExpression is the maximum length of a jq expression, in bytes. The compiler of much longer ones overflows Go's stack, which
// ends the program.
const maxExpression = 64 << 10

// intoExpression returns a function that reads a jq expression.
func intoExpression(dst **custom.Expression) func(node) error {
	return func(n node) error {
		text, err := n.text()
		if err != nil {
			return err
		}
		if len(text) > maxExpression {
			return n.wrong("a jq expression must have at most %d bytes", maxExpression)
		}
		if *dst, err = custom.Compile(text); err != nil {
			return n.wrong("%w", err)
		}
		return nil
	}
}

// readCustomMetric returns a function that reads a metric of an entry.
func (l *loader) readCustomMetric(entry *custom.Entry) func(node) error {
	return func(n node) error {
		m := custom.Metric{Desc: &metric.Desc{}}
		var nameNode node
		typ := "gauge"
		labels := map[string]*custom.Expression{}
		err := n.readFields(fields{
			"name": func(value node) (err error) {
				nameNode = value
				m.Desc.Name, err = value.text()
				return err
			},
			"type":   into(&typ),
			"help":   into(&m.Desc.Help),
			"labels": readCustomLabels(labels),
			"value":  intoExpression(&m.Value),
		})
		switch {
		case err != nil:
			return err
		case nameNode.Node == nil || m.Value == nil:
			return n.wrong("a metric must have the keys name and value")
		case typ != "gauge" && typ != "counter":
			return n.wrong("the type of a metric must be gauge or counter, not %q", typ)
		}
		if err := l.checkMetricName(nameNode, m.Desc.Name); err != nil {
			return err
		}
		if typ == "counter" {
			m.Desc.Type = metric.Counter
		}
		m.Desc.Help = cmp.Or(m.Desc.Help, fmt.Sprintf("Reply of %s, as custom_metrics %s of the configuration file reads it.", entry.Call.Method, entry.Name))
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			m.Desc.Labels = append(m.Desc.Labels, label)
			m.Labels = append(m.Labels, labels[label])
		}
		entry.Metrics = append(entry.Metrics, m)
		return nil
	}
}

// readCustomLabels returns a function that reads the labels of a metric.
func readCustomLabels(dst map[string]*custom.Expression) func(node) error {
	return func(n node) error {
		return n.readMapping("of label names and jq expressions", func(key, value node) error {
			if !model.LegacyValidation.IsValidLabelName(key.Value) || strings.HasPrefix(key.Value, "__") {
				return key.wrong("%q is not the name of a label: it must match [a-zA-Z_][a-zA-Z0-9_]* and must not begin with __", key.Value)
			}
			var expression *custom.Expression
			err := intoExpression(&expression)(value)
			dst[key.Value] = expression
			return err
		})
	}
}

// checkMetricName returns an error if a metric cannot have the name.
func (l *loader) checkMetricName(at node, metricName string) error {
	if !model.LegacyValidation.IsValidMetricName(metricName) {
		return at.wrong("%q is not the name of a metric: it must match [a-zA-Z_:][a-zA-Z0-9_:]*", metricName)
	}
	if collector.IsTaken(metricName) {
		return at.wrong("the exporter itself has a metric with the name %s, or one that differs only in its ending: choose another one", metricName)
	}
	base := strings.TrimSuffix(metricName, "_total") // OpenMetrics has no _total in the name of a family
	if first, taken := l.metrics[base]; taken {
		return at.wrong("the name %s is not unique: the metric in %s:%d has it too, or one that differs in _total only", metricName, first.file, first.Line)
	}
	l.metrics[base] = at
	return nil
}
