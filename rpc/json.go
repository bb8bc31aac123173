package rpc

import (
	"bytes"
	"encoding/json"
	"iter"
	"math"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// MarshalJSON returns the value as JSON, in Kamailio's order and without dropping a
// value. A Struct becomes an object if its values have names that do not repeat, and
// an array if its values have no names. A Struct in which a name repeats, or that
// arrived as a list over JSON-RPC, becomes an array of objects with one member each,
// as Kamailio sends it over JSON-RPC. Bytes that are not valid UTF-8 become U+FFFD.
// Infinite numbers, NaN and the zero Value become null. The error is always nil.
//
// [Value.Plain] is more convenient for programs that look values up by name.
func (v Value) MarshalJSON() ([]byte, error) { return v.appendJSON(nil), nil }

// String returns the value as JSON, for logs and debuggers.
func (v Value) String() string { return string(v.appendJSON(nil)) }

func (v Value) appendJSON(b []byte) []byte {
	switch v.Kind() {
	case KindInt:
		i, _ := v.Int()
		return strconv.AppendInt(b, i, 10)
	case KindDouble:
		f, _ := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	case KindString, KindBytes:
		return appendQuoted(b, v.Text())
	case KindStruct:
		if v.isObject() {
			return v.appendObject(b)
		}
		return v.appendArray(b)
	case KindArray:
		return v.appendArray(b)
	default:
		return append(b, "null"...)
	}
}

// isObject reports whether a Struct was not sent as a list, and has names that do not
// repeat.
func (v Value) isObject() bool {
	if tape.Node(v).IsList() || !v.hasName() {
		return false
	}
	seen := map[string]bool{}
	for member := range v.All() {
		name := member.Name()
		if seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

func (v Value) appendObject(b []byte) []byte {
	b = append(b, '{')
	for member := range v.All() {
		b = member.appendMember(b)
		b = append(b, ',')
	}
	b[len(b)-1] = '}' // replaces the comma after the last member
	return b
}

// appendMember appends the name of the value, a colon, and the value.
func (v Value) appendMember(b []byte) []byte {
	return v.appendJSON(append(appendQuoted(b, v.Name()), ':'))
}

func (v Value) appendArray(b []byte) []byte {
	b = append(b, '[')
	for i, element := range enumerate(v.All()) {
		if i > 0 {
			b = append(b, ',')
		}
		if tape.Node(element).HasName() {
			b = append(element.appendMember(append(b, '{')), '}')
		} else {
			b = element.appendJSON(b)
		}
	}
	return append(b, ']')
}

func enumerate(values iter.Seq[Value]) iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		i := 0
		for value := range values {
			if !yield(i, value) {
				return
			}
			i++
		}
	}
}

func appendQuoted(b []byte, s string) []byte {
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)              // Kamailio's replies often contain <sip:…>
	if err := encoder.Encode(s); err != nil { // does not happen for a string
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
