// Package tape stores decoded replies. A [Builder] decodes a reply once, into a flat
// list of nodes that refer to one string. A [Node] is a handle to one value of the
// reply.
package tape

import "math"

// Kind is the kind of a value.
type Kind uint8

// The kinds of a value. Absent is the kind of the zero Node.
const (
	Absent Kind = iota
	Null
	Int
	Double
	String
	Bytes
	Struct
	Array
)

// tape is a reply: nodes in document order and one string. The nodes contain offsets
// instead of pointers, so the garbage collector scans two objects regardless of the
// size of the reply.
type tape struct {
	text  string
	nodes []node
}

// node is one value. Its children follow it directly. A reply can have tens of
// thousands of nodes, so a node takes only 16 bytes.
type node struct {
	// bits contains an int64, a float64, or the start and length of a text. For a
	// Struct or an Array it contains the index after the last child, where the next
	// sibling starts.
	bits   uint64
	nameAt uint32
	// named contains the kind in its lowest three bits, whether a Struct is a list in
	// the fourth bit, and the length of the name in the other bits.
	named uint32
}

const (
	kindBits = 3
	listBit  = 1 << kindBits
	nameAt   = kindBits + 1 // the lowest bit of the length of the name
	// LongestName is the maximum length of a name in bytes: 256 MiB less one.
	LongestName = 1<<(32-nameAt) - 1
)

func (n *node) kind() Kind { return Kind(n.named & (1<<kindBits - 1)) }

func (n *node) nameLen() uint32 { return n.named >> nameAt }

// end returns the index at which the next sibling of the value at an index starts.
func (n *node) end(at uint32) uint32 {
	if n.kind() < Struct {
		return at + 1
	}
	return uint32(n.bits)
}

// Node is one value of a reply. It may be copied and used concurrently. The zero Node
// represents an absent value: its kind is Absent.
type Node struct {
	tape *tape
	at   uint32
}

func (n Node) node() *node { return &n.tape.nodes[n.at] }

// Exists reports whether n is a value and not the zero Node.
func (n Node) Exists() bool { return n.tape != nil }

// Kind returns the kind of the value, Absent for the zero Node.
func (n Node) Kind() Kind {
	if n.tape == nil {
		return Absent
	}
	return n.node().kind()
}

// HasName reports whether the value has a name that is not empty.
func (n Node) HasName() bool { return n.tape != nil && n.node().nameLen() > 0 }

// IsList reports whether the value is a Struct that was sent as a list of named
// values; see [Builder.CloseList].
func (n Node) IsList() bool { return n.tape != nil && n.node().named&listBit != 0 }

// Name returns the name of the value, or "" if it has none.
func (n Node) Name() string {
	if n.tape == nil {
		return ""
	}
	node := n.node()
	return n.tape.text[node.nameAt : node.nameAt+node.nameLen()]
}

// Int returns the number of an Int. For other kinds the result is undefined, and the
// zero Node panics.
func (n Node) Int() int64 { return int64(n.node().bits) }

// Double returns the number of a Double. For other kinds the result is undefined, and
// the zero Node panics.
func (n Node) Double() float64 { return math.Float64frombits(n.node().bits) }

// Text returns the text of a String or Bytes. It may panic for other kinds.
func (n Node) Text() string {
	bits := n.node().bits
	at, length := bits>>32, bits&math.MaxUint32
	return n.tape.text[at : at+length]
}

// Inside returns the index of the first child of a Struct or an Array, and the index
// after the last child. They are equal for an empty one and for other kinds.
func (n Node) Inside() (at, end uint32) {
	if n.Kind() < Struct {
		return 0, 0
	}
	return n.at + 1, uint32(n.node().bits)
}

// At returns the value at an index of the same reply.
func (n Node) At(at uint32) Node { return Node{n.tape, at} }

// After returns the index after the value at an index and its children.
func (n Node) After(at uint32) uint32 { return n.tape.nodes[at].end(at) }

// Span is the start and the length, in bytes, of a part of the text that is passed to
// [Builder.Finish]. The zero Span is the empty name.
type Span struct{ At, Len uint32 }

