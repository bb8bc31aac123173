package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable escapes the characters of s that [strconv.IsPrint] does not accept. Among
// them are all characters that a terminal could act on or that change how other
// characters are shown: control characters, line breaks, and marks of the writing
// direction. A byte that is not UTF-8 becomes U+FFFD.
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

// PrintableUpTo is Printable for the first limit bytes of s. If s is longer, an ellipsis
// follows them. It does not split a character.
func PrintableUpTo(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit] + "…"
	}
	return Printable(s)
}

// PrintableJSON escapes the characters of a JSON text that Printable escapes, except line
// feeds. text must be valid JSON; the result has the same value.
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
