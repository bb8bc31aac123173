package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// IsTerminal reports whether a file is a terminal, or another device.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Output returns a writer to out for lines that may have text of a server. If out is a
// terminal, the characters that Printable escapes are escaped, except line feeds.
func Output(out *os.File) io.Writer {
	if IsTerminal(out) {
		return &printableWriter{out: out}
	}
	return out
}

// printableWriter escapes what is written to it, except line feeds.
type printableWriter struct {
	out  io.Writer
	rest []byte // beginning of a character whose end has not been written yet
}

// Write implements io.Writer.
func (w *printableWriter) Write(p []byte) (int, error) {
	text := slices.Concat(w.rest, p)
	end := len(text) - incomplete(text)
	w.rest = slices.Clone(text[end:])
	lines := strings.Split(string(text[:end]), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	if _, err := io.WriteString(w.out, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// incomplete returns the number of bytes at the end of a text that are the beginning of
// a character.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
