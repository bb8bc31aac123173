package rpc

import (
	"bytes"
	"encoding/json"
	"iter"
	"math"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// MarshalJSON writes the value as JSON in Kamailio's order, without losing a value.
// A Struct becomes an object if each of its values has a name of its own. A Struct
// of values without names becomes an array. One in which a name repeats, or that
// arrived as a list over JSON-RPC, becomes what Kamailio sends over JSON-RPC: an
// array of objects with one member each. Bytes that are not UTF-8 become U+FFFD, and
// a number for which JSON has no form becomes null. It never fails.
//
// [Value.Plain] is more convenient for programs that look for names.
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

// isObject reports whether each value of a Struct has a name of its own.
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
	b[len(b)-1] = '}' // there is a member, and so a comma
	return b
}

// appendMember appends the value behind its name.
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
	encoder.SetEscapeHTML(false)              // Kamailio's replies are full of <sip:…>
	if err := encoder.Encode(s); err != nil { // never for a string
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
