package collector

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
)

// TestCollectorsOnlyRead looks up the calls of all collectors in the table of methods: auto calls no method whose cost grows with
// the traffic, and no collector calls a method that changes something.
func TestCollectorsOnlyRead(t *testing.T) {
	settings := Settings{
		DialogProfiles: []DialogProfile{{Name: "all"}}, HtableKeys: []HtableKey{{Table: "a", Key: "b"}}, SharedVariables: []string{"x"}, KafkaTopics: []string{"x"}, StatsGroups: []string{"all"},
	}
	for _, c := range All {
		for _, call := range c.Calls(settings) {
			known, ok := rpcmethods.Lookup(call.Method)
			effect := known.With(call.Args...)
			if !ok || effect != rpcmethods.Reads && (c.Auto && c.Setting == "" || effect != rpcmethods.Costly) {
				t.Errorf("%s, which auto calls: %t, is known: %t, has the effect %s", call, c.Auto, ok, effect)
			}
		}
	}
}