// Builder builds a tape, value by value, in document order. It must not be used
// concurrently.
//
// Names and texts are spans of a string that is passed to [Builder.Finish], so that a
// decoder copies its input once.
type Builder struct {
	tape
	// inner is the index of the innermost open struct or array. The bits of an open
	// node are the index of the open node around it. The outermost is the list of
	// records at 0.
	inner uint32
	depth int
}

// NewBuilder returns a Builder with capacity for that many values. More can be added.
func NewBuilder(values int) *Builder {
	b := &Builder{tape: tape{nodes: make([]node, 1, max(values, 0)+1)}}
	b.nodes[0].named = uint32(Array)
	return b
}

// Len returns the number of values so far.
func (b *Builder) Len() int { return len(b.nodes) - 1 }

// Depth returns the number of structs and arrays that are open.
func (b *Builder) Depth() int { return b.depth }

// Inside returns the kind of the innermost open struct or array, Absent if none is
// open.
func (b *Builder) Inside() Kind {
	if b.depth == 0 {
		return Absent
	}
	return b.nodes[b.inner].kind()
}

func (b *Builder) add(kind Kind, name Span, bits uint64) {
	if name.Len > LongestName {
		panic("rpc: a name is longer than 256 MiB")
	}
	b.nodes = append(b.nodes, node{bits, name.At, name.Len<<nameAt | uint32(kind)})
}

// Null adds a null.
func (b *Builder) Null(name Span) { b.add(Null, name, 0) }

// Int adds an integer.
func (b *Builder) Int(name Span, i int64) { b.add(Int, name, uint64(i)) }

// Double adds a floating-point number.
func (b *Builder) Double(name Span, f float64) { b.add(Double, name, math.Float64bits(f)) }

// Text adds a text; kind is String or Bytes.
func (b *Builder) Text(kind Kind, name, text Span) {
	b.add(kind, name, uint64(text.At)<<32|uint64(text.Len))
}

// Open starts a Struct or an Array; kind is one of these. The values that are added
// before [Builder.Close] or [Builder.CloseList] are its children.
func (b *Builder) Open(kind Kind, name Span) {
	at := uint32(len(b.nodes))
	b.add(kind, name, uint64(b.inner)) // Close replaces it by the end
	b.inner = at
	b.depth++
}

// Close ends the innermost open Struct or Array. One must be open.
func (b *Builder) Close() {
	closed := &b.nodes[b.inner]
	b.inner, closed.bits = uint32(closed.bits), uint64(len(b.nodes))
	b.depth--
}

// CloseList ends the innermost open Array. If each of its elements is a struct with
// one named value, which is how JSON-RPC encodes a list of named values, the Array
// becomes a Struct of these values that is marked as a list.
func (b *Builder) CloseList() {
	at := b.inner
	b.Close()
	if !b.isNamedList(at) {
		return
	}
	to := at + 1
	for from := at + 1; from < uint32(len(b.nodes)); {
		end := b.nodes[from].end(from)
		moved := uint64(from + 1 - to)
		for _, n := range b.nodes[from+1 : end] {
			if n.kind() >= Struct {
				n.bits -= moved
			}
			b.nodes[to] = n
			to++
		}
		from = end
	}
	b.nodes = b.nodes[:to]
	list := &b.nodes[at]
	list.bits = uint64(to)
	list.named = list.named&^uint32(Array) | uint32(Struct) | listBit
}

// isNamedList reports whether the Array at an index has elements, and each is a struct
// with one named value. The Array must be the last value added.
func (b *Builder) isNamedList(at uint32) bool {
	for i := at + 1; i < uint32(len(b.nodes)); i = b.nodes[i].end(i) {
		element := &b.nodes[i]
		end := element.end(i)
		if element.kind() != Struct || end == i+1 || b.nodes[i+1].end(i+1) != end || b.nodes[i+1].nameLen() == 0 {
			return false
		}
	}
	return uint32(len(b.nodes)) > at+1
}

// Finish returns the value that was built; the spans refer to text. It returns the
// value itself if exactly one was added outside of all structs and arrays, otherwise
// an Array of these values. All structs and arrays must be closed, and the Builder
// must not be used afterwards.
func (b *Builder) Finish(text string) Node {
	end := uint32(len(b.nodes))
	b.nodes[0].bits = uint64(end)
	b.text = text
	if end > 1 && b.nodes[1].end(1) == end {
		return Node{&b.tape, 1}
	}
	return Node{&b.tape, 0}
}
