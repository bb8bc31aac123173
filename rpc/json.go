package rpc

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// MarshalJSON writes the value as JSON. A Struct in which no value has a name
// becomes an array, any other an object, in Kamailio's order and with repeated
// names repeated; bytes that are not UTF-8 become U+FFFD, and a
// number that JSON has no form for becomes null. It never fails.
func (v Value) MarshalJSON() ([]byte, error) { return v.appendJSON(nil), nil }

// String is the value as JSON, for logs and debuggers.
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
		if v.hasName() {
			return v.appendList(b, '{', '}')
		}
		return v.appendList(b, '[', ']')
	case KindArray:
		return v.appendList(b, '[', ']')
	default:
		return append(b, "null"...)
	}
}

func (v Value) appendList(b []byte, open, end byte) []byte {
	b = append(b, open)
	first := true
	for member := range v.All() {
		if !first {
			b = append(b, ',')
		}
		first = false
		if open == '{' {
			b = append(appendQuoted(b, member.Name()), ':')
		}
		b = member.appendJSON(b)
	}
	return append(b, end)
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
