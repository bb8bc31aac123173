package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrintableWriter writes a text with characters of one to four bytes in pieces of each size.
func TestPrintableWriter(t *testing.T) {
	const text = "a{b=\"\x1b[2J\u202eäß€😀\tc\"} 1\n\nd\xff\n"
	want := Printable("a{b=\"\x1b[2J\u202eäß€😀\tc\"} 1") + "\n\n" + Printable("d\xff") + "\n"
	for size := 1; size <= len(text); size++ {
		var out strings.Builder
		w := &printableWriter{out: &out}
		for rest := text; rest != ""; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
		if out.String() != want {
			t.Errorf("pieces of %d bytes: got %q, want %q", size, out.String(), want)
		}
	}
}

// TestOutputToAFileIsUnchanged has a file, which a program may read.
func TestOutputToAFileIsUnchanged(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if out := Output(file); out != file {
		t.Errorf("the writer is %T", out)
	}
}
