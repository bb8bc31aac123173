package scrape

import (
	"cmp"
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// sipDesc returns a family of SIP sockets.
func sipDesc(name, help string, labels ...string) *metric.Desc {
	labels = append(labels, "socket", "transport")
	slices.Sort(labels)
	return &metric.Desc{Name: "kamailio_sip_" + name, Type: metric.Gauge, Help: help, Labels: labels}
}

// The families of the probes of SIP sockets.
var (
	sipUp   = sipDesc("up", "1 if a SIP response to an OPTIONS request arrived from the socket, whatever its code is, 0 if not.")
	sipTime = sipDesc("response_seconds", "Seconds from the first OPTIONS request to the SIP response.")
	sipCode = sipDesc("response_code", "Status code of the SIP response.")
	sipSent = sipDesc("retransmissions", "Number of times that the OPTIONS request was sent again, over UDP.")
	sipConn = sipDesc("connect_seconds", "Seconds that connecting took for the connection in use, over TCP and TLS.")
	sipTLS  = sipDesc("handshake_seconds", "Seconds that the TLS handshake took for the connection in use.")
	sipEnd  = sipDesc("certificate_expiry_timestamp_seconds", "Unix time of the earliest end of validity of the certificates that the socket sent.")
	sipInfo = sipDesc("tls_info", "Always 1. The label version is the version of TLS.", "version")
	sipFail = sipDesc("failure", "1 for the reason why kamailio_sip_up is 0; 0 for all other reasons, and for all reasons if kamailio_sip_up is 1.", "reason")
)

// SIPMetrics returns the families of the probes of SIP sockets.
func SIPMetrics() []*metric.Desc {
	return []*metric.Desc{sipUp, sipTime, sipCode, sipSent, sipConn, sipTLS, sipEnd, sipInfo, sipFail}
}

// sipResult has the probes of a poll that have ended.
type sipResult struct {
	over   bool // no more probes end
	probes []sipprobe.Result
	left   int // number of sockets that Kamailio listed and that are not probed
}

// AddTo implements Result. The probes do not affect kamailio_up, which is about RPC.
func (r sipResult) AddTo(set *metric.Set) summary {
	probes := slices.SortedFunc(slices.Values(r.probes), func(a, b sipprobe.Result) int {
		return cmp.Compare(a.Socket.String(), b.Socket.String())
	})
	for _, probe := range probes {
		addProbe(set, probe)
	}
	return summary{sip: probes}
}

// addProbe adds the samples of a probe. What was not measured has no sample.
func addProbe(set *metric.Set, p sipprobe.Result) {
	socket, transport := p.Socket.Address(), p.Socket.Transport
	set.Add(sipUp, value(p.Failure == ""), socket, transport)
	if p.Failure == "" {
		set.Add(sipTime, p.Response.Seconds(), socket, transport)
		set.Add(sipCode, float64(p.Code), socket, transport)
	}
	if transport == "udp" {
		set.Add(sipSent, float64(p.Retransmissions), socket, transport)
	}
	if p.Connect > 0 {
		set.Add(sipConn, p.Connect.Seconds(), socket, transport)
	}
	if p.Handshake > 0 {
		set.Add(sipTLS, p.Handshake.Seconds(), socket, transport)
	}
	if !p.Expiry.IsZero() {
		set.Add(sipEnd, float64(p.Expiry.Unix()), socket, transport)
	}
	if p.TLSVersion != "" {
		set.Add(sipInfo, 1, socket, transport, p.TLSVersion)
	}
	for _, failure := range sipprobe.Failures {
		set.Add(sipFail, value(p.Failure == failure), string(failure), socket, transport)
	}
}

// Describe implements Result.
func (r sipResult) Describe(s *story) {
	s.line("SIP: %d sockets probed, %d listed sockets are not on the target's host and not in the configuration", len(r.probes), r.left)
	for _, p := range r.probes {
		if p.Failure != "" {
			s.line("  %s: %s, %d retransmissions", p.Socket, p.Failure, p.Retransmissions)
			s.problem(p.Err, "")
			continue
		}
		s.line("  %s: %d after %s, %d retransmissions", p.Socket, p.Code, p.Response.Round(time.Microsecond), p.Retransmissions)
	}
	if !r.over {
		s.line("  not complete yet")
	}
}
