package collector

import (
	"strings"
	"sync"
)

// otherNames are the names of families that are not those of a collector.
var otherNames = []string{
	"kamailio_up", "kamailio_sip_up", "kamailio_sip_response_seconds", "kamailio_sip_response_code", "kamailio_sip_retransmissions", "kamailio_sip_connect_seconds",
	"kamailio_sip_handshake_seconds", "kamailio_sip_certificate_expiry_timestamp_seconds", "kamailio_sip_tls_info", "kamailio_sip_failure",
	"kamailio_process_cpu_seconds_total", "kamailio_process_states", "kamailio_process_resident_anonymous_memory_bytes", "kamailio_process_context_switches_total",
	"kamailio_socket_receive_queue_bytes", "kamailio_socket_dropped_packets_total", "kamailio_socket_accept_queue",
}

// ownNames returns the names of all families of the collectors.
var ownNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, name := range otherNames {
		names[name] = true
	}
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
