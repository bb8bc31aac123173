package rpc

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// Member is a value with its name in [Members].
type Member struct {
	// Name may be empty: Kamailio sends lists as structs of values without names.
	Name string
	// Value is of any type that [ValueOf] accepts.
	Value any
}

// Members is the Go form of a Struct. It keeps the order of the values, and names
// may repeat.
type Members []Member

// Encode returns the Go value src as a Value, by rules similar to those of
// encoding/json. [Value.Decode] is its inverse.
//
//   - nil, and a nil pointer, interface, slice or map, become a null.
//   - A bool becomes the Int 1 or 0, as Kamailio sends it. An integer in the range
//     of int64 becomes an Int, a float a Double, a string a String, a []byte Bytes,
//     and an [encoding.TextMarshaler] a String.
//   - A Go struct becomes a Struct of its exported fields. The name of a field is
//     the one in its tag, `rpc:"URI"`, or the Go name if it has no tag. A field with
//     the tag `rpc:"-"` is omitted. Fields of embedded structs are treated as fields
//     of the outer struct.
//   - A map with string keys becomes a Struct, sorted by key.
//   - [Members], nil or not, becomes a Struct in the same order. Names may repeat.
//   - A slice becomes an Array.
//   - A [Value] is copied. The zero Value becomes a null.
//
// Encode returns an error for any other type, and for a value nested deeper than
// 1,000 levels.
func Encode(src any) (Value, error) { return ValueOf(src) }

// ValueOf is like [Encode] for the records of a reply: it returns the value of a
// single record, and an Array of the values of none or several records.
func ValueOf(records ...any) (Value, error) {
	m := maker{builder: tape.NewBuilder(len(records))}
	for _, record := range records {
		if err := m.add("", record); err != nil {
			return Value{}, err
		}
	}
	return Value(m.builder.Finish(string(m.text))), nil
}

// maker encodes Go values into a tape.
type maker struct {
	builder *tape.Builder
	text    []byte
}

func (m *maker) span(s string) tape.Span {
	at := len(m.text)
	m.text = append(m.text, s...)
	return tape.Span{At: uint32(at), Len: uint32(len(s))}
}

func (m *maker) add(name string, value any) error { return m.addAny(m.span(name), value) }

func (m *maker) addNamed(name tape.Span, v reflect.Value) error { return m.addAny(name, v.Interface()) }

