package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// otherForm stands for a line of text that a collector cannot read.
const otherForm = "a line in another form"

// keys are the texts of the fields that tell a row from the others. If one is
// missing, or empty, there is nothing to tell of the row.
func keys(out *metric.Writer, row rpc.Value, names ...string) ([]string, bool) {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = row.Get(name).Text()
		if texts[i] == "" {
			out.Skip(metric.BadValue, name+" is missing")
			return nil, false
		}
	}
	return texts, true
}

// numberKey is such a field that is an integer.
func numberKey(out *metric.Writer, row rpc.Value, name string) (string, bool) {
	v := row.Get(name)
	text := integer(v)
	switch {
	case text != "":
		return text, true
	case v.Exists():
		out.Skip(metric.NotANumber, whatIs(name, v))
	default:
		out.Skip(metric.BadValue, name+" is missing")
	}
	return "", false
}

// addNumbers adds those of the fields that the struct has. All fields have the
// same labels.
func addNumbers(out *metric.Writer, all []field, from rpc.Value, labels []string) {
	addNumbersTo(out, out.Labels(all[0].desc.Labels, labels...), all, from)
}

func addNumbersTo(out *metric.Writer, labels metric.Labels, all []field, from rpc.Value) {
	for i := range all {
		if v := from.Get(all[i].name); v.Exists() {
			all[i].addTo(out, labels, v)
		}
	}
}

// whatIs says what a field has instead of what it should. It does not tell the
// value, which goes into the log and could be a secret.
func whatIs(name string, v rpc.Value) string {
	switch kind := v.Kind(); kind {
	case rpc.KindAbsent:
		return name + " is missing"
	case rpc.KindNull, rpc.KindBytes:
		return name + " is " + kind.String()
	case rpc.KindInt, rpc.KindArray:
		return name + " is an " + kind.String()
	default:
		return name + " is a " + kind.String()
	}
}
