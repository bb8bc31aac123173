package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
)

// TestManPage prints a whole manual page, with flags, arguments and characters that must be escaped.
func TestManPage(t *testing.T) {
	var out bytes.Buffer
	app := New("calls", "Calls a method. Flags come first.")
	app.UsageWriter(&out)
	app.Flag("log-file", `.log or C:\log.`).Short('l').Default("a-b").String()
	app.Flag("quiet", "'Nothing' is printed.").Bool()
	app.Arg("method", "Name of the method.").Required().String()
	app.Arg("arguments", "Its arguments.").Strings()
	parsed, err := app.ParseContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	// --help-man does the same, and prints to standard output.
	if err := app.UsageForContextWithTemplate(parsed, 2, kingpin.ManPageTemplate); err != nil {
		t.Fatal(err)
	}
	const want = `.TH calls 1 "" kamailio_exporter
.SH NAME
calls \- Calls a method
.SH SYNOPSIS
.B calls
[\fIflags\fR] \fImethod\fR [\fIarguments\fR]
.SH DESCRIPTION
Calls a method. Flags come first.
.TP
.I method
Name of the method.
.TP
.I arguments
Its arguments.
.SH OPTIONS
.TP
.B \-h, \-\-help
Show this help.
.TP
.B \-\-version
Show the version.
.TP
.B \-l, \-\-log\-file="a\-b"
\&.log or C:\elog.
.TP
.B \-\-quiet
\&'Nothing' is printed.
.SH SEE ALSO
https://github.com/kamailio\-exporter/kamailio_exporter
`
	if got := strings.TrimSpace(out.String()) + "\n"; got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
}
