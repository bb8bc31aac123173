package collector

import (
	"maps"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// otherForm describes a line of text that a collector cannot read.
const otherForm = "a line in an unknown format"

// keys returns the texts of the fields that identify a row. If one is missing or
// empty, it counts the row as dropped and returns false.
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

// numberKey is like keys for one field that is an integer.
func numberKey(out *metric.Writer, row rpc.Value, name string) (string, bool) {
	return integerLabel(out, row.Get(name), name)
}

// integerLabel is like numberKey for the value of the field.
func integerLabel(out *metric.Writer, v rpc.Value, name string) (string, bool) {
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

// addNumbers adds the fields that are present in the struct. All fields have the
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

// listField returns a field that is a list, which may be empty. If the field is another
// value, it counts it as dropped and returns false.
func listField(out *metric.Writer, row rpc.Value, name string) (rpc.Value, bool) {
	v := row.Get(name)
	if v.Kind() < rpc.KindStruct {
		out.Skip(metric.BadValue, whatIs(name, v))
		return rpc.Value{}, false
	}
	return v, true
}

// countRows returns the number of rows of a list. If one of them lacks a field, it
// counts the row as dropped and returns false.
func countRows(out *metric.Writer, list rpc.Value, names ...string) (int, bool) {
	rows := 0
	for row := range list.Rows() {
		if _, ok := keys(out, row, names...); !ok {
			return 0, false
		}
		rows++
	}
	return rows, true
}

// countNamed returns the number of values in a struct that have the name.
func countNamed(v rpc.Value, name string) int {
	n := 0
	for range v.Named(name) {
		n++
	}
	return n
}

// addTableRows adds the number of rows of a table that Kamailio sends as list. It
// is 0 if the list is empty. If rows were dropped, or if none of them was found, it
// adds no sample and counts the reply as dropped.
func addTableRows(out *metric.Writer, desc *metric.Desc, list rpc.Value, rows int) {
	switch {
	case out.Skipped() > 0:
	case rows > 0 || list.Kind() >= rpc.KindStruct && list.Len() == 0:
		out.Add(desc, float64(rows))
	default:
		out.Skip(metric.BadValue, "a reply in which no row was found")
	}
}

// addCounts adds the number of rows for each value of a label.
func addCounts(out *metric.Writer, desc *metric.Desc, counts map[string]int) {
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		out.Add(desc, float64(counts[label]), label)
	}
}

// whatIs describes a field of the wrong type. The text is logged, so it does not
// contain the value, which may be a secret.
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
