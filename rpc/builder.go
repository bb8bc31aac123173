package rpc

import (
	"math"
)

// Span is a piece of the text that a [Builder] is finished with: where it
// starts and how long it is, in bytes. The zero Span is the empty name.
type Span struct{ At, Len uint32 }

// Builder makes a Value, node by node, in document order. It is for those who
// write a transport; [ValueOf] is simpler. It must not be used concurrently.
//
// Names and texts are given as places in a string that is handed over last,
// so that a decoder copies its input once and a Value needs no more.
type Builder struct {
	tape
	// inner is the innermost struct or array that is open; the bits of each that
	// is open say which one is around it. The outermost is the list of records
	// at 0.
	inner uint32
	depth int
}

// NewBuilder makes room for that many values; more are taken too.
func NewBuilder(values int) *Builder {
	b := &Builder{tape: tape{nodes: make([]node, 1, max(values, 0)+1)}}
	b.nodes[0].named = uint32(Array)
	return b
}

// Len is the number of values so far.
func (b *Builder) Len() int { return len(b.nodes) - 1 }

// Depth is the number of structs and arrays that are open.
func (b *Builder) Depth() int { return b.depth }

// Inside is the kind of the innermost struct or array that is open, Absent
// where none is.
func (b *Builder) Inside() Kind {
	if b.depth == 0 {
		return Absent
	}
	return b.nodes[b.inner].kind()
}

func (b *Builder) add(kind Kind, name Span, bits uint64) {
	if name.Len > longestName {
		panic("rpc: a name of more than half a gigabyte")
	}
	b.nodes = append(b.nodes, node{bits, name.At, name.Len<<kindBits | uint32(kind)})
}

// Null adds a null.
func (b *Builder) Null(name Span) { b.add(Null, name, 0) }

// Int adds an integer; a transport whose integers have 32 bits and no sign
// gives it read as signed.
func (b *Builder) Int(name Span, i int64) { b.add(Int, name, uint64(i)) }

// Double adds a floating-point number.
func (b *Builder) Double(name Span, f float64) { b.add(Double, name, math.Float64bits(f)) }

// Text adds a String or Bytes.
func (b *Builder) Text(kind Kind, name, text Span) {
	b.add(kind, name, uint64(text.At)<<32|uint64(text.Len))
}

// Open starts a Struct or an Array; what is added until Close is inside it.
func (b *Builder) Open(kind Kind, name Span) {
	at := uint32(len(b.nodes))
	b.add(kind, name, uint64(b.inner)) // until it is closed
	b.inner = at
	b.depth++
}

// Close ends the innermost Struct or Array. There must be one.
func (b *Builder) Close() {
	closed := &b.nodes[b.inner]
	b.inner, closed.bits = uint32(closed.bits), uint64(len(b.nodes))
	b.depth--
}

// Finish returns what was built, over the text that the spans speak of: the
// value itself where one was added outside of any struct, an Array of them
// otherwise. All must be closed, and the Builder must not be used again.
func (b *Builder) Finish(text string) Value {
	end := uint32(len(b.nodes))
	b.nodes[0].bits = uint64(end)
	b.text = text
	if end > 1 && b.nodes[1].end(1) == end {
		return Value{&b.tape, 1}
	}
	return Value{&b.tape, 0}
}
