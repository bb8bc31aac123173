package collector

import (
	"maps"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// legacyTwins maps each family of v0 to v2 that was replaced to the newer family.
// Kamailio computes both from the same numbers.
var legacyTwins = map[string]string{
	"kamailio_core_shmmem_total":                    "kamailio_shmem_total_bytes",
	"kamailio_core_shmmem_free":                     "kamailio_shmem_free_bytes",
	"kamailio_core_shmmem_used":                     "kamailio_shmem_used_bytes",
	"kamailio_core_shmmem_real_used":                "kamailio_shmem_real_used_bytes",
	"kamailio_core_shmmem_max_used":                 "kamailio_shmem_max_used_bytes",
	"kamailio_core_shmmem_fragments":                "kamailio_shmem_fragments",
	"kamailio_core_uptime_uptime_total":             "kamailio_start_time_seconds",
	"kamailio_core_tcp_info_opened_connections":     "kamailio_tcp_current_opened_connections",
	"kamailio_core_tcp_info_write_queued_bytes":     "kamailio_tcp_current_write_queue_bytes",
	"kamailio_core_tcp_info_max_tls_connections":    "kamailio_tls_max_connections",
	"kamailio_core_tcp_info_opened_tls_connections": "kamailio_tls_opened_connections",
	"kamailio_tls_info_max_connections":             "kamailio_tls_max_connections",
	"kamailio_tls_info_opened_connections":          "kamailio_tls_opened_connections",
	"kamailio_sl_stats_codes_total":                 "kamailio_sl_replies_total",
	"kamailio_tm_stats_current":                     "kamailio_tmx_inuse_transactions",
	"kamailio_tm_stats_total_total":                 "kamailio_tmx_uas_transactions_total",
	"kamailio_tm_stats_total_local_total":           "kamailio_tmx_uac_transactions_total",
	"kamailio_tm_stats_rpl_received_total":          "kamailio_tmx_received_replies_total",
	"kamailio_tm_stats_rpl_generated_total":         "kamailio_tmx_generated_replies_total",
	"kamailio_tm_stats_rpl_sent_total":              "kamailio_tmx_sent_replies_total",
	"kamailio_tm_stats_codes_total":                 "kamailio_tmx_completed_transactions_total",
	"kamailio_dispatcher_list_target":               "kamailio_dispatcher_destination_state",
}

// otherTwins maps families to the preferred family with the same values. Neither
// is a family of v0 to v2.
var otherTwins = map[string]string{
	"kamailio_tls_info_clear_text_write_queued_bytes": "kamailio_tls_clear_text_write_queued_bytes",
	"kamailio_kafka_deliveries_total":                 "kamailio_kafka_messages_total",
	"kamailio_kafka_failed_deliveries_total":          "kamailio_kafka_errors_total",
	"kamailio_sctp_opened_connections":                "kamailio_sctp_current_opened_connections",
	"kamailio_sctp_tracked_connections":               "kamailio_sctp_current_tracked_connections",
}

// newDesc returns a description whose help names the families with the same
// values.
func newDesc(kind metric.Type, name, help string, labels []string) *metric.Desc {
	desc := &metric.Desc{Name: name, Help: help, Type: kind, Labels: labels}
	if preferred, ok := legacyTwins[name]; ok {
		desc.Preferred, desc.Legacy = preferred, true
		desc.Help += " Kept for v0 to v2, use " + preferred + "."
	}
	if preferred, ok := otherTwins[name]; ok {
		desc.Preferred = preferred
		desc.Help += " The same as " + preferred + "."
	}
	if old := keysOf(legacyTwins, name); len(old) > 0 {
		desc.Help += " Replaces " + strings.Join(old, " and ") + "."
	}
	if others := keysOf(otherTwins, name); len(others) > 0 {
		desc.Help += " The same as " + strings.Join(others, " and ") + "."
	}
	return desc
}

// keysOf returns the keys that have the value, sorted.
func keysOf(of map[string]string, value string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(of)), func(key string) bool { return of[key] != value })
}