func (m *maker) addAny(span tape.Span, value any) error {
	switch value := value.(type) {
	case nil:
		m.builder.Null(span)
	case string:
		m.builder.Text(tape.String, span, m.span(value))
	case []byte:
		if value == nil {
			m.builder.Null(span)
			return nil
		}
		m.builder.Text(tape.Bytes, span, m.span(string(value)))
	case float64:
		m.builder.Double(span, value)
	case float32:
		m.builder.Double(span, float64(value))
	case bool:
		m.builder.Int(span, bit(value))
	case int: // other integer types are rare and handled by reflection
		m.builder.Int(span, int64(value))
	case int64:
		m.builder.Int(span, value)
	case Members:
		return m.addMembers(span, value)
	case Value:
		return m.addValue(span, value)
	default:
		return m.addReflected(span, reflect.ValueOf(value))
	}
	return nil
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// inside adds a Struct or an Array that contains the values that fill adds.
func (m *maker) inside(kind tape.Kind, name tape.Span, fill func() error) error {
	if m.builder.Depth() >= maxEncodeDepth {
		return fmt.Errorf("a value nested deeper than %d levels cannot be encoded", maxEncodeDepth)
	}
	m.builder.Open(kind, name)
	if err := fill(); err != nil {
		return err
	}
	m.builder.Close()
	return nil
}

// maxEncodeDepth is the maximum nesting depth of an encoded value. It stops the
// encoding of a value that contains itself.
const maxEncodeDepth = 1000

func (m *maker) addMembers(name tape.Span, members Members) error {
	return m.inside(tape.Struct, name, func() error {
		for _, member := range members {
			if err := m.add(member.Name, member.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *maker) addValue(name tape.Span, v Value) error {
	switch v.Kind() {
	case KindStruct, KindArray:
		return m.inside(tape.Kind(v.Kind()), name, func() error {
			for member := range v.All() {
				if err := m.addValue(m.span(member.Name()), member); err != nil {
					return err
				}
			}
			return nil
		})
	case KindInt:
		m.builder.Int(name, tape.Node(v).Int())
	case KindDouble:
		m.builder.Double(name, tape.Node(v).Double())
	case KindString, KindBytes:
		m.builder.Text(tape.Kind(v.Kind()), name, m.span(v.Text()))
	default:
		m.builder.Null(name)
	}
	return nil
}

// addReflected adds a value of a type that addAny does not handle.
func (m *maker) addReflected(name tape.Span, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		if v.IsNil() {
			m.builder.Null(name)
			return nil
		}
	}
	if text, ok := textMarshaler(v); ok {
		return m.addMarshaled(name, text)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return m.addNamed(name, v.Elem())
	case reflect.Bool:
		m.builder.Int(name, bit(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		m.builder.Int(name, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return fmt.Errorf("the number %d is too large for an RPC integer", v.Uint())
		}
		m.builder.Int(name, int64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		m.builder.Double(name, v.Float())
	case reflect.String:
		m.builder.Text(tape.String, name, m.span(v.String()))
	case reflect.Slice:
		if isBytes(v.Type()) {
			m.builder.Text(tape.Bytes, name, m.span(string(v.Bytes())))
			return nil
		}
		return m.addSlice(name, v)
	case reflect.Map:
		return m.addMap(name, v)
	case reflect.Struct:
		return m.addStruct(name, v)
	default:
		return fmt.Errorf("a value of Go type %s cannot be encoded", v.Type())
	}
	return nil
}

var textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()

// textMarshaler returns the value, or a pointer to a copy of it, as a TextMarshaler.
// It returns false if neither is one.
func textMarshaler(v reflect.Value) (encoding.TextMarshaler, bool) {
	if !v.Type().Implements(textMarshalerType) {
		if !reflect.PointerTo(v.Type()).Implements(textMarshalerType) {
			return nil, false
		}
		pointer := reflect.New(v.Type())
		pointer.Elem().Set(v)
		v = pointer
	}
	text, ok := v.Interface().(encoding.TextMarshaler)
	return text, ok
}

func (m *maker) addMarshaled(name tape.Span, text encoding.TextMarshaler) error {
	marshaled, err := text.MarshalText()
	if err != nil {
		return fmt.Errorf("encode a value of Go type %T: %w", text, err)
	}
	m.builder.Text(tape.String, name, m.span(string(marshaled)))
	return nil
}

func (m *maker) addSlice(name tape.Span, v reflect.Value) error {
	return m.inside(tape.Array, name, func() error {
		for i := range v.Len() {
			if err := m.addNamed(tape.Span{}, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *maker) addMap(name tape.Span, v reflect.Value) error {
	if v.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("a map with keys of Go type %s cannot be encoded", v.Type().Key())
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return m.inside(tape.Struct, name, func() error {
		for _, key := range keys {
			if err := m.addNamed(m.span(key.String()), v.MapIndex(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *maker) addStruct(name tape.Span, v reflect.Value) error {
	fields := fieldsOf(v.Type())
	return m.inside(tape.Struct, name, func() error {
		for i, index := range fields.index {
			field, err := v.FieldByIndexErr(index)
			if err != nil || fields.exact[fields.names[i]] != i {
				continue // inside a nil embedded pointer, or hidden by an outer field
			}
			if err := m.addNamed(m.span(fields.names[i]), field); err != nil {
				return err
			}
		}
		return nil
	})
}

// Interface returns the value as Go data without loss: int64, float64, string,
// []byte, [Members], []any, and nil for a null and for the zero Value. [ValueOf] is
// its inverse. [Value.Plain] returns maps instead of Members.
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
