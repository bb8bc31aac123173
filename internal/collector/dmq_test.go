package collector

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestDMQStates(t *testing.T) {
	for _, state := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
		t.Run(state, func(t *testing.T) {
			got, skips := collect(t, dmqListNodes, reply(t, rpc.Members{
				{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "status", Value: state}, {Name: "local", Value: 0},
			}))
			want := []string{`kamailio_dmq_list_nodes_node{host="h",local="0",port="1",status="` + state + `"} 1`}
			for _, s := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
				value := "0"
				if s == state {
					value = "1"
				}
				want = append(want, `kamailio_dmq_node_state{host="h",port="1",state="`+s+`"} `+value)
			}
			checkSamples(t, got, want...)
			checkSkips(t, skips)
		})
	}
}

func TestDMQStateOfAnotherVersion(t *testing.T) {
	got, skips := collect(t, dmqListNodes, reply(t, rpc.Members{
		{Name: "host", Value: "h"}, {Name: "port", Value: "1"}, {Name: "status", Value: "asleep"}, {Name: "local", Value: 1},
	}))
	checkSamples(t, got, `kamailio_dmq_list_nodes_node{host="h",local="1",port="1",status="asleep"} 1`)
	checkSkips(t, skips, metric.Skip{Collector: "dmq.list_nodes", Reason: metric.BadValue, Count: 1, Example: "status is unknown"})
}
