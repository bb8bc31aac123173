package check

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
)

// reason returns the reason why kamailio_up would be 0, "" if it would be 1.
func (m *moduleFacts) reason() string {
	if m.whole.err != nil {
		return "other"
	}
	return m.whole.details.Reason
}

// replySection says whether Kamailio replies.
func (f *facts) replySection() section {
	s := section{title: "Reply"}
	if f.server == nil {
		f.addOutage(&s, &f.scrapes[0])
		s.add(note, "The other steps of the check need a reply.")
		return s
	}
	text := fmt.Sprintf("Kamailio replies by %s over %s.", protocolName(f.target.URI), transportName(f.target.URI))
	if f.server.next > 0 {
		text += fmt.Sprintf(" The first reply arrived after %s, the next one after %s.", milliseconds(f.server.first), milliseconds(f.server.next))
	}
	s.add(ok, text)
	if f.server.first == 0 {
		s.add(failed, fmt.Sprintf("A second connection got no reply: %v.", f.server.version.Err))
		s.add(change, f.hintOn(f.server.version.Err))
	}
	if f.server.version.Err == nil {
		s.add(note, "Its version is "+strings.TrimSpace(f.server.version.Value.Text())+".")
	}
	if seconds, known := f.server.uptime.Value.Get("uptime").Int(); known && f.server.uptime.Err == nil && seconds >= 0 && seconds <= maxUptime {
		s.add(note, fmt.Sprintf("It started %s ago.", age(time.Duration(seconds)*time.Second)))
	}
	for i := range f.scrapes {
		f.addOutage(&s, &f.scrapes[i])
	}
	return s
}

// addOutage says why kamailio_up would be 0 with a module.
func (f *facts) addOutage(s *section, m *moduleFacts) {
	of := ""
	if len(f.scrapes) > 1 {
		of = " with module " + m.module.Name
	}
	switch {
	case m.isUp():
		return
	case m.whole.err != nil:
		s.add(failed, fmt.Sprintf("The scrape%s failed: %v.", of, m.whole.err))
		return
	}
	for _, problem := range m.whole.details.Problems {
		s.add(failed, fmt.Sprintf("The calls%s failed: %v.", of, problem.Err))
		s.addHint(problem.Hint)
	}
	if len(m.whole.details.Problems) == 0 {
		s.add(failed, fmt.Sprintf("No reply%s arrived in time.", of))
	}
	s.add(note, "The reason is "+m.reason()+": see the section of this name in docs/troubleshooting.md.")
}

// maxUptime is the highest number of seconds that a time.Duration can have.
const maxUptime = int64(math.MaxInt64 / time.Second)

// milliseconds returns a time in milliseconds.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// age returns a time in days or in hours, minutes and seconds.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// modulesSection says which Kamailio modules are loaded.
func (f *facts) modulesSection() section {
	s := section{title: "Kamailio modules"}
	if f.server.methodsErr != nil {
		s.add(failed, fmt.Sprintf("Kamailio does not list its methods: %v. The exporter tries those of auto one by one.", f.server.methodsErr))
		s.add(change, f.hintOn(f.server.methodsErr))
	}
	loaded := f.loadedModules()
	if len(loaded) == 0 {
		s.add(note, "Kamailio does not say which modules are loaded.")
		return s
	}
	var with, without []string
	for _, module := range loaded {
		if slices.ContainsFunc(collector.All, func(c *collector.Collector) bool { return c.Module == module }) {
			with = append(with, module)
		} else {
			without = append(without, module)
		}
	}
	if len(with) > 0 {
		s.add(ok, "Loaded, with methods that the exporter can call: "+strings.Join(with, ", "))
	}
	if len(without) > 0 {
		statistics := ""
		if slices.Contains(loaded, "kex") {
			statistics = ", but stats.fetch has the statistics of some"
		}
		s.add(note, "Loaded, without such methods"+statistics+": "+strings.Join(without, ", "))
	}
	f.addModulesToLoad(&s, loaded)
	return s
}

// loadedModules returns the names of the loaded Kamailio modules, sorted: those of core.modules, or those that the names of its
// methods show.
func (f *facts) loadedModules() []string {
	var loaded []string
	if f.server.modules.Err == nil {
		for name := range f.server.modules.Value.Rows() {
			loaded = append(loaded, name.Text())
		}
	}
	if len(loaded) == 0 {
		for _, method := range f.server.methods {
			if known, ok := rpcmethods.Lookup(method); ok && known.Module != "core" && !strings.Contains(known.Module, ",") {
				loaded = append(loaded, known.Module)
			}
		}
	}
	slices.Sort(loaded)
	return slices.Compact(loaded)
}

// addModulesToLoad says which Kamailio modules, or which settings, would add metrics.
func (f *facts) addModulesToLoad(s *section, loaded []string) {
	if !slices.Contains(loaded, "kex") {
		s.add(change, `kex is not loaded. stats.fetch, which has most of the series, and pkg.stats need it: add loadmodule "kex.so" to Kamailio's configuration, and restart Kamailio.`)
	}
	if slices.Contains(loaded, "xhttp_prom") && f.target.XHTTPProm == nil {
		s.add(note, "xhttp_prom is loaded. If Kamailio's configuration defines metrics with it, "+f.settingName("xhttp_prom_url")+" adds them.")
	}
}

// settingName returns the user's name of a setting of the target or of its first module.
func (f *facts) settingName(key string) string {
	return f.target.SettingName(f.target.Modules[0], key)
}
