package check

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// state says what a line is about.
type state string

// The states of lines.
const (
	ok     state = "ok"     // works
	note   state = "note"   // is no fault
	change state = "change" // what the user can do
	failed state = "failed" // does not work
	row    state = "row"    // is a line of a table
	copied state = "copied" // is a line of a file that the user can copy
)

// section is one step of a report.
type section struct {
	title string
	lines []line
	hint  string // the last one of addHint
}

type line struct {
	state state
	text  string
}

// add adds a line. An empty text adds nothing.
func (s *section) add(state state, text string) {
	if text != "" {
		s.addLine(state, strings.ReplaceAll(text, "\n", "; ")) // errors.Join puts one error on a line
	}
}

// addHint adds what the user can do about the line above. It adds nothing if the last hint was the same, because problems with one
// cause follow each other.
func (s *section) addHint(hint string) {
	if hint != s.hint {
		s.add(change, capital(hint))
		s.hint = hint
	}
}

// addLine adds a line as write prints it. It escapes characters that a terminal could act on, and keeps no memory of a reply: most
// texts contain texts of a server, and a report may have to wait for those of other targets.
func (s *section) addLine(state state, text string) {
	s.lines = append(s.lines, line{state, cli.PrintableUpTo(text, maxText)})
}

// addLines adds the lines of a table or of a file.
func (s *section) addLines(state state, text string) {
	for text := range strings.Lines(text) {
		s.addLine(state, strings.TrimSuffix(text, "\n"))
	}
}

// capital returns a text with a capital letter at the start. Hints begin with a small one. The name ctl stays as it is.
func capital(text string) string {
	if text == "" || strings.HasPrefix(text, "ctl ") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

const (
	// width is the maximum length of a line, in characters, except for words that are longer.
	width = 100
	// stateWidth is the width of the column of states, with the spaces around it.
	stateWidth = 10
	// maxText is the maximum length of a text, in bytes. A server's text may be longer.
	maxText = 2048
)

// write writes sections, with numbers if there is a title above them.
func write(out io.Writer, title string, sections []section) error {
	var b strings.Builder
	if title != "" {
		fmt.Fprintln(&b, cli.PrintableUpTo(title, maxText))
	}
	for i, s := range sections {
		if title != "" {
			fmt.Fprintf(&b, "\n%d. %s\n", i+1, s.title)
		} else {
			fmt.Fprintf(&b, "%s\n", s.title)
		}
		for _, l := range s.lines {
			writeLine(&b, l)
		}
		if title == "" && i < len(sections)-1 {
			b.WriteString("\n")
		}
	}
	if title != "" {
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeLine writes a line, in several ones if it is long. The lines of tables and files are not split.
func writeLine(b *strings.Builder, l line) {
	switch l.state {
	case row:
		b.WriteString(strings.TrimRight("   "+l.text, " ") + "\n")
		return
	case copied:
		b.WriteString(l.text + "\n")
		return
	}
	fmt.Fprintf(b, "   %-*s", stateWidth-3, l.state)
	column := stateWidth
	for i, word := range strings.Fields(l.text) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > width:
			b.WriteString("\n" + strings.Repeat(" ", stateWidth))
			column = stateWidth
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += length
	}
	b.WriteString("\n")
}
