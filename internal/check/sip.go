package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// sipSection says which SIP sockets are probed, or could be.
func (f *facts) sipSection() section {
	s := section{title: "SIP"}
	probing := false
	for i := range f.scrapes {
		m := &f.scrapes[i]
		if m.module.SIP == nil || m.whole.details == nil {
			continue
		}
		probing = true
		for _, result := range slices.SortedFunc(slices.Values(m.whole.details.Sockets), bySocket) {
			addProbe(&s, result)
		}
		if len(m.whole.details.Sockets) == 0 {
			s.add(note, fmt.Sprintf("No socket was probed with module %s.", m.module.Name))
		}
	}
	if !probing {
		f.addSocketsToProbe(&s)
	}
	f.addOtherSockets(&s, probing)
	return s
}

// bySocket compares results by their socket.
func bySocket(a, b sipprobe.Result) int { return strings.Compare(a.Socket.String(), b.Socket.String()) }

// addProbe says what a probe of a socket showed.
func addProbe(s *section, result sipprobe.Result) {
	if result.Failure == "" {
		s.add(ok, fmt.Sprintf("%s responded to OPTIONS with %d after %s.", result.Socket, result.Code, milliseconds(result.Response)))
		return
	}
	s.add(failed, fmt.Sprintf("%s did not respond to OPTIONS: %s: %v.", result.Socket, result.Failure, result.Err))
	if result.Failure == sipprobe.Timeout {
		s.add(change, "If calls work, Kamailio's configuration or a firewall drops these requests: let Kamailio answer them, see docs/sip.md. "+
			"If calls fail too, the processes that receive SIP hang or wait: see docs/runbooks/KamailioSIPDead.md.")
	}
}

// addSocketsToProbe says which sockets could be probed.
func (f *facts) addSocketsToProbe(s *section) {
	setting := f.settingName("sip")
	on := setting + "=auto"
	if !strings.HasPrefix(setting, "--") {
		on = "sip: {sockets: auto} in module " + f.target.Modules[0].Name
	}
	switch {
	case f.server.socketsErr != nil:
		s.add(note, fmt.Sprintf("Probes are off. Kamailio does not list its sockets: %v.", f.server.socketsErr))
	case len(f.server.sockets) == 0:
		s.add(note, "Probes are off, and "+on+" would probe no socket. "+setting+" can name sockets.")
	default:
		s.add(note, fmt.Sprintf("Probes are off. With %s, the exporter sends an OPTIONS request in each poll to %s: see docs/sip.md.", on, joined(f.server.sockets)))
	}
}

// addOtherSockets says that auto does not probe all sockets.
func (f *facts) addOtherSockets(s *section, probing bool) {
	auto := slices.ContainsFunc(f.target.Modules, func(m *config.Module) bool { return m.SIP != nil && m.SIP.Auto })
	if f.server.socketsLeft > 0 && (auto || !probing) && len(f.target.SIPSockets) == 0 {
		s.add(note, fmt.Sprintf("auto does not probe %d more sockets: it probes at most %d, whose addresses are those of the target's host. %s can name others.",
			f.server.socketsLeft, config.MaxSIPSockets, f.settingName("sip")))
	}
}

// joined returns the sockets, separated by commas.
func joined(sockets []sipprobe.Socket) string {
	names := make([]string, len(sockets))
	for i, socket := range sockets {
		names[i] = socket.String()
	}
	return strings.Join(names, ", ")
}
