package collector

import (
	"strings"
	"sync"
)

// ownNames returns the names of all families of the collectors.
var ownNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{"kamailio_up": true}
	for _, c := range All {
		for _, desc := range c.Metrics {
			names[desc.Name] = true
		}
	}
	return names
})

// IsTaken reports whether one of the exporter's own families can have a name, or a name that differs only in the ending that a
// counter or a histogram adds. A user's family must not have it.
func IsTaken(name string) bool {
	for _, prefix := range []string{"go_", "process_", "promhttp_", "kamailio_exporter_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	own := ownNames()
	// In OpenMetrics, a counter's family is named without the ending of its samples.
	base := strings.TrimSuffix(name, "_total")
	return own[base] || own[base+"_total"] || own[name+"_count"] || own[name+"_sum"] || own[name+"_bucket"]
}
