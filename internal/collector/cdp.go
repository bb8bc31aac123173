package collector

import (
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/cdp/cdp_rpc.c; source of the
// states: dp_states in peerstatemachine.c; the same in 5.6 and 6.0. Peers is a
// struct in which FQDN and Details alternate. Other settings than the length of the
// queue are not used, and neither is "Last used": routing.c stores seconds or
// microseconds in it, depending on how the peer was chosen, of which 32 bits are
// sent.

// cdpStates are the states of RFC 6733. A peer is up in i_open, if Kamailio opened
// the connection, and in r_open, if the peer opened it.
var cdpStates = []string{
	"closed", "closing", "i_open", "r_open", "wait_conn_ack", "wait_conn_ack_elect", "wait_i_cea", "wait_returns",
}

var (
	cdpPeerState = gauge("kamailio_cdp_peer_state",
		"1 for the state that the Diameter peer is in, 0 for the others. Field Peers.Details.State of cdp.list_peers.", "peer", "state")
	cdpPeerDisabled = gauge("kamailio_cdp_peer_disabled",
		"1 if the Diameter peer is disabled, 0 if not. Field Peers.Details.Disabled of cdp.list_peers.", "peer")
	cdpQueue = field{name: "Queue length", desc: gauge("kamailio_cdp_queue_max_length",
		"Maximum number of Diameter messages that wait for a worker, see kamailio_cdp_queue_length. Field Queue length of cdp.list_peers.")}
)

var cdpListPeers = &Collector{
	Method:  "cdp.list_peers",
	Module:  "cdp",
	Help:    "state of Diameter peers, 9 series for each peer, and the limit of the queue",
	Auto:    true,
	Metrics: []*metric.Desc{cdpPeerState, cdpPeerDisabled, cdpQueue.desc},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		addNumbers(out, []field{cdpQueue}, reply.Value, nil)
		peer := ""
		for member := range reply.Value.Get("Peers").All() {
			switch member.Name() {
			case "FQDN":
				peer = member.Text()
			case "Details":
				collectPeer(out, peer, member)
				peer = "" // the next one has its own name
			}
		}
	}),
}

func collectPeer(out *metric.Writer, peer string, details rpc.Value) {
	if peer == "" {
		out.Skip(metric.BadValue, "FQDN is missing")
		return
	}
	if v := details.Get("State"); v.Exists() {
		now := strings.ToLower(v.Text())
		if !slices.Contains(cdpStates, now) {
			out.Skip(metric.BadValue, "State is unknown")
		} else {
			for _, state := range cdpStates {
				out.Add(cdpPeerState, is(state == now), peer, state)
			}
		}
	}
	if v := details.Get("Disabled"); v.Exists() {
		switch v.Text() {
		case "True", "False":
			out.Add(cdpPeerDisabled, is(v.Text() == "True"), peer)
		default:
			out.Skip(metric.BadValue, "Disabled is unknown")
		}
	}
}
