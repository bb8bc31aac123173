package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Printable returns s with every character escaped that a terminal could act on
// or that changes how other characters are shown: escape sequences and other
// control characters, line breaks, marks of the writing direction, and whatever
// else [strconv.IsPrint] does not accept. A byte that is not UTF-8 becomes U+FFFD.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// PrintableJSON returns valid JSON that means the same as text, in which every
// character is escaped that Printable escapes, except line feeds.
func PrintableJSON(text []byte) []byte {
	var b []byte
	for _, r := range string(text) {
		switch {
		case strconv.IsPrint(r), r == '\n':
			b = append(b, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
