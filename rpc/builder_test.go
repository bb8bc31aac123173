package rpc

import (
	"math"
	"testing"
)

func TestBuilder(t *testing.T) {
	const text = "nametextrest"
	name, content := Span{0, 4}, Span{4, 4}
	b := NewBuilder(-1) // room is made as needed
	if b.Len() != 0 || b.Depth() != 0 || b.Inside() != Absent {
		t.Errorf("a new builder has %d values, depth %d, inside %v", b.Len(), b.Depth(), b.Inside())
	}
	b.Open(Struct, Span{})
	b.Text(String, name, content)
	b.Open(Array, name)
	if b.Len() != 3 || b.Depth() != 2 || b.Inside() != Array {
		t.Errorf("there are %d values, depth %d, inside %v", b.Len(), b.Depth(), b.Inside())
	}
	b.Int(Span{}, -1)
	b.Double(Span{}, 0.5)
	b.Null(Span{})
	b.Close()
	if b.Inside() != Struct {
		t.Errorf("inside %v after the end of an array", b.Inside())
	}
	b.Text(Bytes, Span{}, Span{8, 4})
	b.Close()
	if got, want := b.Finish(text).String(), `{"name":"text","name":[-1,0.5,null],"":"rest"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBuilderRecords(t *testing.T) {
	for n, want := range []string{"[]", "7", "[7,7]"} {
		b := NewBuilder(n)
		for range n {
			b.Int(Span{}, 7)
		}
		if got := b.Finish("").String(); got != want {
			t.Errorf("%d records: got %s, want %s", n, got, want)
		}
	}
	// One record that is followed by none, though it has members.
	b := NewBuilder(0)
	b.Open(Array, Span{})
	b.Int(Span{}, 7)
	b.Close()
	if v := b.Finish(""); v.Kind() != Array || v.Len() != 1 {
		t.Errorf("got %v", v)
	}
}

func TestNamesAreShorterThanHalfAGigabyte(t *testing.T) {
	if size := (Limits{Size: math.MaxInt}).WithDefaults().Size; size != 1<<29-1 {
		t.Errorf("a reply may have %d bytes", size)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name that does not fit was taken")
		}
	}()
	NewBuilder(1).Null(Span{Len: 1 << 29})
}
