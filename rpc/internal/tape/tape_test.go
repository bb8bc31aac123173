package tape

import (
	"strconv"
	"strings"
	"testing"
)

func TestBuilder(t *testing.T) {
	const text = "nametextrest"
	name, content := Span{0, 4}, Span{4, 4}
	b := NewBuilder(-1) // grows when needed
	if b.Len() != 0 || b.Depth() != 0 || b.Inside() != Absent {
		t.Errorf("new builder: %d values, depth %d, inside %v", b.Len(), b.Depth(), b.Inside())
	}
	b.Open(Struct, Span{})
	b.Text(String, name, content)
	b.Open(Array, name)
	if b.Len() != 3 || b.Depth() != 2 || b.Inside() != Array {
		t.Errorf("builder with open values: %d values, depth %d, inside %v", b.Len(), b.Depth(), b.Inside())
	}
	b.Int(Span{}, -1)
	b.Double(Span{}, 0.5)
	b.Null(Span{})
	b.Close()
	if b.Inside() != Struct {
		t.Errorf("inside %v after an array was closed, want %v", b.Inside(), Struct)
	}
	b.Text(Bytes, Span{}, Span{8, 4})
	b.Close()
	if got, want := show(b.Finish(text)), `struct(name="text" name=array(-1 0.5 null) "rest")`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBuilderRecords(t *testing.T) {
	for n, want := range []string{"array()", "7", "array(7 7)"} {
		b := NewBuilder(n)
		for range n {
			b.Int(Span{}, 7)
		}
		if got := show(b.Finish("")); got != want {
			t.Errorf("%d records: got %s, want %s", n, got, want)
		}
	}
	// A single record with children.
	b := NewBuilder(0)
	b.Open(Array, Span{})
	b.Int(Span{}, 7)
	b.Close()
	if got := show(b.Finish("")); got != "array(7)" {
		t.Errorf("got %v", got)
	}
}

// TestCloseList checks that an array of structs with one named value each becomes a
// struct.
func TestCloseList(t *testing.T) {
	const text = "ab"
	a, b := Span{0, 1}, Span{1, 1}
	// element adds a struct with these names; each value is a list.
	element := func(bl *Builder, names ...Span) {
		bl.Open(Struct, Span{})
		for _, name := range names {
			bl.Open(Array, name)
			bl.Open(Struct, Span{})
			bl.Int(a, 1)
			bl.Close()
			bl.Open(Struct, Span{})
			bl.Int(b, 2)
			bl.Close()
			bl.CloseList()
		}
		bl.Close()
	}
	const inner = "list(a=1 b=2)"
	for _, test := range []struct {
		fill func(bl *Builder)
		want string
	}{
		{func(*Builder) {}, "array()"},
		{func(bl *Builder) { bl.Int(Span{}, 7) }, "array(7)"},
		{func(bl *Builder) { element(bl, a) }, "list(a=" + inner + ")"},
		{func(bl *Builder) { element(bl, a); element(bl, a); element(bl, b) }, "list(a=" + inner + " a=" + inner + " b=" + inner + ")"},
		{func(bl *Builder) { element(bl, a); element(bl, a, b) }, "array(struct(a=" + inner + ") struct(a=" + inner + " b=" + inner + "))"},
		{func(bl *Builder) { element(bl, a); element(bl) }, "array(struct(a=" + inner + ") struct())"},
		{func(bl *Builder) { element(bl, a); bl.Null(Span{}) }, "array(struct(a=" + inner + ") null)"},
		{func(bl *Builder) { element(bl, Span{}) }, "array(struct(" + inner + "))"},
	} {
		bl := NewBuilder(0)
		bl.Open(Struct, Span{})
		bl.Open(Array, b)
		test.fill(bl)
		bl.CloseList()
		bl.Int(a, 3) // the next value is after the list
		bl.Close()
		if got, want := show(bl.Finish(text)), "struct(b="+test.want+" a=3)"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestZeroNode(t *testing.T) {
	var n Node
	if n.Exists() || n.Kind() != Absent || n.HasName() || n.Name() != "" {
		t.Error("the zero Node is not absent")
	}
	if at, end := n.Inside(); at < end {
		t.Error("the zero Node has children")
	}
}

// show returns a value as text.
func show(n Node) string {
	text := ""
	if n.HasName() {
		text = n.Name() + "="
	}
	switch n.Kind() {
	case Int:
		return text + strconv.FormatInt(n.Int(), 10)
	case Double:
		return text + strconv.FormatFloat(n.Double(), 'g', -1, 64)
	case String, Bytes:
		return text + strconv.Quote(n.Text())
	case Struct:
		if n.IsList() {
			return text + "list(" + showChildren(n) + ")"
		}
		return text + "struct(" + showChildren(n) + ")"
	case Array:
		return text + "array(" + showChildren(n) + ")"
	default:
		return text + "null"
	}
}

func showChildren(n Node) string {
	var all []string
	for at, end := n.Inside(); at < end; at = n.After(at) {
		all = append(all, show(n.At(at)))
	}
	return strings.Join(all, " ")
}

func TestTooLongNamePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a name longer than LongestName was accepted")
		}
	}()
	NewBuilder(1).Null(Span{Len: LongestName + 1})
}
