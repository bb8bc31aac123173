package rpc

import (
	"iter"
	"math"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of a value. KindAbsent is that of the zero Value, which is what
// [Value.Get] returns for a name that is not there.
const (
	KindAbsent = Kind(tape.Absent)
	KindNull   = Kind(tape.Null) // Kamailio's NULL string
	KindInt    = Kind(tape.Int)
	KindDouble = Kind(tape.Double)
	KindString = Kind(tape.String)
	KindBytes  = Kind(tape.Bytes)
	KindStruct = Kind(tape.Struct) // values in order; a name may repeat, or be missing
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

// Value is one value of a reply: a handle of two words on the decoded reply. It
// may be copied, kept, and used concurrently; it never changes. A Value, or a
// string taken from one, keeps its whole reply in memory. The zero Value stands
// for no value: its kind is [KindAbsent], and all its accessors return zero
// values.
type Value tape.Node

// Kind returns the kind of the value, [KindAbsent] for the zero Value.
func (v Value) Kind() Kind { return Kind(tape.Node(v).Kind()) }

// Exists reports whether there is a value. A null is a value.
func (v Value) Exists() bool { return tape.Node(v).Exists() }

// Name returns the name of the value in its struct, or "" if it has none.
func (v Value) Name() string { return tape.Node(v).Name() }

// Int returns an Int, read as signed, or a Double without its fraction. It returns
// false for other kinds, and for a Double that does not fit.
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

// Uint is like Int for a number that is never negative. BINRPC does not say whether
// an integer of 32 bits is signed, so a negative Int of that width is returned as
// the unsigned number with the same bits. For any other negative number it returns
// false.
func (v Value) Uint() (uint64, bool) {
	i, ok := v.Int()
	switch {
	case !ok:
		return 0, false
	case v.Kind() == KindDouble && tape.Node(v).Double() < 0: // such as -0.001, which Int cuts to 0
		return 0, false
	case i >= 0:
		return uint64(i), true
	case v.Kind() == KindInt && i >= math.MinInt32:
		return uint64(uint32(i)), true
	default:
		return 0, false
	}
}

// Float returns an Int, read as signed, or a Double, and false for other kinds.
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

// Text returns a String or Bytes as Kamailio sent it, which need not be UTF-8, and
// "" for other kinds.
func (v Value) Text() string {
	switch v.Kind() {
	case KindString, KindBytes:
		return tape.Node(v).Text()
	default:
		return ""
	}
}

// All yields the values inside a Struct or an Array in order, and nothing for other
// kinds. [Value.Name] returns the name of each.
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

// Len returns the number of values that All yields. It takes time in proportion to
// that number.
func (v Value) Len() int {
	n := 0
	for range v.All() {
		n++
	}
	return n
}

// Get returns the first value of that name in a Struct, or the zero Value.
func (v Value) Get(name string) Value {
	for member := range v.Named(name) {
		return member
	}
	return Value{}
}

// Named yields every value of that name in a Struct, in order. Kamailio has lists in
// which each element has the same name: TARGETS in the reply of dispatcher.list is
// a Struct of many DEST.
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

// Rows yields the elements of a list. A value that is no list is yielded as the only
// element, since Kamailio sends one record and a list of one record alike. A list is
// an Array, or a Struct in which no value has a name, as ctl sends lists. The zero
// Value, a null and an empty struct have no rows.
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
