package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// section says what each method of a module costs, and which methods are not called.
func (m *moduleFacts) section(f *facts) section {
	s := section{title: "Methods"}
	if len(f.scrapes) > 1 || f.target.Name != "" {
		s.title += " of module " + m.module.Name
	}
	if !m.isUp() {
		s.add(note, "No reply, see step 2.")
		return s
	}
	s.addLines(row, m.table())
	if unmeasured := m.unmeasured(); len(unmeasured) > 0 {
		s.add(note, "Not measured, because the time was over: "+strings.Join(unmeasured, ", "))
	}
	m.addProblems(&s)
	if f.target.XHTTPProm != nil && m.problemOf("xhttp_prom") == nil {
		s.add(ok, "The page of "+f.settingName("xhttp_prom_url")+" was read.")
	}
	for _, skip := range m.whole.skips {
		s.add(note, fmt.Sprintf("%s: %d fields were dropped or shortened: %s, for example %s", skip.Collector, skip.Count, skip.Reason, skip.Example))
	}
	if m == &f.scrapes[0] {
		m.addUncalled(&s, f)
	}
	return s
}

// table returns a table of the methods that were called.
func (m *moduleFacts) table() string {
	const all = "all in one scrape"
	width := len(all)
	for _, one := range m.alone {
		width = max(width, len(one.method))
	}
	var b strings.Builder
	fmt.Fprintf(&b, rowFormat, width, "", "time", "bytes", "series")
	for _, one := range m.alone {
		one.writeRow(&b, width, one.method)
	}
	m.again.writeRow(&b, width, all)
	return b.String()
}

// rowFormat is the format of a row of the table.
const rowFormat = "%-*s %12s %9s %7s\n"

// writeRow writes the row of a scrape.
func (s *scraped) writeRow(b *strings.Builder, width int, name string) {
	took := "-"
	if s.took() > 0 {
		took = milliseconds(s.took())
	}
	fmt.Fprintf(b, rowFormat, width, name, took, strconv.Itoa(s.bytes()), strconv.Itoa(s.series))
}

// unmeasured returns the methods that did not fail and were not measured.
func (m *moduleFacts) unmeasured() []string {
	var left []string
	for _, method := range m.whole.details.Methods {
		measured := slices.ContainsFunc(m.alone, func(one scraped) bool { return one.method == method.Method })
		if !measured && m.problemOf(method.Method) == nil {
			left = append(left, method.Method)
		}
	}
	return left
}

// addProblems says which methods fail.
func (m *moduleFacts) addProblems(s *section) {
	problems := slices.Clone(m.whole.details.Problems)
	for _, one := range m.alone {
		if one.details != nil {
			problems = append(problems, one.details.Problems...)
		}
	}
	for _, problem := range problems {
		s.add(failed, describe(problem))
		s.addHint(problem.Hint)
	}
}

// describe returns a problem in one line.
func describe(problem scrape.ProblemDetails) string {
	if len(problem.Collectors) == 0 {
		return problem.Err.Error()
	}
	return strings.Join(problem.Collectors, ", ") + ": " + problem.Err.Error()
}

// addUncalled says which methods Kamailio has that no module of the target calls, and why.
func (m *moduleFacts) addUncalled(s *section, f *facts) {
	setting := func(key string) string { return f.target.SettingName(m.module, key) }
	var partial, unnamed []string
	var costly section
	for _, c := range f.uncalled() {
		switch {
		case c.BINRPCOnly && f.target.URI.Protocol == dial.JSONRPC:
			partial = append(partial, c.Method)
		case c.Setting != "":
			s.add(note, fmt.Sprintf("%s is not called: it needs %s, which names what to read.", c.Method, setting(c.Setting)))
		case !c.Auto:
			costly.add(note, fmt.Sprintf("%s is not called: %s.", c.Method, whyCostly(c)))
		case !m.module.Auto:
			unnamed = append(unnamed, c.Method)
		}
	}
	if len(partial) > 0 {
		s.add(note, "Not called, because Kamailio does not answer them over JSON-RPC, or only in part: "+strings.Join(partial, ", ")+". A socket of ctl has them.")
	}
	if len(unnamed) > 0 {
		s.add(note, fmt.Sprintf("Not called, because %s does not have them: %s", setting("methods"), strings.Join(unnamed, ", ")))
	}
	if len(costly.lines) > 0 {
		s.add(note, "auto does not call these methods, which cost Kamailio more. "+capital(setting("methods"))+" can name them:")
		s.lines = append(s.lines, costly.lines...)
	}
}

// whyCostly returns why auto does not call a method, or what its metrics are if the table of methods does not have the reason.
func whyCostly(c *collector.Collector) string {
	if known, _ := rpcmethods.Lookup(c.Method); known.Note != "" {
		return known.Note
	}
	return "it has the " + strings.TrimPrefix(c.Help, "the ")
}

// uncalled returns the collectors of the methods that Kamailio has and that were not called.
func (f *facts) uncalled() []*collector.Collector {
	called := map[string]bool{}
	for i := range f.scrapes {
		if details := f.scrapes[i].whole.details; details != nil {
			for _, method := range details.Methods {
				called[method.Method] = true
			}
		}
	}
	var left []*collector.Collector
	for _, c := range collector.All {
		if !called[c.Method] && slices.Contains(f.server.methods, c.Method) {
			left = append(left, c)
		}
	}
	return left
}
