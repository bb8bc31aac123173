package custom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Entry makes metrics of the reply to one call. It does not change and may be used
// concurrently.
type Entry struct {
	// Name is the key of the entry in the configuration file.
	Name string
	// Call is the call. It only reads.
	Call rpc.Call
	// Rows yields the rows of the reply. Its input is an array of all records. Nil means
	// one row, which is the array.
	Rows *Expression
	// Metrics are the metrics of each row.
	Metrics []Metric
}

// Metric makes a sample of a row.
type Metric struct {
	// Desc is the family. Its labels are sorted.
	Desc *metric.Desc
	// Labels are the values of the labels, in the order of Desc.Labels. A null is an empty
	// value.
	Labels []*Expression
	// Value is the value. Without an output there is no sample.
	Value *Expression
}

// Equal reports whether the entries make the same metrics of the same call.
func (e *Entry) Equal(other *Entry) bool {
	return e.Name == other.Name && reflect.DeepEqual(e.Call, other.Call) && e.Rows.Equal(other.Rows) && slices.EqualFunc(e.Metrics, other.Metrics, Metric.equal)
}

func (m Metric) equal(other Metric) bool {
	return reflect.DeepEqual(m.Desc, other.Desc) && slices.EqualFunc(m.Labels, other.Labels, (*Expression).Equal) && m.Value.Equal(other.Value)
}

// Descs returns the families of the entry.
func (e *Entry) Descs() []*metric.Desc {
	descs := make([]*metric.Desc, len(e.Metrics))
	for i := range e.Metrics {
		descs[i] = e.Metrics[i].Desc
	}
	return descs
}

// Rows are the samples of a reply.
type Rows struct {
	samples []sample
	skips   []skip
}

type sample struct {
	desc   *metric.Desc
	value  float64
	labels []string
}

// skip counts values of rows that are not samples, by reason.
type skip struct {
	reason  metric.Reason
	count   int
	example string // the first one
}

// AddTo adds the samples to a Writer, and counts the values that are not samples.
func (r *Rows) AddTo(out *metric.Writer) {
	for _, s := range r.samples {
		out.Add(s.desc, s.value, s.labels...)
	}
	for _, s := range r.skips {
		for range s.count {
			out.Skip(s.reason, s.example)
		}
	}
}

// Evaluate returns the samples of a reply. A value that is not a number, and a row for
// which an expression fails, are skipped. The error is that of Rows, or of ctx when it is done before
// the end.
func (e *Entry) Evaluate(ctx context.Context, reply rpc.Value) (*Rows, error) {
	return e.evaluate(ctx, Input(reply))
}

// Input returns the input of jq for a reply: an array of its records, without passwords.
func Input(reply rpc.Value) []any {
	records := []any{}
	for record := range reply.Rows() {
		records = append(records, withoutSecrets(record.Plain()))
	}
	return records
}

func (e *Entry) evaluate(ctx context.Context, input []any) (*Rows, error) {
	rows := &Rows{}
	add := func(row any) bool {
		for i := range e.Metrics {
			e.Metrics[i].add(ctx, row, rows)
		}
		return ctx.Err() == nil
	}
	if e.Rows == nil {
		add(input)
	} else if err := e.Rows.run(ctx, input, add); err != nil && ctx.Err() == nil {
		return rows, fmt.Errorf("rows of custom metrics %s: %w", e.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return rows, fmt.Errorf("the expressions of custom metrics %s did not end in time: %w", e.Name, err)
	}
	return rows, nil
}

// add adds the sample of a row.
func (m *Metric) add(ctx context.Context, row any, rows *Rows) {
	output, ok, err := m.Value.one(ctx, row)
	if err == nil && !ok {
		return
	}
	if err != nil {
		rows.skip(metric.BadValue, m, err)
		return
	}
	value, err := number(output)
	if err != nil {
		rows.skip(metric.NotANumber, m, err)
		return
	}
	labels := make([]string, len(m.Labels))
	for i, label := range m.Labels {
		if labels[i], err = label.text(ctx, row); err != nil {
			rows.skip(metric.BadValue, m, fmt.Errorf("label %s: %w", m.Desc.Labels[i], err))
			return
		}
	}
	rows.samples = append(rows.samples, sample{m.Desc, value, labels})
}

func (r *Rows) skip(reason metric.Reason, m *Metric, err error) {
	for i := range r.skips {
		if r.skips[i].reason == reason {
			r.skips[i].count++
			return
		}
	}
	r.skips = append(r.skips, skip{reason, 1, m.Desc.Name + ": " + err.Error()})
}

// number returns a number. A text is a number if it is a decimal one, because Kamailio sends many numbers as texts.
func number(output any) (float64, error) {
	value, ok := gojq.ToFloat64(output)
	if text, isText := output.(string); isText {
		parsed, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		value, ok = parsed, err == nil && !strings.ContainsAny(text, "xXpP_nN")
	}
	if !ok {
		return 0, fmt.Errorf("%s is not a number", gojq.Preview(output))
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, errors.New("the value is not finite")
	}
	return value, nil
}

// text returns the value of a label.
func (e *Expression) text(ctx context.Context, row any) (string, error) {
	output, _, err := e.one(ctx, row)
	if err != nil {
		return "", err
	}
	switch output := output.(type) {
	case nil:
		return "", nil
	case string:
		return output, nil
	case bool:
		return strconv.FormatBool(output), nil
	case int:
		return strconv.Itoa(output), nil
	case float64:
		return strconv.FormatFloat(output, 'g', -1, 64), nil
	case *big.Int:
		return output.String(), nil
	case json.Number: // of fromjson
		return output.String(), nil
	default:
		return "", fmt.Errorf("%s is not a text or a number", gojq.Preview(output))
	}
}

// withoutSecrets returns a value without the members whose names show that they are secrets, for example auth_password and
// auth_ha1 of uac.reg_dump. It changes the value.
func withoutSecrets(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = withoutSecrets(value[i])
		}
	case map[string]any:
		for name, member := range value {
			if isSecret(name) {
				delete(value, name)
				continue
			}
			value[name] = withoutSecrets(member)
		}
	}
	return value
}

// secretWords are parts of the names of secrets.
var secretWords = []string{"password", "passwd", "secret", "ha1"}

// isSecret reports whether the name of a member is that of a secret.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
