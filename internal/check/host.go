package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// hostSection says whether processes and sockets of Kamailio are visible on this host.
func (f *facts) hostSection() section {
	s := section{title: "Host"}
	for i := range f.scrapes {
		if details := f.scrapes[i].whole.details; details != nil && details.Host != nil {
			addHost(&s, details.Host)
			return s // the other modules see the same
		}
	}
	f.addHostOff(&s)
	return s
}

// addHost says what was read of the host, and what to change to read the rest.
func addHost(s *section, h *scrape.HostDetails) {
	if h.Processes > 0 {
		s.add(ok, fmt.Sprintf("%d of %d processes of Kamailio are visible.", h.Processes, h.Listed))
	}
	if len(h.Stopped) > 0 {
		s.add(failed, fmt.Sprintf("Processes that a signal or a debugger stopped: %d (%s).", len(h.Stopped), strings.Join(slices.Compact(slices.Sorted(slices.Values(h.Stopped))), ", ")))
		s.add(change, "They do nothing until they are continued: end the debugger, or find their PID with kamcmd core.psx and run kill -CONT PID.")
	}
	if h.Sockets > 0 {
		s.add(ok, fmt.Sprintf("The queues of %d sockets of Kamailio are visible.", h.Sockets))
	}
	missing := note
	if h.Asked {
		missing = failed
	}
	for _, problem := range h.Problems {
		s.add(missing, capital(problem.Err.Error())+".")
		s.addHint(problem.Hint)
	}
	if len(s.lines) == 0 {
		s.add(missing, "No process and no socket of Kamailio is visible on this host.")
	}
}

// addHostOff says how to show processes and sockets.
func (f *facts) addHostOff(s *section) {
	switch {
	case !host.Supported:
		s.add(note, "Processes and sockets of Kamailio can be shown on Linux only.")
	case f.target.URI.Network != "unix":
		s.add(note, "Processes and sockets of Kamailio can be shown if it runs on this host and "+f.settingName("uri")+" is a unix: socket of ctl: see docs/sip.md.")
	default:
		s.add(note, "Processes and sockets of Kamailio are not read. "+capital(f.settingName("host"))+" can switch that on: see docs/sip.md.")
	}
}
