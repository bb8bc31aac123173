package rpc

import (
	"iter"
	"math"
	"strconv"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of a value. Absent is that of the zero Value, which stands for
// "there is no such thing" and is what [Value.Get] returns for a name that is
// not there.
const (
	Absent Kind = iota
	Null        // Kamailio's NULL string
	Int
	Double
	String
	Bytes
	Struct // named values in order; a name may repeat, and may be missing
	Array
)

var kindNames = [...]string{"nothing", "null", "int", "double", "string", "bytes", "struct", "array"}

// String names the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one value of a reply: a handle of two words on a tape that holds
// the whole reply. It may be copied, kept, and used concurrently; it never
// changes. A Value, or a string taken from one, keeps its whole reply in
// memory. The zero Value does not exist: all its accessors answer with nothing.
type Value struct {
	tape *tape
	at   uint32
}

// tape is a reply, decoded once: nodes in document order over one string.
// Neither holds pointers into the other, so the garbage collector has two
// objects to look at, however large the reply.
type tape struct {
	text  string
	nodes []node
}

// node is one value. Its children follow it at once. There can be tens of
// thousands, so what says nothing has no room: 16 bytes are all.
type node struct {
	// bits holds an int64, a float64, or a text's start and length; of a Struct or
	// an Array, the index behind the last child, where the next sibling starts.
	bits   uint64
	nameAt uint32
	// named is the length of the name and, in the lowest three bits, the kind.
	named uint32
}

const (
	kindBits = 3
	// longestName is the most bytes that a name may have, half a gigabyte.
	longestName = 1<<(32-kindBits) - 1
)

func (n *node) kind() Kind { return Kind(n.named & (1<<kindBits - 1)) }

func (n *node) nameLen() uint32 { return n.named >> kindBits }

// end is where the next sibling of the value at an index starts.
func (n *node) end(at uint32) uint32 {
	if n.kind() < Struct {
		return at + 1
	}
	return uint32(n.bits)
}

func (v Value) node() *node { return &v.tape.nodes[v.at] }

// Kind is the value's kind, [Absent] for the zero Value.
func (v Value) Kind() Kind {
	if v.tape == nil {
		return Absent
	}
	return v.node().kind()
}

// Exists tells whether there is a value at all. A null exists.
func (v Value) Exists() bool { return v.tape != nil }

// Name is the name under which the value stands in its struct, "" where it has
// none.
func (v Value) Name() string {
	if v.tape == nil {
		return ""
	}
	n := v.node()
	return v.tape.text[n.nameAt : n.nameAt+n.nameLen()]
}

// Int is the value of an Int, read as signed, or of a Double, cut to an
// integer; false for every other kind, and for a Double beyond int64.
func (v Value) Int() (int64, bool) {
	switch v.Kind() {
	case Int:
		return int64(v.node().bits), true
	case Double:
		f := math.Trunc(math.Float64frombits(v.node().bits))
		return int64(f), f >= math.MinInt64 && f < math.MaxInt64
	default:
		return 0, false
	}
}

// Uint is like Int for a number that is never negative. Kamailio sends its
// 32-bit integers without saying whether they are signed, so a negative Int of
// that width is the upper half of an unsigned one; any other negative number is
// false.
func (v Value) Uint() (uint64, bool) {
	i, ok := v.Int()
	switch {
	case !ok:
		return 0, false
	case i >= 0:
		return uint64(i), true
	case v.Kind() == Int && i >= math.MinInt32:
		return uint64(uint32(i)), true
	default:
		return 0, false
	}
}

// Float is the value of an Int, read as signed, or of a Double; false for
// every other kind.
func (v Value) Float() (float64, bool) {
	switch v.Kind() {
	case Int:
		return float64(int64(v.node().bits)), true
	case Double:
		return math.Float64frombits(v.node().bits), true
	default:
		return 0, false
	}
}

// Text is the content of a String or Bytes as Kamailio sent it, which need not
// be UTF-8, and "" for every other kind.
func (v Value) Text() string {
	switch v.Kind() {
	case String, Bytes:
		n := v.node()
		at, length := n.bits>>32, n.bits&math.MaxUint32
		return v.tape.text[at : at+length]
	default:
		return ""
	}
}

// All yields the values inside a Struct or an Array in order, and nothing for
// every other kind. The names are theirs to tell: see [Value.Name].
func (v Value) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() < Struct {
			return
		}
		nodes := v.tape.nodes
		for at, end := v.at+1, nodes[v.at].end(v.at); at < end; at = nodes[at].end(at) {
			if !yield(Value{v.tape, at}) {
				return
			}
		}
	}
}

// Len is the number of values that All yields. It walks them.
func (v Value) Len() int {
	n := 0
	for range v.All() {
		n++
	}
	return n
}

// Get is the first value of that name in a Struct, or the zero Value.
func (v Value) Get(name string) Value {
	for member := range v.Named(name) {
		return member
	}
	return Value{}
}

// Named yields every value of that name in a Struct. It is the way to read
// Kamailio's named lists, in which each element repeats the same name: the
// TARGETS of dispatcher.list are a Struct of many DEST.
func (v Value) Named(name string) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Struct {
			return
		}
		for member := range v.All() {
			if member.Name() == name && !yield(member) {
				return
			}
		}
	}
}

// Rows yields the elements of a list, and a value that is no list as its only
// element, since on the wire one record is a list of one. A list is an Array,
// or a Struct in which no value has a name, as ctl sends lists. Nothing, null
// and an empty struct have no rows.
func (v Value) Rows() iter.Seq[Value] {
	switch v.Kind() {
	case Absent, Null:
		return func(func(Value) bool) {}
	case Array:
		return v.All()
	case Struct:
		if !v.hasName() {
			return v.All()
		}
	}
	return func(yield func(Value) bool) { yield(v) }
}

func (v Value) hasName() bool {
	for member := range v.All() {
		if member.node().nameLen() > 0 {
			return true
		}
	}
	return false
}
