package rpc

import (
	"iter"
	"math"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of a value. KindAbsent is the kind of the zero Value, which [Value.Get]
// returns for an absent name.
const (
	KindAbsent = Kind(tape.Absent)
	KindNull   = Kind(tape.Null) // Kamailio's NULL string
	KindInt    = Kind(tape.Int)
	KindDouble = Kind(tape.Double)
	KindString = Kind(tape.String)
	KindBytes  = Kind(tape.Bytes)
	KindStruct = Kind(tape.Struct) // values in order; names may repeat or be empty
	KindArray  = Kind(tape.Array)
)

var kindNames = [...]string{"nothing", "null", "int", "double", "string", "bytes", "struct", "array"}

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one value of a reply: a two-word handle to the decoded reply. It never
// changes, and it may be copied and used concurrently. A Value, or a string
// returned by one, keeps its whole reply in memory. The zero Value represents an
// absent value: its kind is [KindAbsent], and all its accessors return zero values.
type Value tape.Node

// Kind returns the kind of the value, [KindAbsent] for the zero Value.
func (v Value) Kind() Kind { return Kind(tape.Node(v).Kind()) }

// Exists reports whether v is a value, which a null is too, and not the zero Value.
func (v Value) Exists() bool { return tape.Node(v).Exists() }

// Name returns the name of the value in its struct, or "" if it has none.
func (v Value) Name() string { return tape.Node(v).Name() }

// Int returns the number of an Int, read as signed, or the integer part of a
// Double. It returns false for other kinds, and for a Double beyond the range of
// int64.
func (v Value) Int() (int64, bool) {
	switch v.Kind() {
	case KindInt:
		return tape.Node(v).Int(), true
	case KindDouble:
		f := math.Trunc(tape.Node(v).Double())
		return int64(f), f >= math.MinInt64 && f < math.MaxInt64
	default:
		return 0, false
	}
}

// Uint is like Int for numbers that are never negative. BINRPC does not specify
// whether a 32-bit integer is signed, so a negative Int of that width is returned
// as the unsigned number with the same bits. For any other negative number Uint
// returns false.
func (v Value) Uint() (uint64, bool) {
	i, ok := v.Int()
	switch {
	case !ok:
		return 0, false
	case v.Kind() == KindDouble && tape.Node(v).Double() < 0: // for example -0.001, which Int truncates to 0
		return 0, false
	case i >= 0:
		return uint64(i), true
	case v.Kind() == KindInt && i >= math.MinInt32:
		return uint64(uint32(i)), true
	default:
		return 0, false
	}
}

// Float returns the number of an Int, read as signed, or of a Double. It returns
// false for other kinds.
func (v Value) Float() (float64, bool) {
	switch v.Kind() {
	case KindInt:
		return float64(tape.Node(v).Int()), true
	case KindDouble:
		return tape.Node(v).Double(), true
	default:
		return 0, false
	}
}

// Text returns the text of a String or Bytes as Kamailio sent it, which may be
// invalid UTF-8. It returns "" for other kinds.
func (v Value) Text() string {
	switch v.Kind() {
	case KindString, KindBytes:
		return tape.Node(v).Text()
	default:
		return ""
	}
}

// All yields the values in a Struct or an Array in order. For other kinds it yields
// no value. [Value.Name] returns the name of each.
func (v Value) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		n := tape.Node(v)
		for at, end := n.Inside(); at < end; at = n.After(at) {
			if !yield(Value(n.At(at))) {
				return
			}
		}
	}
}

// Len returns the number of values that All yields. Its running time is
// proportional to that number.
func (v Value) Len() int {
	n := 0
	for range v.All() {
		n++
	}
	return n
}

// Get returns the first value with that name in a Struct. It returns the zero Value
// if there is none, and for other kinds.
func (v Value) Get(name string) Value {
	for member := range v.Named(name) {
		return member
	}
	return Value{}
}

// Named yields all values with that name in a Struct, in order. For other kinds it
// yields no value. Kamailio sends some lists as a Struct whose values have the same
// name: TARGETS in the reply to dispatcher.list contains a DEST for each
// destination.
func (v Value) Named(name string) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != KindStruct {
			return
		}
		for member := range v.All() {
			if member.Name() == name && !yield(member) {
				return
			}
		}
	}
}

// Rows yields the elements of a list. A list is an Array, or a Struct in which no
// value has a name, which is how ctl sends lists. A value that is not a list is
// yielded as the only element, since Kamailio encodes one record and a list of one
// record in the same way. For the zero Value, a null and an empty Struct, Rows
// yields no value.
func (v Value) Rows() iter.Seq[Value] {
	switch v.Kind() {
	case KindAbsent, KindNull:
		return func(func(Value) bool) {}
	case KindArray:
		return v.All()
	case KindStruct:
		if !v.hasName() {
			return v.All()
		}
	}
	return func(yield func(Value) bool) { yield(v) }
}

func (v Value) hasName() bool {
	for member := range v.All() {
		if tape.Node(member).HasName() {
			return true
		}
	}
	return false
}
