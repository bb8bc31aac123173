package collector

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestTwins checks that the families of both tables exist, and that no preferred family is itself replaced.
func TestTwins(t *testing.T) {
	families := map[string]*metric.Desc{}
	for _, c := range All {
		for _, desc := range c.Metrics {
			families[desc.Name] = desc
		}
	}
	for _, twins := range []map[string]string{legacyTwins, otherTwins} {
		for name, preferred := range twins {
			switch {
			case families[name] == nil || families[name].Preferred != preferred:
				t.Errorf("%s does not exist or does not name %s", name, preferred)
			case families[preferred] == nil || families[preferred].Preferred != "":
				t.Errorf("%s does not exist or is itself replaced", preferred)
			}
		}
	}
}

// TestNoLegacyStatistics names stats.fetch and selects all statistics. Those with a family of their own have no legacy series.
func TestNoLegacyStatistics(t *testing.T) {
	settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"all"}, NoLegacySeries: true}
	set := metric.NewSet()
	answer := Reply{Reply: reply(t, rpc.Members{{Name: "core.rcv_requests", Value: "1"}, {Name: "script.my", Value: "2"}})}
	if err := statsFetch.Collect(set, settings, []Reply{answer}); err != nil {
		t.Fatal(err)
	}
	checkSamples(t, samples(t, set),
		`kamailio_core_received_messages_total{type="request"} 1`,
		`kamailio_stats_fetch_value{group="script",name="my"} 2`,
	)
}
