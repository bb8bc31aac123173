package cli

import (
	"strings"
	"text/template"
)

// manPage is the template for --help-man. kingpin's own template lacks the arguments, and
// the form of NAME that apropos needs.
const manPage = `.TH {{.App.Name}} 1 "" kamailio_exporter
.SH NAME
{{.App.Name}} \- {{.App.Help|Summary|Roff}}
.SH SYNOPSIS
.B {{.App.Name}}
[\fIflags\fR]{{range .App.Args}} {{if .Required}}\fI{{.Name}}\fR{{else}}[\fI{{.Name}}\fR]{{end}}{{end}}
.SH DESCRIPTION
{{.App.Help|Roff}}
{{- range .App.Args}}
.TP
.I {{.Name}}
{{.Help|Roff}}
{{- end}}
.SH OPTIONS
{{- range .App.Flags}}
{{- if not .Hidden}}
.TP
.B {{if .Short}}\-{{.Short|Char}}, {{end}}\-\-{{.Name|Roff}}{{if not .IsBoolFlag}}={{.FormatPlaceHolder|Roff}}{{end}}
{{.Help|Roff}}
{{- end}}
{{- end}}
.SH SEE ALSO
https://github.com/kamailio\-exporter/kamailio_exporter
`

// manPageFuncs has the functions of manPage that kingpin does not define.
var manPageFuncs = template.FuncMap{
	"Roff":    roff,
	"Summary": summary,
}

// roff escapes the characters of a text that are commands of roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// summary returns the first sentence of a help without its full stop.
func summary(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}
