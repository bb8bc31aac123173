package rpc

import (
	"fmt"
	"math"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// Member is a value with its name in a struct, as a Go program writes one.
type Member struct {
	// Name may be empty: Kamailio sends lists as structs of nameless values.
	Name string
	// Value is of any kind that [ValueOf] takes.
	Value any
}

// Members is a Struct as a Go program writes one: in order, names may repeat.
type Members []Member

// ValueOf makes a Value from Go values, for calls, servers and tests. They may
// be nil (a null), bool (1 or 0, as Kamailio sends it), any integer that fits
// an int64, float32 or float64, string, []byte, Members (a Struct), []any (an
// Array), and Value. One of them becomes that value; none or several become the
// records of a reply, an Array.
func ValueOf(records ...any) (Value, error) {
	m := maker{builder: tape.NewBuilder(len(records))}
	for _, record := range records {
		if err := m.add("", record); err != nil {
			return Value{}, err
		}
	}
	return Value(m.builder.Finish(string(m.text))), nil
}

type maker struct {
	builder *tape.Builder
	text    []byte
}

func (m *maker) span(s string) tape.Span {
	at := len(m.text)
	m.text = append(m.text, s...)
	return tape.Span{At: uint32(at), Len: uint32(len(s))}
}

func (m *maker) add(name string, value any) error {
	span := m.span(name)
	switch value := value.(type) {
	case nil:
		m.builder.Null(span)
	case string:
		m.builder.Text(tape.String, span, m.span(value))
	case []byte:
		m.builder.Text(tape.Bytes, span, m.span(string(value)))
	case float64:
		m.builder.Double(span, value)
	case float32:
		m.builder.Double(span, float64(value))
	case Members:
		m.builder.Open(tape.Struct, span)
		for _, member := range value {
			if err := m.add(member.Name, member.Value); err != nil {
				return err
			}
		}
		m.builder.Close()
	case []any:
		m.builder.Open(tape.Array, span)
		for _, element := range value {
			if err := m.add("", element); err != nil {
				return err
			}
		}
		m.builder.Close()
	case Value:
		return m.add(name, value.Interface())
	default:
		i, err := integer(value)
		if err != nil {
			return err
		}
		m.builder.Int(span, i)
	}
	return nil
}

func integer(value any) (int64, error) {
	switch value := value.(type) {
	case bool:
		if value {
			return 1, nil
		}
		return 0, nil
	case int:
		return int64(value), nil
	case int8:
		return int64(value), nil
	case int16:
		return int64(value), nil
	case int32:
		return int64(value), nil
	case int64:
		return value, nil
	case uint8:
		return int64(value), nil
	case uint16:
		return int64(value), nil
	case uint32:
		return int64(value), nil
	case uint:
		return unsigned(uint64(value))
	case uint64:
		return unsigned(value)
	default:
		return 0, fmt.Errorf("a value of Go type %T has no RPC form", value)
	}
}

func unsigned(u uint64) (int64, error) {
	if u > math.MaxInt64 {
		return 0, fmt.Errorf("the number %d is too large for an RPC integer", u)
	}
	return int64(u), nil
}

// Interface is the value as Go values of the kinds that [ValueOf] takes: nil,
// int64, float64, string, []byte, Members or []any. For the zero Value it is
// nil too.
func (v Value) Interface() any {
	switch v.Kind() {
	case KindInt:
		i, _ := v.Int()
		return i
	case KindDouble:
		f, _ := v.Float()
		return f
	case KindString:
		return v.Text()
	case KindBytes:
		return []byte(v.Text())
	case KindStruct:
		members := Members{}
		for member := range v.All() {
			members = append(members, Member{member.Name(), member.Interface()})
		}
		return members
	case KindArray:
		elements := []any{}
		for element := range v.All() {
			elements = append(elements, element.Interface())
		}
		return elements
	default:
		return nil
	}
}
