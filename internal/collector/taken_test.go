package collector

import "testing"

// TestNamesOfOwnFamiliesAreTaken compares names as both text formats write them.
func TestNamesOfOwnFamiliesAreTaken(t *testing.T) {
	for name, want := range map[string]bool{
		"kamailio_up":                       true,
		"kamailio_up_total":                 true, // its family is kamailio_up in OpenMetrics
		"kamailio_core_uptime_uptime":       true, // as that of kamailio_core_uptime_uptime_total
		"kamailio_core_uptime_uptime_total": true,
		"kamailio_my_calls_total":           false,
		"my_total":                          false,
		"go_things":                         true,
	} {
		if IsTaken(name) != want {
			t.Errorf("%s is taken: %t", name, !want)
		}
	}
}
