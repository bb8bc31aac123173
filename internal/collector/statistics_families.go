package collector

import (
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// statisticFamily is a metric and the statistics of Kamailio that are its
// series. A total and its parts are never in one family, so that the sum over a
// label is what it seems to be.
type statisticFamily struct {
	kind metric.Type
	name string
	// help is what is counted; the names of the statistics are added to it.
	help string
	// labels are the names of the labels, sorted.
	labels []string
	// scale multiplies the number, to convert it to a base unit; 0 means 1.
	scale float64
	// signed reports whether a gauge can be below zero. What cannot and is, after
	// Kamailio's clock was set back or by a fault of Kamailio, is no figure.
	signed bool
	// from are the statistics: "group.name", and then a value for each label.
	// A {placeholder} in the name stands for a part that differs, and as a
	// label's value for what that part is.
	from [][]string
}

// statisticPlaceholders are what may be in the place of each placeholder.
var statisticPlaceholders = map[string]string{
	"class":    `[1-6]xx`,
	"code":     `[1-6][0-9][0-9x]`,
	"domain":   `.+`,
	"method":   `[a-z]+`,
	"mode":     `.+`,
	"protocol": `msrp|sip`,
	"request":  `lir|uar`,
	"sep":      `.`, // one character, "_" unless stats_name_separator is set
	"state":    `[a-z]+`,
	"type":     `[a-z]+`,
}

// statisticFamilies are all statistics that Kamailio's core and modules register
// in 5.6, 6.0 and, as far as is known, after it, by group. With each group stands
// the file under Kamailio's src that registers it; what is a counter was looked up
// where it is updated. ims_qos_npn registers the group of ims_qos.
var statisticFamilies = slices.Concat(
	coreStatistics, transportStatistics, transactionStatistics, registrationStatistics,
	dialogStatistics, messageStatistics, clientStatistics, imsStatistics,
)

// wrongStatistics are those that Kamailio never updates or computes wrongly, in
// all versions from 5.6 to 6.1, with the reason. They have no family, and are
// given as they are only if stats.fetch is named and they are asked for.
var wrongStatistics = map[string]string{
	"imc.active_rooms":                          "never updated",
	"ims_registrar_scscf.default_expires_range": "not set at the start",
	"ims_usrloc_pcscf.registered_impus":         "the contacts that expired",
	"msilo.dumped_messages":                     "the reminders",
	"msilo.dumped_reminders":                    "the messages",
	"p_usrloc.registered_users":                 "always 0",
	"registrar.default_expires_range":           "not set at the start",
	"registrar.expires_range":                   "not set at the start",
	"sl.sent_err_replies":                       "never summed up",
	"sst.expired_sst":                           "never updated",
	"uac.regactive":                             "one less for each attempt, one more for each reply, whatever its code",
	"uac.regdisabled":                           "one less each time that an account is enabled, disabled or not",
	"uac.regtotal":                              "reset to 0 some minutes after a reload, whatever accounts there are",
}

var coreStatistics = []statisticFamily{
	// core: modules/kex/core_stats.c. HTTP requests count among the requests.
	{kind: metric.Counter, name: "kamailio_core_received_messages_total", labels: []string{"type"},
		help: "Messages received; the requests include HTTP ones.",
		from: [][]string{{"core.rcv_requests", "request"}, {"core.rcv_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_received_requests_total", labels: []string{"method"},
		help: "Requests received, by the methods that Kamailio counts.",
		from: [][]string{{"core.rcv_requests_{method}", "{method}"}}},
	{kind: metric.Counter, name: "kamailio_core_unsupported_methods_total",
		help: "Requests received with a method that Kamailio does not know.",
		from: [][]string{{"core.unsupported_methods"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_total", labels: []string{"class"},
		help: "Replies received, by class.",
		from: [][]string{{"core.rcv_replies_{class}", "{class}"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_by_code_total", labels: []string{"code"},
		help: "Replies received, by the codes that Kamailio counts; 18x is 180 to 189.",
		from: [][]string{{"core.rcv_replies_{code}", "{code}"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_by_method_total", labels: []string{"class", "method"},
		help: "Replies received, by class and by the methods that Kamailio counts replies for.",
		from: [][]string{{"core.rcv_replies_{class}_{method}", "{class}", "{method}"}}},
	{kind: metric.Counter, name: "kamailio_core_forwarded_messages_total", labels: []string{"type"},
		help: "Messages forwarded without a transaction.",
		from: [][]string{{"core.fwd_requests", "request"}, {"core.fwd_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_dropped_messages_total", labels: []string{"type"},
		help: "Messages dropped: not forwarded because of an error, or by the routing script's will.",
		from: [][]string{{"core.drop_requests", "request"}, {"core.drop_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_bogus_messages_total", labels: []string{"type"},
		help: "Messages received without a header that SIP demands.",
		from: [][]string{{"core.err_requests", "request"}, {"core.err_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_bad_uris_total",
		help: "URIs that could not be parsed.",
		from: [][]string{{"core.bad_URIs_rcvd"}}},
	{kind: metric.Counter, name: "kamailio_core_bad_headers_total",
		help: "Headers that could not be parsed.",
		from: [][]string{{"core.bad_msg_hdr"}}},

	// core: core/worker_stats.c, after 6.1.
	{kind: metric.Gauge, name: "kamailio_core_busy_children",
		help: "Worker processes that handle a message.",
		from: [][]string{{"core.busy_children"}}},
	{kind: metric.Gauge, name: "kamailio_core_sip_children",
		help: "Worker processes that have handled a message ever.",
		from: [][]string{{"core.sip_children"}}},
	{kind: metric.Gauge, name: "kamailio_core_busy_udp_threads",
		help: "Threads that pass on what they received over UDP.",
		from: [][]string{{"core.busy_udp_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_udp_threads",
		help: "Threads that have received over UDP ever.",
		from: [][]string{{"core.udp_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_busy_reactor_threads",
		help: "Threads of the TCP reactor that are at work.",
		from: [][]string{{"core.busy_reactor_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_reactor_threads",
		help: "Threads of the TCP reactor that have been at work ever.",
		from: [][]string{{"core.reactor_threads"}}},
	{kind: metric.Counter, name: "kamailio_core_reactor_dispatch_drops_total",
		help: "Messages dropped because the TCP reactor could not pass them on.",
		from: [][]string{{"core.reactor_dispatch_drops"}}},

	// shmem: modules/kex/core_stats.c.
	{kind: metric.Gauge, name: "kamailio_shmem_total_bytes",
		help: "Shared memory.",
		from: [][]string{{"shmem.total_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_free_bytes",
		help: "Shared memory that is free.",
		from: [][]string{{"shmem.free_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_used_bytes",
		help: "Shared memory in use, without the allocator's overhead.",
		from: [][]string{{"shmem.used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_real_used_bytes",
		help: "Shared memory in use, with the allocator's overhead.",
		from: [][]string{{"shmem.real_used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_max_used_bytes",
		help: "Most shared memory that was ever in use, with the allocator's overhead.",
		from: [][]string{{"shmem.max_used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_fragments",
		help: "Fragments of free shared memory.",
		from: [][]string{{"shmem.fragments"}}},

	// dns: core/resolve.c. A request may be slow and fail.
	{kind: metric.Counter, name: "kamailio_dns_failed_requests_total",
		help: "DNS requests that failed.",
		from: [][]string{{"dns.failed_dns_request"}}},
	{kind: metric.Counter, name: "kamailio_dns_slow_requests_total",
		help: "DNS requests that took longer than dns_slow_query_ms.",
		from: [][]string{{"dns.slow_dns_request"}}},

	// mysql: modules/db_mysql/db_mysql.c.
	{kind: metric.Counter, name: "kamailio_mysql_driver_errors_total",
		help: "Errors of MySQL's client, such as a connection lost.",
		from: [][]string{{"mysql.driver_errors"}}},

	// pike: modules/pike/pike_funcs.c.
	{kind: metric.Counter, name: "kamailio_pike_blocked_ips_total",
		help: "Times that an address was blocked.",
		from: [][]string{{"pike.blocked_ips"}}},
}

var transportStatistics = []statisticFamily{
	// tcp: core/tcp_stats.c. An established connection is one that was accepted
	// or one whose connect succeeded.
	{kind: metric.Counter, name: "kamailio_tcp_established_total",
		help: "TCP connections established, TLS included.",
		from: [][]string{{"tcp.established"}}},
	{kind: metric.Counter, name: "kamailio_tcp_passive_opens_total",
		help: "TCP connections accepted, TLS included.",
		from: [][]string{{"tcp.passive_open"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connects_total", labels: []string{"result"},
		help: "TCP connections that Kamailio tried to open, TLS included.",
		from: [][]string{{"tcp.connect_success", "success"}, {"tcp.connect_failed", "failure"}}},
	{kind: metric.Counter, name: "kamailio_tcp_local_rejects_total",
		help: "TCP connections that Kamailio did not accept.",
		from: [][]string{{"tcp.local_reject"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connection_timeouts_total",
		help: "TCP connections closed because nothing happened on them for too long.",
		from: [][]string{{"tcp.con_timeout"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connection_resets_total",
		help: "TCP connections that the other side reset.",
		from: [][]string{{"tcp.con_reset"}}},
	{kind: metric.Counter, name: "kamailio_tcp_send_timeouts_total",
		help: "Attempts to send over TCP that timed out, counted in asynchronous mode only.",
		from: [][]string{{"tcp.send_timeout"}}},
	{kind: metric.Counter, name: "kamailio_tcp_send_queue_full_total",
		help: "Attempts to send over TCP that found the queue full, counted in asynchronous mode only.",
		from: [][]string{{"tcp.sendq_full"}}},
	{kind: metric.Gauge, name: "kamailio_tcp_current_opened_connections",
		help: "TCP connections that are open, TLS included.",
		from: [][]string{{"tcp.current_opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tcp_current_write_queue_bytes",
		help: "Bytes that wait to be written to TCP connections.",
		from: [][]string{{"tcp.current_write_queue_size"}}},

	// sctp: modules/sctp/sctp_stats.c.
	{kind: metric.Counter, name: "kamailio_sctp_established_total",
		help: "SCTP associations established.",
		from: [][]string{{"sctp.established"}}},
	{kind: metric.Counter, name: "kamailio_sctp_failed_connects_total",
		help: "SCTP associations that Kamailio could not open.",
		from: [][]string{{"sctp.connect_failed"}}},
	{kind: metric.Counter, name: "kamailio_sctp_local_rejects_total",
		help: "SCTP associations that Kamailio did not accept.",
		from: [][]string{{"sctp.local_reject"}}},
	{kind: metric.Counter, name: "kamailio_sctp_remote_shutdowns_total",
		help: "SCTP associations that the other side closed.",
		from: [][]string{{"sctp.remote_shutdown"}}},
	{kind: metric.Counter, name: "kamailio_sctp_association_shutdowns_total",
		help: "SCTP associations that were shut down.",
		from: [][]string{{"sctp.assoc_shutdown"}}},
	{kind: metric.Counter, name: "kamailio_sctp_lost_connections_total",
		help: "SCTP associations that ended by an error.",
		from: [][]string{{"sctp.comm_lost"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_queue_full_total",
		help: "Attempts to send over SCTP that found the kernel's buffers full.",
		from: [][]string{{"sctp.sendq_full"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_failures_total",
		help: "Attempts to send over SCTP that failed for another reason than full buffers.",
		from: [][]string{{"sctp.send_failed"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_retries_total",
		help: "Attempts to send over SCTP that were repeated after they failed.",
		from: [][]string{{"sctp.send_force_retry"}}},
	{kind: metric.Gauge, name: "kamailio_sctp_current_opened_connections",
		help: "SCTP associations that are open.",
		from: [][]string{{"sctp.current_opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_sctp_current_tracked_connections",
		help: "SCTP associations that Kamailio keeps track of.",
		from: [][]string{{"sctp.current_tracked_connections"}}},

	// tls: modules/tls/tls_mod.c, since 6.0.
	{kind: metric.Gauge, name: "kamailio_tls_opened_connections",
		help: "TLS connections that are open.",
		from: [][]string{{"tls.opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tls_max_connections",
		help: "Most TLS connections that Kamailio opens.",
		from: [][]string{{"tls.max_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tls_clear_text_write_queued_bytes",
		help: "Bytes that wait to be encrypted and written to TLS connections.",
		from: [][]string{{"tls.clear_text_write_queued_bytes"}}},

	// websocket: modules/websocket/websocket.c. What is of no protocol, such as
	// a ping, is in the totals only.
	{kind: metric.Gauge, name: "kamailio_websocket_current_connections",
		help: "WebSocket connections that are open.",
		from: [][]string{{"websocket.ws_current_connections"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_current_connections_by_protocol", labels: []string{"protocol"},
		help: "WebSocket connections that are open, by protocol.",
		from: [][]string{{"websocket.ws_{protocol}_current_connections", "{protocol}"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_max_concurrent_connections",
		help: "Most WebSocket connections that were ever open at once.",
		from: [][]string{{"websocket.ws_max_concurrent_connections"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_max_concurrent_connections_by_protocol", labels: []string{"protocol"},
		help: "Most WebSocket connections of a protocol that were ever open at once.",
		from: [][]string{{"websocket.ws_{protocol}_max_concurrent_connections", "{protocol}"}}},
	{kind: metric.Counter, name: "kamailio_websocket_failed_connections_total",
		help: "WebSocket connections that failed while Kamailio sent a frame; a client that goes away at another time is not counted.",
		from: [][]string{{"websocket.ws_failed_connections"}}},
	{kind: metric.Counter, name: "kamailio_websocket_failed_connections_by_protocol_total", labels: []string{"protocol"},
		help: "WebSocket connections that failed while Kamailio sent a frame, by protocol; " +
			"a client that goes away at another time is not counted.",
		from: [][]string{{"websocket.ws_{protocol}_failed_connections", "{protocol}"}}},
	{kind: metric.Counter, name: "kamailio_websocket_closed_connections_total", labels: []string{"side"},
		help: "WebSocket connections closed with a Close frame, by the side that closed them; a client that goes away without one is not counted.",
		from: [][]string{{"websocket.ws_local_closed_connections", "local"}, {"websocket.ws_remote_closed_connections", "remote"}}},
	{kind: metric.Counter, name: "kamailio_websocket_closed_connections_by_protocol_total", labels: []string{"protocol", "side"},
		help: "WebSocket connections closed with a Close frame, by protocol and by the side that closed them; " +
			"a client that goes away without one is not counted.",
		from: [][]string{
			{"websocket.ws_{protocol}_local_closed_connections", "{protocol}", "local"},
			{"websocket.ws_{protocol}_remote_closed_connections", "{protocol}", "remote"},
		}},
	{kind: metric.Counter, name: "kamailio_websocket_frames_total", labels: []string{"direction"},
		help: "WebSocket frames.",
		from: [][]string{{"websocket.ws_received_frames", "received"}, {"websocket.ws_transmitted_frames", "transmitted"}}},
	{kind: metric.Counter, name: "kamailio_websocket_frames_by_protocol_total", labels: []string{"direction", "protocol"},
		help: "WebSocket frames, by protocol.",
		from: [][]string{
			{"websocket.ws_{protocol}_received_frames", "received", "{protocol}"},
			{"websocket.ws_{protocol}_transmitted_frames", "transmitted", "{protocol}"},
		}},
	{kind: metric.Counter, name: "kamailio_websocket_handshakes_total", labels: []string{"result"},
		help: "WebSocket handshakes.",
		from: [][]string{{"websocket.ws_successful_handshakes", "success"}, {"websocket.ws_failed_handshakes", "failure"}}},
	{kind: metric.Counter, name: "kamailio_websocket_successful_handshakes_by_protocol_total", labels: []string{"protocol"},
		help: "WebSocket handshakes that succeeded, by protocol.",
		from: [][]string{{"websocket.ws_{protocol}_successful_handshakes", "{protocol}"}}},
}

var transactionStatistics = []statisticFamily{
	// sl: modules/sl/sl_stats.c. A class counts the codes of it that have no
	// statistic of their own.
	{kind: metric.Counter, name: "kamailio_sl_replies_total", labels: []string{"code"},
		help: "Replies sent without a transaction; 2xx is what is not 200 or 202, and so on, xxx is beyond 6xx.",
		from: [][]string{{"sl.{class}_replies", "{class}"}, {"sl.{code}_replies", "{code}"}, {"sl.xxx_replies", "xxx"}}},
	{kind: metric.Counter, name: "kamailio_sl_sent_replies_total",
		help: "Replies sent without a transaction, of whatever code.",
		from: [][]string{{"sl.sent_replies"}}},
	{kind: metric.Counter, name: "kamailio_sl_failures_total",
		help: "Replies without a transaction that could not be sent.",
		from: [][]string{{"sl.failures"}}},
	{kind: metric.Counter, name: "kamailio_sl_received_acks_total",
		help: "ACKs received for replies sent without a transaction.",
		from: [][]string{{"sl.received_ACKs"}}},

	// tmx: modules/tmx/tmx_mod.c, over modules/tm/t_stats.h. Despite its name
	// UAS_transactions counts those of Kamailio itself too. Differences of two
	// counters can fall, and below zero, so they are gauges.
	{kind: metric.Counter, name: "kamailio_tmx_uas_transactions_total",
		help: "Transactions created, those that Kamailio started itself included.",
		from: [][]string{{"tmx.UAS_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_uac_transactions_total",
		help: "Transactions that Kamailio started itself.",
		from: [][]string{{"tmx.UAC_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_completed_transactions_total", labels: []string{"class"},
		help: "Transactions by the class of the final reply that they ended with.",
		from: [][]string{{"tmx.{class}_transactions", "{class}"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_inuse_transactions", signed: true,
		help: "Transactions in memory.",
		from: [][]string{{"tmx.inuse_transactions"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_active_transactions", signed: true,
		help: "Transactions that are not over.",
		from: [][]string{{"tmx.active_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_received_replies_total",
		help: "Replies received for transactions.",
		from: [][]string{{"tmx.rpl_received"}}},
	{kind: metric.Counter, name: "kamailio_tmx_generated_replies_total",
		help: "Replies made by Kamailio itself for transactions.",
		from: [][]string{{"tmx.rpl_generated"}}},
	{kind: metric.Counter, name: "kamailio_tmx_sent_replies_total",
		help: "Replies sent for transactions, relayed and own ones.",
		from: [][]string{{"tmx.rpl_sent"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_relayed_replies", signed: true,
		help: "Replies relayed since the start: those sent less those generated.",
		from: [][]string{{"tmx.rpl_relayed"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_absorbed_replies", signed: true,
		help: "Replies absorbed since the start: those received less those relayed, which can be below zero.",
		from: [][]string{{"tmx.rpl_absorbed"}}},

	// tsilo: modules/tsilo/tsilo.c.
	{kind: metric.Gauge, name: "kamailio_tsilo_stored_ruris",
		help: "Request URIs for which transactions are stored.",
		from: [][]string{{"tsilo.stored_ruris"}}},
	{kind: metric.Gauge, name: "kamailio_tsilo_stored_transactions",
		help: "Transactions that are stored.",
		from: [][]string{{"tsilo.stored_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_ruris_total",
		help: "Request URIs for which transactions were stored.",
		from: [][]string{{"tsilo.total_ruris"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_transactions_total",
		help: "Transactions that were stored.",
		from: [][]string{{"tsilo.total_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_added_branches_total",
		help: "Branches added to stored transactions.",
		from: [][]string{{"tsilo.added_branches"}}},
}

var registrationStatistics = []statisticFamily{
	// registrar: modules/registrar/registrar.c.
	{kind: metric.Counter, name: "kamailio_registrar_registrations_total", labels: []string{"result"},
		help: "REGISTER requests.",
		from: [][]string{{"registrar.accepted_regs", "accepted"}, {"registrar.rejected_regs", "rejected"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_max_contacts",
		help: "Most contacts that a user may register, 0 for any number.",
		from: [][]string{{"registrar.max_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_max_expires_seconds",
		help: "Longest time that a registration may last, 0 for any time; if it is changed by RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"registrar.max_expires"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_default_expires_seconds",
		help: "How long a registration lasts that does not ask for a time; if it is changed by RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"registrar.default_expire"}}},

	// usrloc: modules/usrloc/usrloc_mod.c and udomain.c; those by domain are also
	// of p_usrloc and ims_usrloc_pcscf.
	{kind: metric.Gauge, name: "kamailio_usrloc_registered_users",
		help: "Addresses of record that are registered, in all domains; always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.registered_users"}}},
	{kind: metric.Gauge, name: "kamailio_usrloc_users", labels: []string{"domain"},
		help: "Addresses of record that are registered, by usrloc's domain, which is a table; always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}users", "{domain}"}}},
	{kind: metric.Gauge, name: "kamailio_usrloc_contacts", labels: []string{"domain"},
		help: "Contacts that are registered, by usrloc's domain, which is a table; always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}contacts", "{domain}"}}},
	{kind: metric.Counter, name: "kamailio_usrloc_expired_contacts_total", labels: []string{"domain"},
		help: "Contacts that expired, by usrloc's domain, which is a table; always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}expires", "{domain}"}}},

	// nat_traversal: modules/nat_traversal/nat_traversal.c. An endpoint may be
	// kept alive for several reasons.
	{kind: metric.Gauge, name: "kamailio_nat_traversal_keepalive_endpoints",
		help: "Endpoints that are kept alive.",
		from: [][]string{{"nat_traversal.keepalive_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_registered_endpoints",
		help: "Endpoints that are kept alive for a registration.",
		from: [][]string{{"nat_traversal.registered_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_subscribed_endpoints",
		help: "Endpoints that are kept alive for a subscription.",
		from: [][]string{{"nat_traversal.subscribed_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_dialog_endpoints",
		help: "Endpoints that are kept alive for a dialog.",
		from: [][]string{{"nat_traversal.dialog_endpoints"}}},
}

var dialogStatistics = []statisticFamily{
	// dialog: modules/dialog/dialog.c. A dialog is early or active, not both.
	{kind: metric.Gauge, name: "kamailio_dialog_dialogs", labels: []string{"state"},
		help: "Dialogs that are early, or answered.",
		from: [][]string{{"dialog.early_dialogs", "early"}, {"dialog.active_dialogs", "active"}}},
	{kind: metric.Counter, name: "kamailio_dialog_processed_total",
		help: "Dialogs created.",
		from: [][]string{{"dialog.processed_dialogs"}}},
	{kind: metric.Counter, name: "kamailio_dialog_expired_total",
		help: "Dialogs that timed out.",
		from: [][]string{{"dialog.expired_dialogs"}}},
	{kind: metric.Counter, name: "kamailio_dialog_failed_total",
		help: "Dialogs that were not answered, or ended by an error.",
		from: [][]string{{"dialog.failed_dialogs"}}},

	// dialog_ng: modules/ims_dialog/dlg_ng_stats.c.
	{kind: metric.Gauge, name: "kamailio_dialog_ng_dialogs", labels: []string{"state"},
		help: "Dialogs of ims_dialog that are early, or answered.",
		from: [][]string{{"dialog_ng.early", "early"}, {"dialog_ng.active", "active"}}},
	{kind: metric.Counter, name: "kamailio_dialog_ng_processed_total",
		help: "Dialogs of ims_dialog created.",
		from: [][]string{{"dialog_ng.processed"}}},
	{kind: metric.Counter, name: "kamailio_dialog_ng_expired_total",
		help: "Dialogs of ims_dialog that timed out.",
		from: [][]string{{"dialog_ng.expired"}}},

	// dlgs: modules/dlgs/dlgs_stats.c, after 6.1.
	{kind: metric.Gauge, name: "kamailio_dlgs_active", labels: []string{"state"},
		help: "Dialogs of dlgs in memory.",
		from: [][]string{{"dlgs.active_{state}", "{state}"}}},
	{kind: metric.Counter, name: "kamailio_dlgs_final_total", labels: []string{"state"},
		help: "Dialogs of dlgs removed from memory, by their last state.",
		from: [][]string{{"dlgs.final_{state}", "{state}"}}},
}

var messageStatistics = []statisticFamily{
	// msilo: modules/msilo/msilo.c.
	{kind: metric.Counter, name: "kamailio_msilo_stored_messages_total",
		help: "Messages stored.",
		from: [][]string{{"msilo.stored_messages"}}},
	{kind: metric.Counter, name: "kamailio_msilo_failed_messages_total",
		help: "Stored messages that could not be delivered.",
		from: [][]string{{"msilo.failed_messages"}}},
	{kind: metric.Counter, name: "kamailio_msilo_failed_reminders_total",
		help: "Reminders that could not be delivered.",
		from: [][]string{{"msilo.failed_reminders"}}},

	// siptrace: modules/siptrace/siptrace.c.
	{kind: metric.Counter, name: "kamailio_siptrace_traced_messages_total", labels: []string{"type"},
		help: "SIP messages traced.",
		from: [][]string{{"siptrace.traced_requests", "request"}, {"siptrace.traced_replies", "reply"}}},

	// sipcapture: modules/sipcapture/sipcapture.c.
	{kind: metric.Counter, name: "kamailio_sipcapture_captured_messages_total", labels: []string{"mode", "type"},
		help: "SIP messages captured, by capture mode; the default one has no name.",
		from: [][]string{
			{"sipcapture.captured_requests", "", "request"},
			{"sipcapture.captured_replies", "", "reply"},
			{"sipcapture.captured_requests[{mode}]", "{mode}", "request"},
			{"sipcapture.captured_replies[{mode}]", "{mode}", "reply"},
		}},

	// snmpstats: modules/snmpstats/snmpstats.c.
	{kind: metric.Counter, name: "kamailio_snmpstats_replies_total", labels: []string{"code", "direction"},
		help: "Replies, by the codes that snmpstats counts.",
		from: [][]string{{"snmpstats.{code}_in", "{code}", "in"}, {"snmpstats.{code}_out", "{code}", "out"}}},
}

var clientStatistics = []statisticFamily{
	// httpclient: modules/http_client/http_client.c.
	{kind: metric.Gauge, name: "kamailio_httpclient_connections",
		help: "Connections that are defined for http_client.",
		from: [][]string{{"httpclient.connections"}}},
	{kind: metric.Counter, name: "kamailio_httpclient_requests_total", labels: []string{"result"},
		help: "HTTP requests of http_client; every reply but 200 is a failure.",
		from: [][]string{{"httpclient.connok", "success"}, {"httpclient.connfail", "failure"}}},

	// http_async_client: modules/http_async_client/http_async_client_mod.c. A
	// request may count as timed out and as failed.
	{kind: metric.Counter, name: "kamailio_http_async_client_requests_total",
		help: "HTTP requests of http_async_client.",
		from: [][]string{{"http_async_client.requests"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_replies_total",
		help: "Replies to HTTP requests of http_async_client.",
		from: [][]string{{"http_async_client.replies"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_errors_total",
		help: "HTTP requests of http_async_client that failed.",
		from: [][]string{{"http_async_client.errors"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_timeouts_total",
		help: "HTTP requests of http_async_client that timed out.",
		from: [][]string{{"http_async_client.timeouts"}}},

	// kafka: modules/kafka/kafka_mod.c and kfk.c. The errors are among the
	// messages.
	{kind: metric.Counter, name: "kamailio_kafka_deliveries_total",
		help: "Messages for Kafka, sent or not.",
		from: [][]string{{"kafka.total_messages"}}},
	{kind: metric.Counter, name: "kamailio_kafka_failed_deliveries_total",
		help: "Messages that could not be sent to Kafka.",
		from: [][]string{{"kafka.total_messages_err"}}},
}

var imsStatistics = []statisticFamily{
	// cdp: modules/cdp/cdp_stats.c. Times are in milliseconds, here and below,
	// whatever the descriptions in the source say.
	{kind: metric.Counter, name: "kamailio_cdp_timeouts_total",
		help: "Diameter requests that nobody answered in time.",
		from: [][]string{{"cdp.timeout"}}},
	{kind: metric.Counter, name: "kamailio_cdp_replies_total",
		help: "Diameter replies received.",
		from: [][]string{{"cdp.replies_received"}}},
	{kind: metric.Counter, name: "kamailio_cdp_response_seconds_total", scale: milliseconds,
		help: "Time that Diameter replies took, summed over all.",
		from: [][]string{{"cdp.replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_cdp_average_response_seconds", scale: milliseconds,
		help: "Average time that Diameter replies took, since the start.",
		from: [][]string{{"cdp.average_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_cdp_queue_length",
		help: "Diameter messages that wait for a worker.",
		from: [][]string{{"cdp.queuelength"}}},

	// ims_auth: modules/ims_auth/ims_auth_mod.c and stats.c.
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_timeouts_total",
		help: "Multimedia-Auth requests that nobody answered in time.",
		from: [][]string{{"ims_auth.mar_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_replies_total",
		help: "Replies to Multimedia-Auth requests.",
		from: [][]string{{"ims_auth.mar_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_response_seconds_total", scale: milliseconds,
		help: "Time that replies to Multimedia-Auth requests took, summed over all.",
		from: [][]string{{"ims_auth.mar_replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_auth_mar_average_response_seconds", scale: milliseconds,
		help: "Average time that replies to Multimedia-Auth requests took, since the start.",
		from: [][]string{{"ims_auth.mar_avg_response_time"}}},

	// ims_icscf: modules/ims_icscf/ims_icscf_mod.c and stats.c.
	{kind: metric.Counter, name: "kamailio_ims_icscf_timeouts_total", labels: []string{"request"},
		help: "Diameter requests, UAR or LIR, that nobody answered in time.",
		from: [][]string{{"ims_icscf.{request}_timeouts", "{request}"}}},
	{kind: metric.Counter, name: "kamailio_ims_icscf_replies_total", labels: []string{"request"},
		help: "Replies to Diameter requests, UAR or LIR.",
		from: [][]string{{"ims_icscf.{request}_replies_received", "{request}"}}},
	{kind: metric.Counter, name: "kamailio_ims_icscf_response_seconds_total", scale: milliseconds, labels: []string{"request"},
		help: "Time that replies to Diameter requests, UAR or LIR, took, summed over all.",
		from: [][]string{{"ims_icscf.{request}_replies_response_time", "{request}"}}},
	{kind: metric.Gauge, name: "kamailio_ims_icscf_average_response_seconds", scale: milliseconds, labels: []string{"request"},
		help: "Average time that replies to Diameter requests, UAR or LIR, took, since the start.",
		from: [][]string{{"ims_icscf.{request}_avg_response_time", "{request}"}}},

	// ims_registrar_scscf: modules/ims_registrar_scscf/ims_registrar_scscf_mod.c
	// and stats.c. The settings are like registrar's.
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_registrations_total", labels: []string{"result"},
		help: "REGISTER requests.",
		from: [][]string{{"ims_registrar_scscf.accepted_regs", "accepted"}, {"ims_registrar_scscf.rejected_regs", "rejected"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_max_contacts",
		help: "Most contacts that a user may register, 0 for any number.",
		from: [][]string{{"ims_registrar_scscf.max_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_max_expires_seconds",
		help: "Longest time that a registration may last, 0 for any time; if it is changed by RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"ims_registrar_scscf.max_expires"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_default_expires_seconds",
		help: "How long a registration lasts that does not ask for a time; if it is changed by RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"ims_registrar_scscf.default_expire"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_queued_notifies",
		help: "NOTIFY requests that wait to be sent.",
		from: [][]string{{"ims_registrar_scscf.notifies_in_q"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_timeouts_total",
		help: "Server-Assignment requests that nobody answered in time.",
		from: [][]string{{"ims_registrar_scscf.sar_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_replies_total",
		help: "Replies to Server-Assignment requests.",
		from: [][]string{{"ims_registrar_scscf.sar_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_response_seconds_total", scale: milliseconds,
		help: "Time that replies to Server-Assignment requests took, summed over all.",
		from: [][]string{{"ims_registrar_scscf.sar_replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_sar_average_response_seconds", scale: milliseconds,
		help: "Average time that replies to Server-Assignment requests took, since the start.",
		from: [][]string{{"ims_registrar_scscf.sar_avg_response_time"}}},

	// ims_usrloc_pcscf: modules/ims_usrloc_pcscf/ims_usrloc_pcscf_mod.c and
	// dlist.c.
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_pcscf_registered_contacts",
		help: "Contacts that are registered, in all domains.",
		from: [][]string{{"ims_usrloc_pcscf.registered_contacts"}}},
	{kind: metric.Counter, name: "kamailio_ims_usrloc_pcscf_expired_contacts_total",
		help: "Contacts that expired, in all domains.",
		from: [][]string{{"ims_usrloc_pcscf.expired_contacts"}}},

	// ims_usrloc_scscf: modules/ims_usrloc_scscf/ul_scscf_stats.c.
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_subscriptions",
		help: "Subscriptions that are registered.",
		from: [][]string{{"ims_usrloc_scscf.active_subscriptions"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_impus",
		help: "Public identities that are registered.",
		from: [][]string{{"ims_usrloc_scscf.active_impus"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_contacts",
		help: "Contacts that are registered.",
		from: [][]string{{"ims_usrloc_scscf.active_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_max_collisions", signed: true, labels: []string{"table"},
		help: "Most entries that one slot of a hash table ever had; that of impus is -1 as long as there is none.",
		from: [][]string{
			{"ims_usrloc_scscf.subscription_collisions", "subscriptions"},
			{"ims_usrloc_scscf.impu_collisions", "impus"},
			{"ims_usrloc_scscf.contact_collisions", "contacts"},
		}},

	// ims_charging: modules/ims_charging/ims_charging_stats.c.
	{kind: metric.Gauge, name: "kamailio_ims_charging_ro_sessions",
		help: "Charging sessions that are open.",
		from: [][]string{{"ims_charging.active_ro_sessions"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_billed_seconds_total",
		help: "Time billed.",
		from: [][]string{{"ims_charging.billed_secs"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_killed_calls_total",
		help: "Calls ended for want of credit.",
		from: [][]string{{"ims_charging.killed_calls"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccrs_total", labels: []string{"type"},
		help: "Credit-Control requests.",
		from: [][]string{{"ims_charging.initial_ccrs", "initial"}, {"ims_charging.interim_ccrs", "interim"}, {"ims_charging.final_ccrs", "final"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_results_total", labels: []string{"result", "type"},
		help: "Credit-Control requests that succeeded or failed.",
		from: [][]string{
			{"ims_charging.successful_{type}_ccrs", "success", "{type}"},
			{"ims_charging.failed_{type}_ccrs", "failure", "{type}"},
		}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_timeouts_total",
		help: "Credit-Control requests that nobody answered in time.",
		from: [][]string{{"ims_charging.ccr_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_replies_total",
		help: "Replies to Credit-Control requests.",
		from: [][]string{{"ims_charging.ccr_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_response_seconds_total", scale: milliseconds,
		help: "Time that replies to Credit-Control requests took, summed over all.",
		from: [][]string{{"ims_charging.ccr_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_charging_ccr_average_response_seconds", scale: milliseconds,
		help: "Average time that replies to Credit-Control requests took, since the start.",
		from: [][]string{{"ims_charging.ccr_avg_response_time"}}},

	// ims_qos: modules/ims_qos/ims_qos_stats.c. An AAR counts once it is
	// answered.
	{kind: metric.Gauge, name: "kamailio_ims_qos_rx_sessions", labels: []string{"type"},
		help: "Rx sessions that are open.",
		from: [][]string{{"ims_qos.active_registration_rx_sessions", "registration"}, {"ims_qos.active_media_rx_sessions", "media"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_media_rx_sessions_total",
		help: "Rx sessions opened for media.",
		from: [][]string{{"ims_qos.media_rx_sessions"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_asrs_total",
		help: "Abort-Session requests received.",
		from: [][]string{{"ims_qos.asrs"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aars_total", labels: []string{"type"},
		help: "AA requests that were answered.",
		from: [][]string{{"ims_qos.registration_aars", "registration"}, {"ims_qos.media_aars", "media"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_results_total", labels: []string{"result", "type"},
		help: "AA requests that succeeded or failed.",
		from: [][]string{
			{"ims_qos.successful_{type}_aars", "success", "{type}"},
			{"ims_qos.failed_{type}_aars", "failure", "{type}"},
		}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_timeouts_total", labels: []string{"type"},
		help: "AA requests that nobody answered in time.",
		from: [][]string{{"ims_qos.{type}_aar_timeouts", "{type}"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_replies_total", labels: []string{"type"},
		help: "Replies to AA requests.",
		from: [][]string{{"ims_qos.{type}_aar_replies_received", "{type}"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_response_seconds_total", scale: milliseconds, labels: []string{"type"},
		help: "Time that replies to AA requests took, summed over all.",
		from: [][]string{{"ims_qos.{type}_aar_response_time", "{type}"}}},
	{kind: metric.Gauge, name: "kamailio_ims_qos_aar_average_response_seconds", scale: milliseconds, labels: []string{"type"},
		help: "Average time that replies to AA requests took, since the start.",
		from: [][]string{{"ims_qos.{type}_aar_avg_response_time", "{type}"}}},
}
