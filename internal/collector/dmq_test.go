package collector

import (
	"slices"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestDMQStates(t *testing.T) {
	for _, state := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
		t.Run(state, func(t *testing.T) {
			got, skips := collect(t, dmqListNodes, reply(t, dmqNodeWith("tls", state)))
			want := []string{`kamailio_dmq_list_nodes_node{host="h",local="0",port="1",status="` + state + `"} 1`,
				`kamailio_dmq_node_consecutive_timeouts{host="h",port="1",proto="tls"} 3`}
			for _, s := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
				value := "0"
				if s == state {
					value = "1"
				}
				want = append(want, `kamailio_dmq_node_state{host="h",port="1",proto="tls",state="`+s+`"} `+value)
			}
			checkSamples(t, got, want...)
			checkSkips(t, skips)
		})
	}
}

func TestUnknownDMQState(t *testing.T) {
	got, skips := collect(t, dmqListNodes, reply(t, rpc.Members{
		{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "status", Value: "asleep"}, {Name: "local", Value: 1},
	}))
	checkSamples(t, got, `kamailio_dmq_list_nodes_node{host="h",local="1",port="1",status="asleep"} 1`)
	checkSkips(t, skips, metric.Skip{Collector: "dmq.list_nodes", Reason: metric.BadValue, Count: 1, Example: "status is unknown"})
}

func dmqNodeWith(proto, status string) rpc.Members {
	return rpc.Members{
		{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "proto", Value: proto}, {Name: "resolved_ip", Value: "192.0.2.1"},
		{Name: "status", Value: status}, {Name: "last_notification", Value: 0}, {Name: "local", Value: 0}, {Name: "fail_count", Value: 3},
	}
}

// TestDMQNodesThatDifferInProtocol checks that each node has its states, and the series of v0 to v2 exists once for each status.
func TestDMQNodesThatDifferInProtocol(t *testing.T) {
	got, skips := collect(t, dmqListNodes, reply(t, dmqNodeWith("udp", "active"), dmqNodeWith("tcp", "active"), dmqNodeWith("tls", "disabled")))
	for _, want := range []string{
		`kamailio_dmq_list_nodes_node{host="h",local="0",port="1",status="active"} 1`,
		`kamailio_dmq_list_nodes_node{host="h",local="0",port="1",status="disabled"} 1`,
		`kamailio_dmq_node_consecutive_timeouts{host="h",port="1",proto="udp"} 3`,
		`kamailio_dmq_node_consecutive_timeouts{host="h",port="1",proto="tcp"} 3`,
		`kamailio_dmq_node_state{host="h",port="1",proto="udp",state="active"} 1`,
		`kamailio_dmq_node_state{host="h",port="1",proto="tcp",state="active"} 1`,
		`kamailio_dmq_node_state{host="h",port="1",proto="tls",state="active"} 0`,
		`kamailio_dmq_node_state{host="h",port="1",proto="tls",state="disabled"} 1`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	if len(got) != 2+3*(1+len(dmqStates)) {
		t.Errorf("samples %q", got)
	}
	checkSkips(t, skips)
}

// TestDMQNodeWithoutPort has a node whose URI has no port, which is sent as null.
func TestDMQNodeWithoutPort(t *testing.T) {
	got, skips := collect(t, dmqListNodes, reply(t, rpc.Members{
		{Name: "host", Value: "h"}, {Name: "port", Value: nil}, {Name: "proto", Value: "udp"}, {Name: "status", Value: "active"}, {Name: "local", Value: 0},
	}))
	if !slices.Contains(got, `kamailio_dmq_list_nodes_node{host="h",local="0",port="",status="active"} 1`) ||
		!slices.Contains(got, `kamailio_dmq_node_state{host="h",port="",proto="udp",state="active"} 1`) {
		t.Errorf("samples %q", got)
	}
	checkSkips(t, skips)
}
