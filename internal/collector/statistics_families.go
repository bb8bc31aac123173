package collector

import (
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// statisticFamily is a metric and the statistics of Kamailio that become its
// series. A family never has both a total and its parts, so that a sum over a
// label is correct.
type statisticFamily struct {
	kind metric.Type
	name string
	// help says what is counted. helpOf adds the names of the statistics.
	help string
	// labels are the names of the labels, sorted.
	labels []string
	// scale multiplies the number, to convert it to a base unit; 0 means 1.
	scale float64
	// signed reports whether a gauge can be negative. A negative value of any other
	// family is wrong, because Kamailio's clock was set back or because of a bug in
	// Kamailio, and is dropped.
	signed bool
	// negativeIsZero reports whether a negative value means 0.
	negativeIsZero bool
	// minusOneIsNone reports whether -1 means that there is no value.
	minusOneIsNone bool
	// from lists the statistics: each has "group.name" and a value for each label.
	// A {placeholder} in the name matches a variable part, and a label with the
	// same {placeholder} gets the text of that part.
	from [][]string
}

// statisticPlaceholders are the regular expressions that the placeholders match.
var statisticPlaceholders = map[string]string{
	"class":    `[1-6]xx`,
	"code":     `[1-6][0-9][0-9x]`,
	"domain":   `.+`,
	"method":   `[a-z]+`,
	"mode":     `.+`,
	"protocol": `msrp|sip`,
	"request":  `lir|uar`,
	"sep":      `.`, // one character, by default "_" (parameter stats_name_separator)
	"state":    `[a-z]+`,
	"type":     `[a-z]+`,
}

// statisticFamilies are all statistics that Kamailio's core and modules register
// in 5.6, 6.0 and, as far as known, later versions, by group. The comment above
// each group names the file under Kamailio's src that registers it. The types
// follow from the code that updates the statistics. The module ims_qos_npn
// registers the same group as ims_qos.
var statisticFamilies = slices.Concat(
	coreStatistics, transportStatistics, transactionStatistics, registrationStatistics,
	dialogStatistics, messageStatistics, clientStatistics, imsStatistics,
)

// wrongStatistics are the statistics that Kamailio never updates or computes
// wrongly in all versions from 5.6 to 6.1, with the fault. They have no family.
// kamailio_stats_fetch_value has them only if stats.fetch is named and the
// configured groups include them.
var wrongStatistics = map[string]string{
	"imc.active_rooms":                          "never updated",
	"ims_registrar_scscf.default_expires_range": "not set at startup",
	"ims_usrloc_pcscf.registered_impus":         "counts expired contacts",
	"msilo.dumped_messages":                     "counts reminders",
	"msilo.dumped_reminders":                    "counts messages",
	"p_usrloc.registered_users":                 "always 0",
	"registrar.default_expires_range":           "not set at startup",
	"registrar.expires_range":                   "not set at startup",
	"sl.sent_err_replies":                       "never summed",
	"sst.expired_sst":                           "never updated",
	"uac.regactive":                             "decremented for each attempt, incremented for each reply with any code",
	"uac.regdisabled":                           "decremented whenever an account is enabled, even if it was not disabled",
	"uac.regtotal":                              "reset to 0 some minutes after a reload, even if there are accounts",
}

var coreStatistics = []statisticFamily{
	// core: modules/kex/core_stats.c. HTTP requests count among the requests.
	{kind: metric.Counter, name: "kamailio_core_received_messages_total", labels: []string{"type"},
		help: "Number of messages received, by type. Requests include HTTP requests.",
		from: [][]string{{"core.rcv_requests", "request"}, {"core.rcv_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_received_requests_total", labels: []string{"method"},
		help: "Number of requests received, for the methods that Kamailio counts.",
		from: [][]string{{"core.rcv_requests_{method}", "{method}"}}},
	{kind: metric.Counter, name: "kamailio_core_unsupported_methods_total",
		help: "Number of requests received with a method that Kamailio does not know.",
		from: [][]string{{"core.unsupported_methods"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_total", labels: []string{"class"},
		help: "Number of replies received, by class.",
		from: [][]string{{"core.rcv_replies_{class}", "{class}"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_by_code_total", labels: []string{"code"},
		help: "Number of replies received, for the codes that Kamailio counts. Code 18x stands for 180 to 189.",
		from: [][]string{{"core.rcv_replies_{code}", "{code}"}}},
	{kind: metric.Counter, name: "kamailio_core_received_replies_by_method_total", labels: []string{"class", "method"},
		help: "Number of replies received, by class, for the methods that Kamailio counts replies of.",
		from: [][]string{{"core.rcv_replies_{class}_{method}", "{class}", "{method}"}}},
	{kind: metric.Counter, name: "kamailio_core_forwarded_messages_total", labels: []string{"type"},
		help: "Number of messages forwarded without a transaction, by type.",
		from: [][]string{{"core.fwd_requests", "request"}, {"core.fwd_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_dropped_messages_total", labels: []string{"type"},
		help: "Number of messages dropped because of an error or by the routing script, by type.",
		from: [][]string{{"core.drop_requests", "request"}, {"core.drop_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_bogus_messages_total", labels: []string{"type"},
		help: "Number of messages received without a mandatory SIP header, by type.",
		from: [][]string{{"core.err_requests", "request"}, {"core.err_replies", "reply"}}},
	{kind: metric.Counter, name: "kamailio_core_bad_uris_total",
		help: "Number of URIs that could not be parsed.",
		from: [][]string{{"core.bad_URIs_rcvd"}}},
	{kind: metric.Counter, name: "kamailio_core_bad_headers_total",
		help: "Number of headers that could not be parsed.",
		from: [][]string{{"core.bad_msg_hdr"}}},

	// core: core/worker_stats.c, after 6.1.
	{kind: metric.Gauge, name: "kamailio_core_busy_children",
		help: "Number of worker processes that are handling a message.",
		from: [][]string{{"core.busy_children"}}},
	{kind: metric.Gauge, name: "kamailio_core_sip_children",
		help: "Number of worker processes that have handled at least one message.",
		from: [][]string{{"core.sip_children"}}},
	{kind: metric.Gauge, name: "kamailio_core_busy_udp_threads",
		help: "Number of UDP receiver threads that are passing on a message.",
		from: [][]string{{"core.busy_udp_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_udp_threads",
		help: "Number of UDP receiver threads that have received at least one message.",
		from: [][]string{{"core.udp_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_busy_reactor_threads",
		help: "Number of TCP reactor threads that are busy.",
		from: [][]string{{"core.busy_reactor_threads"}}},
	{kind: metric.Gauge, name: "kamailio_core_reactor_threads",
		help: "Number of TCP reactor threads that have been busy at least once.",
		from: [][]string{{"core.reactor_threads"}}},
	{kind: metric.Counter, name: "kamailio_core_reactor_dispatch_drops_total",
		help: "Number of messages dropped because the TCP reactor could not pass them on.",
		from: [][]string{{"core.reactor_dispatch_drops"}}},

	// shmem: modules/kex/core_stats.c.
	{kind: metric.Gauge, name: "kamailio_shmem_total_bytes",
		help: "Size of the shared memory.",
		from: [][]string{{"shmem.total_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_free_bytes",
		help:           "Free shared memory, 0 if Kamailio's number is negative because the memory is full.",
		negativeIsZero: true, // see isFull
		from:           [][]string{{"shmem.free_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_used_bytes",
		help: "Shared memory in use, without the allocator's overhead.",
		from: [][]string{{"shmem.used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_real_used_bytes",
		help: "Shared memory in use, with the allocator's overhead.",
		from: [][]string{{"shmem.real_used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_max_used_bytes",
		help: "Highest amount of shared memory in use since the start, with the allocator's overhead.",
		from: [][]string{{"shmem.max_used_size"}}},
	{kind: metric.Gauge, name: "kamailio_shmem_fragments",
		help: "Number of fragments of free shared memory.",
		from: [][]string{{"shmem.fragments"}}},

	// dns: core/resolve.c. A request can be both slow and failed.
	{kind: metric.Counter, name: "kamailio_dns_failed_requests_total",
		help: "Number of DNS requests that failed.",
		from: [][]string{{"dns.failed_dns_request"}}},
	{kind: metric.Counter, name: "kamailio_dns_slow_requests_total",
		help: "Number of DNS requests that took longer than dns_slow_query_ms.",
		from: [][]string{{"dns.slow_dns_request"}}},

	// mysql: modules/db_mysql/db_mysql.c.
	{kind: metric.Counter, name: "kamailio_mysql_driver_errors_total",
		help: "Number of errors of the MySQL client, for example lost connections.",
		from: [][]string{{"mysql.driver_errors"}}},

	// pike: modules/pike/pike_funcs.c.
	{kind: metric.Counter, name: "kamailio_pike_blocked_ips_total",
		help: "Number of times that an address was blocked.",
		from: [][]string{{"pike.blocked_ips"}}},
}

var transportStatistics = []statisticFamily{
	// tcp: core/tcp_stats.c. Established connections are the accepted ones
	// and those that Kamailio opened.
	{kind: metric.Counter, name: "kamailio_tcp_established_total",
		help: "Number of TCP connections established, including TLS.",
		from: [][]string{{"tcp.established"}}},
	{kind: metric.Counter, name: "kamailio_tcp_passive_opens_total",
		help: "Number of TCP connections accepted, including TLS.",
		from: [][]string{{"tcp.passive_open"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connects_total", labels: []string{"result"},
		help: "Number of attempts by Kamailio to open a TCP connection, including TLS, by result.",
		from: [][]string{{"tcp.connect_success", "success"}, {"tcp.connect_failed", "failure"}}},
	{kind: metric.Counter, name: "kamailio_tcp_local_rejects_total",
		help: "Number of incoming TCP connections that Kamailio rejected.",
		from: [][]string{{"tcp.local_reject"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connection_timeouts_total",
		help: "Number of TCP connections closed because they were idle for too long.",
		from: [][]string{{"tcp.con_timeout"}}},
	{kind: metric.Counter, name: "kamailio_tcp_connection_resets_total",
		help: "Number of TCP connections reset by the peer.",
		from: [][]string{{"tcp.con_reset"}}},
	{kind: metric.Counter, name: "kamailio_tcp_send_timeouts_total",
		help: "Number of attempts to send over TCP that timed out. Counted in asynchronous mode only.",
		from: [][]string{{"tcp.send_timeout"}}},
	{kind: metric.Counter, name: "kamailio_tcp_send_queue_full_total",
		help: "Number of attempts to send over TCP that failed because the queue was full. Counted in asynchronous mode only.",
		from: [][]string{{"tcp.sendq_full"}}},
	{kind: metric.Gauge, name: "kamailio_tcp_current_opened_connections",
		help: "Number of open TCP connections, including TLS.",
		from: [][]string{{"tcp.current_opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tcp_current_write_queue_bytes",
		help: "Bytes queued to be written to TCP connections.",
		from: [][]string{{"tcp.current_write_queue_size"}}},

	// sctp: modules/sctp/sctp_stats.c.
	{kind: metric.Counter, name: "kamailio_sctp_established_total",
		help: "Number of SCTP associations established.",
		from: [][]string{{"sctp.established"}}},
	{kind: metric.Counter, name: "kamailio_sctp_failed_connects_total",
		help: "Number of SCTP associations that Kamailio failed to open.",
		from: [][]string{{"sctp.connect_failed"}}},
	{kind: metric.Counter, name: "kamailio_sctp_local_rejects_total",
		help: "Number of incoming SCTP associations that Kamailio rejected.",
		from: [][]string{{"sctp.local_reject"}}},
	{kind: metric.Counter, name: "kamailio_sctp_remote_shutdowns_total",
		help: "Number of SCTP associations closed by the peer.",
		from: [][]string{{"sctp.remote_shutdown"}}},
	{kind: metric.Counter, name: "kamailio_sctp_association_shutdowns_total",
		help: "Number of SCTP associations that were shut down.",
		from: [][]string{{"sctp.assoc_shutdown"}}},
	{kind: metric.Counter, name: "kamailio_sctp_lost_connections_total",
		help: "Number of established SCTP associations closed because of an error.",
		from: [][]string{{"sctp.comm_lost"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_queue_full_total",
		help: "Number of attempts to send over SCTP that failed because the kernel's buffers were full.",
		from: [][]string{{"sctp.sendq_full"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_failures_total",
		help: "Number of attempts to send over SCTP that failed for any reason other than full buffers.",
		from: [][]string{{"sctp.send_failed"}}},
	{kind: metric.Counter, name: "kamailio_sctp_send_retries_total",
		help: "Number of failed attempts to send over SCTP that were repeated.",
		from: [][]string{{"sctp.send_force_retry"}}},
	{kind: metric.Gauge, name: "kamailio_sctp_current_opened_connections",
		help: "Number of open SCTP associations.",
		from: [][]string{{"sctp.current_opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_sctp_current_tracked_connections", minusOneIsNone: true,
		help: "Number of SCTP associations that Kamailio tracks. Absent if tracking is disabled.",
		from: [][]string{{"sctp.current_tracked_connections"}}},

	// tls: modules/tls/tls_mod.c, since 6.0.
	{kind: metric.Gauge, name: "kamailio_tls_opened_connections",
		help: "Number of open TLS connections.",
		from: [][]string{{"tls.opened_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tls_max_connections",
		help: "Maximum number of TLS connections.",
		from: [][]string{{"tls.max_connections"}}},
	{kind: metric.Gauge, name: "kamailio_tls_clear_text_write_queued_bytes",
		help: "Bytes queued to be encrypted and written to TLS connections.",
		from: [][]string{{"tls.clear_text_write_queued_bytes"}}},

	// websocket: modules/websocket/websocket.c. Events without a protocol, for
	// example pings, are in the totals only.
	{kind: metric.Gauge, name: "kamailio_websocket_current_connections",
		help: "Number of open WebSocket connections.",
		from: [][]string{{"websocket.ws_current_connections"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_current_connections_by_protocol", labels: []string{"protocol"},
		help: "Number of open WebSocket connections, by protocol.",
		from: [][]string{{"websocket.ws_{protocol}_current_connections", "{protocol}"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_max_concurrent_connections",
		help: "Highest number of WebSocket connections open at the same time since the start.",
		from: [][]string{{"websocket.ws_max_concurrent_connections"}}},
	{kind: metric.Gauge, name: "kamailio_websocket_max_concurrent_connections_by_protocol", labels: []string{"protocol"},
		help: "Highest number of WebSocket connections open at the same time since the start, by protocol.",
		from: [][]string{{"websocket.ws_{protocol}_max_concurrent_connections", "{protocol}"}}},
	{kind: metric.Counter, name: "kamailio_websocket_failed_connections_total",
		help: "Number of WebSocket connections that failed while Kamailio sent a frame. A client that disconnects " +
			"at another time is not counted.",
		from: [][]string{{"websocket.ws_failed_connections"}}},
	{kind: metric.Counter, name: "kamailio_websocket_failed_connections_by_protocol_total", labels: []string{"protocol"},
		help: "Number of WebSocket connections that failed while Kamailio sent a frame, by protocol. A client that " +
			"disconnects at another time is not counted.",
		from: [][]string{{"websocket.ws_{protocol}_failed_connections", "{protocol}"}}},
	{kind: metric.Counter, name: "kamailio_websocket_closed_connections_total", labels: []string{"side"},
		help: "Number of WebSocket connections closed with a Close frame, by the side that closed them. A client " +
			"that disconnects without one is not counted.",
		from: [][]string{{"websocket.ws_local_closed_connections", "local"}, {"websocket.ws_remote_closed_connections", "remote"}}},
	{kind: metric.Counter, name: "kamailio_websocket_closed_connections_by_protocol_total", labels: []string{"protocol", "side"},
		help: "Number of WebSocket connections closed with a Close frame, by protocol and by the side that closed " +
			"them. A client that disconnects without one is not counted.",
		from: [][]string{
			{"websocket.ws_{protocol}_local_closed_connections", "{protocol}", "local"},
			{"websocket.ws_{protocol}_remote_closed_connections", "{protocol}", "remote"},
		}},
	{kind: metric.Counter, name: "kamailio_websocket_frames_total", labels: []string{"direction"},
		help: "Number of WebSocket frames, by direction.",
		from: [][]string{{"websocket.ws_received_frames", "received"}, {"websocket.ws_transmitted_frames", "transmitted"}}},
	{kind: metric.Counter, name: "kamailio_websocket_frames_by_protocol_total", labels: []string{"direction", "protocol"},
		help: "Number of WebSocket frames, by direction and protocol.",
		from: [][]string{
			{"websocket.ws_{protocol}_received_frames", "received", "{protocol}"},
			{"websocket.ws_{protocol}_transmitted_frames", "transmitted", "{protocol}"},
		}},
	{kind: metric.Counter, name: "kamailio_websocket_handshakes_total", labels: []string{"result"},
		help: "Number of WebSocket handshakes, by result.",
		from: [][]string{{"websocket.ws_successful_handshakes", "success"}, {"websocket.ws_failed_handshakes", "failure"}}},
	{kind: metric.Counter, name: "kamailio_websocket_successful_handshakes_by_protocol_total", labels: []string{"protocol"},
		help: "Number of successful WebSocket handshakes, by protocol.",
		from: [][]string{{"websocket.ws_{protocol}_successful_handshakes", "{protocol}"}}},
}

var transactionStatistics = []statisticFamily{
	// sl: modules/sl/sl_stats.c. A class counts those of its codes that have no
	// statistic of their own.
	{kind: metric.Counter, name: "kamailio_sl_replies_total", labels: []string{"code"},
		help: "Number of replies sent without a transaction, by code. A class such as 4xx counts the codes of the " +
			"class that have no series of their own, and xxx codes outside of all classes.",
		from: [][]string{{"sl.{class}_replies", "{class}"}, {"sl.{code}_replies", "{code}"}, {"sl.xxx_replies", "xxx"}}},
	{kind: metric.Counter, name: "kamailio_sl_sent_replies_total",
		help: "Number of replies sent without a transaction, with any code.",
		from: [][]string{{"sl.sent_replies"}}},
	{kind: metric.Counter, name: "kamailio_sl_failures_total",
		help: "Number of replies without a transaction that could not be sent.",
		from: [][]string{{"sl.failures"}}},
	{kind: metric.Counter, name: "kamailio_sl_received_acks_total",
		help: "Number of ACKs received for replies sent without a transaction.",
		from: [][]string{{"sl.received_ACKs"}}},

	// tmx: modules/tmx/tmx_mod.c, over modules/tm/t_stats.h. Despite its name,
	// UAS_transactions also counts transactions that Kamailio started. Differences
	// of two counters can decrease and be negative, so they are gauges.
	{kind: metric.Counter, name: "kamailio_tmx_uas_transactions_total",
		help: "Number of transactions created, including those that Kamailio started itself.",
		from: [][]string{{"tmx.UAS_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_uac_transactions_total",
		help: "Number of transactions that Kamailio started itself.",
		from: [][]string{{"tmx.UAC_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_completed_transactions_total", labels: []string{"class"},
		help: "Number of completed transactions, by class of their final reply.",
		from: [][]string{{"tmx.{class}_transactions", "{class}"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_inuse_transactions", signed: true,
		help: "Number of transactions in memory.",
		from: [][]string{{"tmx.inuse_transactions"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_active_transactions", signed: true,
		help: "Number of transactions that are not completed.",
		from: [][]string{{"tmx.active_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tmx_received_replies_total",
		help: "Number of replies received for transactions.",
		from: [][]string{{"tmx.rpl_received"}}},
	{kind: metric.Counter, name: "kamailio_tmx_generated_replies_total",
		help: "Number of replies for transactions that Kamailio generated itself.",
		from: [][]string{{"tmx.rpl_generated"}}},
	{kind: metric.Counter, name: "kamailio_tmx_sent_replies_total",
		help: "Number of replies sent for transactions, both relayed and generated.",
		from: [][]string{{"tmx.rpl_sent"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_relayed_replies", signed: true,
		help: "Number of replies relayed since the start, computed as sent minus generated replies.",
		from: [][]string{{"tmx.rpl_relayed"}}},
	{kind: metric.Gauge, name: "kamailio_tmx_absorbed_replies", signed: true,
		help: "Number of replies absorbed since the start, computed as received minus relayed replies. Can be negative.",
		from: [][]string{{"tmx.rpl_absorbed"}}},

	// tsilo: modules/tsilo/tsilo.c.
	{kind: metric.Gauge, name: "kamailio_tsilo_stored_ruris",
		help: "Number of request URIs that have stored transactions.",
		from: [][]string{{"tsilo.stored_ruris"}}},
	{kind: metric.Gauge, name: "kamailio_tsilo_stored_transactions",
		help: "Number of stored transactions.",
		from: [][]string{{"tsilo.stored_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_ruris_total",
		help: "Number of request URIs for which transactions were stored.",
		from: [][]string{{"tsilo.total_ruris"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_transactions_total",
		help: "Number of transactions that were stored.",
		from: [][]string{{"tsilo.total_transactions"}}},
	{kind: metric.Counter, name: "kamailio_tsilo_added_branches_total",
		help: "Number of branches added to stored transactions.",
		from: [][]string{{"tsilo.added_branches"}}},
}

var registrationStatistics = []statisticFamily{
	// registrar: modules/registrar/registrar.c.
	{kind: metric.Counter, name: "kamailio_registrar_registrations_total", labels: []string{"result"},
		help: "Number of REGISTER requests, by result.",
		from: [][]string{{"registrar.accepted_regs", "accepted"}, {"registrar.rejected_regs", "rejected"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_max_contacts",
		help: "Maximum number of contacts of a user, 0 for no limit.",
		from: [][]string{{"registrar.max_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_max_expires_seconds",
		help: "Maximum expiry time of a registration, 0 for no limit. If it is changed over RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"registrar.max_expires"}}},
	{kind: metric.Gauge, name: "kamailio_registrar_default_expires_seconds",
		help: "Expiry time of a registration that does not request one. If it is changed over RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"registrar.default_expire"}}},

	// usrloc: modules/usrloc/usrloc_mod.c and udomain.c; p_usrloc and
	// ims_usrloc_pcscf register those by domain too.
	{kind: metric.Gauge, name: "kamailio_usrloc_registered_users",
		help: "Number of registered addresses of record in all domains. Always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.registered_users"}}},
	{kind: metric.Gauge, name: "kamailio_usrloc_users", labels: []string{"domain"},
		help: "Number of registered addresses of record, by domain of usrloc, which is a table. Always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}users", "{domain}"}}},
	{kind: metric.Gauge, name: "kamailio_usrloc_contacts", labels: []string{"domain"},
		help: "Number of registered contacts, by domain of usrloc, which is a table. Always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}contacts", "{domain}"}}},
	{kind: metric.Counter, name: "kamailio_usrloc_expired_contacts_total", labels: []string{"domain"},
		help: "Number of contacts that expired, by domain of usrloc, which is a table. Always 0 with db_mode 3 (database only).",
		from: [][]string{{"usrloc.{domain}{sep}expires", "{domain}"}}},

	// nat_traversal: modules/nat_traversal/nat_traversal.c. An endpoint can
	// be kept alive for several reasons.
	{kind: metric.Gauge, name: "kamailio_nat_traversal_keepalive_endpoints",
		help: "Number of endpoints that are kept alive.",
		from: [][]string{{"nat_traversal.keepalive_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_registered_endpoints",
		help: "Number of endpoints that are kept alive for a registration.",
		from: [][]string{{"nat_traversal.registered_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_subscribed_endpoints",
		help: "Number of endpoints that are kept alive for a subscription.",
		from: [][]string{{"nat_traversal.subscribed_endpoints"}}},
	{kind: metric.Gauge, name: "kamailio_nat_traversal_dialog_endpoints",
		help: "Number of endpoints that are kept alive for a dialog.",
		from: [][]string{{"nat_traversal.dialog_endpoints"}}},
}

var dialogStatistics = []statisticFamily{
	// dialog: modules/dialog/dialog.c. A dialog is either early or active.
	{kind: metric.Gauge, name: "kamailio_dialog_dialogs", labels: []string{"state"},
		help: "Number of dialogs by state: early after a provisional reply, active after the INVITE was accepted.",
		from: [][]string{{"dialog.early_dialogs", "early"}, {"dialog.active_dialogs", "active"}}},
	{kind: metric.Counter, name: "kamailio_dialog_processed_total",
		help: "Number of dialogs created.",
		from: [][]string{{"dialog.processed_dialogs"}}},
	{kind: metric.Counter, name: "kamailio_dialog_expired_total",
		help: "Number of dialogs that timed out.",
		from: [][]string{{"dialog.expired_dialogs"}}},
	{kind: metric.Counter, name: "kamailio_dialog_failed_total",
		help: "Number of dialogs that failed before they were established.",
		from: [][]string{{"dialog.failed_dialogs"}}},

	// dialog_ng: modules/ims_dialog/dlg_ng_stats.c.
	{kind: metric.Gauge, name: "kamailio_dialog_ng_dialogs", labels: []string{"state"},
		help: "Number of dialogs of ims_dialog by state: early after a provisional reply, active after the INVITE was accepted.",
		from: [][]string{{"dialog_ng.early", "early"}, {"dialog_ng.active", "active"}}},
	{kind: metric.Counter, name: "kamailio_dialog_ng_processed_total",
		help: "Number of dialogs of ims_dialog created.",
		from: [][]string{{"dialog_ng.processed"}}},
	{kind: metric.Counter, name: "kamailio_dialog_ng_expired_total",
		help: "Number of dialogs of ims_dialog that timed out.",
		from: [][]string{{"dialog_ng.expired"}}},

	// dlgs: modules/dlgs/dlgs_stats.c, after 6.1.
	{kind: metric.Gauge, name: "kamailio_dlgs_active", labels: []string{"state"},
		help: "Number of dialogs of dlgs in memory, by state.",
		from: [][]string{{"dlgs.active_{state}", "{state}"}}},
	{kind: metric.Counter, name: "kamailio_dlgs_final_total", labels: []string{"state"},
		help: "Number of dialogs of dlgs removed from memory, by their last state.",
		from: [][]string{{"dlgs.final_{state}", "{state}"}}},
}

var messageStatistics = []statisticFamily{
	// msilo: modules/msilo/msilo.c.
	{kind: metric.Counter, name: "kamailio_msilo_stored_messages_total",
		help: "Number of messages stored.",
		from: [][]string{{"msilo.stored_messages"}}},
	{kind: metric.Counter, name: "kamailio_msilo_failed_messages_total",
		help: "Number of stored messages that could not be delivered.",
		from: [][]string{{"msilo.failed_messages"}}},
	{kind: metric.Counter, name: "kamailio_msilo_failed_reminders_total",
		help: "Number of reminders that could not be delivered.",
		from: [][]string{{"msilo.failed_reminders"}}},

	// siptrace: modules/siptrace/siptrace.c.
	{kind: metric.Counter, name: "kamailio_siptrace_traced_messages_total", labels: []string{"type"},
		help: "Number of SIP messages traced, by type.",
		from: [][]string{{"siptrace.traced_requests", "request"}, {"siptrace.traced_replies", "reply"}}},

	// sipcapture: modules/sipcapture/sipcapture.c.
	{kind: metric.Counter, name: "kamailio_sipcapture_captured_messages_total", labels: []string{"mode", "type"},
		help: "Number of SIP messages captured, by capture mode and type. The mode is empty for the default mode.",
		from: [][]string{
			{"sipcapture.captured_requests", "", "request"},
			{"sipcapture.captured_replies", "", "reply"},
			{"sipcapture.captured_requests[{mode}]", "{mode}", "request"},
			{"sipcapture.captured_replies[{mode}]", "{mode}", "reply"},
		}},

	// snmpstats: modules/snmpstats/snmpstats.c.
	{kind: metric.Counter, name: "kamailio_snmpstats_replies_total", labels: []string{"code", "direction"},
		help: "Number of replies, by direction, for the codes that snmpstats counts.",
		from: [][]string{{"snmpstats.{code}_in", "{code}", "in"}, {"snmpstats.{code}_out", "{code}", "out"}}},
}

var clientStatistics = []statisticFamily{
	// httpclient: modules/http_client/http_client.c.
	{kind: metric.Gauge, name: "kamailio_httpclient_connections",
		help: "Number of connections defined for http_client.",
		from: [][]string{{"httpclient.connections"}}},
	{kind: metric.Counter, name: "kamailio_httpclient_requests_total", labels: []string{"result"},
		help: "Number of HTTP requests of http_client, by result. Any reply other than 200 is a failure.",
		from: [][]string{{"httpclient.connok", "success"}, {"httpclient.connfail", "failure"}}},

	// http_async_client: modules/http_async_client/http_async_client_mod.c. A
	// request can count as both timed out and failed.
	{kind: metric.Counter, name: "kamailio_http_async_client_requests_total",
		help: "Number of HTTP requests of http_async_client.",
		from: [][]string{{"http_async_client.requests"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_replies_total",
		help: "Number of replies to HTTP requests of http_async_client.",
		from: [][]string{{"http_async_client.replies"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_errors_total",
		help: "Number of HTTP requests of http_async_client that failed.",
		from: [][]string{{"http_async_client.errors"}}},
	{kind: metric.Counter, name: "kamailio_http_async_client_timeouts_total",
		help: "Number of HTTP requests of http_async_client that timed out.",
		from: [][]string{{"http_async_client.timeouts"}}},

	// kafka: modules/kafka/kafka_mod.c and kfk.c. The total includes the
	// errors.
	{kind: metric.Counter, name: "kamailio_kafka_deliveries_total",
		help: "Number of messages that were delivered to Kafka or that failed.",
		from: [][]string{{"kafka.total_messages"}}},
	{kind: metric.Counter, name: "kamailio_kafka_failed_deliveries_total",
		help: "Number of messages that could not be delivered to Kafka.",
		from: [][]string{{"kafka.total_messages_err"}}},
}

var imsStatistics = []statisticFamily{
	// cdp: modules/cdp/cdp_stats.c. Times are in milliseconds, here and in the
	// other IMS groups, although some descriptions in the source say otherwise.
	{kind: metric.Counter, name: "kamailio_cdp_timeouts_total",
		help: "Number of Diameter requests that timed out.",
		from: [][]string{{"cdp.timeout"}}},
	{kind: metric.Counter, name: "kamailio_cdp_replies_total",
		help: "Number of Diameter replies received.",
		from: [][]string{{"cdp.replies_received"}}},
	{kind: metric.Counter, name: "kamailio_cdp_response_seconds_total", scale: milliseconds,
		help: "Total response time of Diameter requests.",
		from: [][]string{{"cdp.replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_cdp_average_response_seconds", scale: milliseconds,
		help: "Average response time of Diameter requests since the start.",
		from: [][]string{{"cdp.average_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_cdp_queue_length",
		help: "Number of Diameter messages that wait for a worker.",
		from: [][]string{{"cdp.queuelength"}}},

	// ims_auth: modules/ims_auth/ims_auth_mod.c and stats.c.
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_timeouts_total",
		help: "Number of Multimedia-Auth-Requests that timed out.",
		from: [][]string{{"ims_auth.mar_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_replies_total",
		help: "Number of replies to Multimedia-Auth-Requests.",
		from: [][]string{{"ims_auth.mar_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_auth_mar_response_seconds_total", scale: milliseconds,
		help: "Total response time of Multimedia-Auth-Requests.",
		from: [][]string{{"ims_auth.mar_replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_auth_mar_average_response_seconds", scale: milliseconds,
		help: "Average response time of Multimedia-Auth-Requests since the start.",
		from: [][]string{{"ims_auth.mar_avg_response_time"}}},

	// ims_icscf: modules/ims_icscf/ims_icscf_mod.c and stats.c.
	{kind: metric.Counter, name: "kamailio_ims_icscf_timeouts_total", labels: []string{"request"},
		help: "Number of Diameter requests that timed out, by type UAR or LIR.",
		from: [][]string{{"ims_icscf.{request}_timeouts", "{request}"}}},
	{kind: metric.Counter, name: "kamailio_ims_icscf_replies_total", labels: []string{"request"},
		help: "Number of replies to Diameter requests, by type UAR or LIR.",
		from: [][]string{{"ims_icscf.{request}_replies_received", "{request}"}}},
	{kind: metric.Counter, name: "kamailio_ims_icscf_response_seconds_total", scale: milliseconds, labels: []string{"request"},
		help: "Total response time of Diameter requests, by type UAR or LIR.",
		from: [][]string{{"ims_icscf.{request}_replies_response_time", "{request}"}}},
	{kind: metric.Gauge, name: "kamailio_ims_icscf_average_response_seconds", scale: milliseconds, labels: []string{"request"},
		help: "Average response time of Diameter requests since the start, by type UAR or LIR.",
		from: [][]string{{"ims_icscf.{request}_avg_response_time", "{request}"}}},

	// ims_registrar_scscf: modules/ims_registrar_scscf/ims_registrar_scscf_mod.c
	// and stats.c. The settings have the same meaning as those
	// of registrar.
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_registrations_total", labels: []string{"result"},
		help: "Number of REGISTER requests, by result.",
		from: [][]string{{"ims_registrar_scscf.accepted_regs", "accepted"}, {"ims_registrar_scscf.rejected_regs", "rejected"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_max_contacts",
		help: "Maximum number of contacts of a user, 0 for no limit.",
		from: [][]string{{"ims_registrar_scscf.max_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_max_expires_seconds",
		help: "Maximum expiry time of a registration, 0 for no limit. If it is changed over RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"ims_registrar_scscf.max_expires"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_default_expires_seconds",
		help: "Expiry time of a registration that does not request one. If it is changed over RPC, Kamailio adds the new value to the old one.",
		from: [][]string{{"ims_registrar_scscf.default_expire"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_queued_notifies",
		help: "Number of NOTIFY requests that wait to be sent.",
		from: [][]string{{"ims_registrar_scscf.notifies_in_q"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_timeouts_total",
		help: "Number of Server-Assignment-Requests that timed out.",
		from: [][]string{{"ims_registrar_scscf.sar_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_replies_total",
		help: "Number of replies to Server-Assignment-Requests.",
		from: [][]string{{"ims_registrar_scscf.sar_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_registrar_scscf_sar_response_seconds_total", scale: milliseconds,
		help: "Total response time of Server-Assignment-Requests.",
		from: [][]string{{"ims_registrar_scscf.sar_replies_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_registrar_scscf_sar_average_response_seconds", scale: milliseconds,
		help: "Average response time of Server-Assignment-Requests since the start.",
		from: [][]string{{"ims_registrar_scscf.sar_avg_response_time"}}},

	// ims_usrloc_pcscf: modules/ims_usrloc_pcscf/ims_usrloc_pcscf_mod.c and
	// dlist.c.
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_pcscf_registered_contacts",
		help: "Number of registered contacts in all domains.",
		from: [][]string{{"ims_usrloc_pcscf.registered_contacts"}}},
	{kind: metric.Counter, name: "kamailio_ims_usrloc_pcscf_expired_contacts_total",
		help: "Number of contacts that expired in all domains.",
		from: [][]string{{"ims_usrloc_pcscf.expired_contacts"}}},

	// ims_usrloc_scscf: modules/ims_usrloc_scscf/ul_scscf_stats.c.
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_subscriptions",
		help: "Number of registered subscriptions.",
		from: [][]string{{"ims_usrloc_scscf.active_subscriptions"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_impus",
		help: "Number of registered public identities.",
		from: [][]string{{"ims_usrloc_scscf.active_impus"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_contacts",
		help: "Number of registered contacts.",
		from: [][]string{{"ims_usrloc_scscf.active_contacts"}}},
	{kind: metric.Gauge, name: "kamailio_ims_usrloc_scscf_max_collisions", signed: true, labels: []string{"table"},
		help: "Highest number of entries in one slot of the hash table since the start. The table impus has -1 until its first entry.",
		from: [][]string{
			{"ims_usrloc_scscf.subscription_collisions", "subscriptions"},
			{"ims_usrloc_scscf.impu_collisions", "impus"},
			{"ims_usrloc_scscf.contact_collisions", "contacts"},
		}},

	// ims_charging: modules/ims_charging/ims_charging_stats.c.
	{kind: metric.Gauge, name: "kamailio_ims_charging_ro_sessions",
		help: "Number of open charging sessions.",
		from: [][]string{{"ims_charging.active_ro_sessions"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_billed_seconds_total",
		help: "Total time billed.",
		from: [][]string{{"ims_charging.billed_secs"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_killed_calls_total",
		help: "Number of calls that were ended because of missing credit.",
		from: [][]string{{"ims_charging.killed_calls"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccrs_total", labels: []string{"type"},
		help: "Number of Credit-Control-Requests, by type.",
		from: [][]string{{"ims_charging.initial_ccrs", "initial"}, {"ims_charging.interim_ccrs", "interim"}, {"ims_charging.final_ccrs", "final"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_results_total", labels: []string{"result", "type"},
		help: "Number of Credit-Control-Requests that succeeded or failed, by type.",
		from: [][]string{
			{"ims_charging.successful_{type}_ccrs", "success", "{type}"},
			{"ims_charging.failed_{type}_ccrs", "failure", "{type}"},
		}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_timeouts_total",
		help: "Number of Credit-Control-Requests that timed out.",
		from: [][]string{{"ims_charging.ccr_timeouts"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_replies_total",
		help: "Number of replies to Credit-Control-Requests.",
		from: [][]string{{"ims_charging.ccr_replies_received"}}},
	{kind: metric.Counter, name: "kamailio_ims_charging_ccr_response_seconds_total", scale: milliseconds,
		help: "Total response time of Credit-Control-Requests.",
		from: [][]string{{"ims_charging.ccr_response_time"}}},
	{kind: metric.Gauge, name: "kamailio_ims_charging_ccr_average_response_seconds", scale: milliseconds,
		help: "Average response time of Credit-Control-Requests since the start.",
		from: [][]string{{"ims_charging.ccr_avg_response_time"}}},

	// ims_qos: modules/ims_qos/ims_qos_stats.c. An AAR is counted when its
	// reply arrives.
	{kind: metric.Gauge, name: "kamailio_ims_qos_rx_sessions", labels: []string{"type"},
		help: "Number of open Rx sessions, by type.",
		from: [][]string{{"ims_qos.active_registration_rx_sessions", "registration"}, {"ims_qos.active_media_rx_sessions", "media"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_media_rx_sessions_total",
		help: "Number of Rx sessions opened for media.",
		from: [][]string{{"ims_qos.media_rx_sessions"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_asrs_total",
		help: "Number of Abort-Session-Requests received.",
		from: [][]string{{"ims_qos.asrs"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aars_total", labels: []string{"type"},
		help: "Number of AA-Requests that received a reply, by type.",
		from: [][]string{{"ims_qos.registration_aars", "registration"}, {"ims_qos.media_aars", "media"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_results_total", labels: []string{"result", "type"},
		help: "Number of AA-Requests that succeeded or failed, by type.",
		from: [][]string{
			{"ims_qos.successful_{type}_aars", "success", "{type}"},
			{"ims_qos.failed_{type}_aars", "failure", "{type}"},
		}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_timeouts_total", labels: []string{"type"},
		help: "Number of AA-Requests that timed out, by type.",
		from: [][]string{{"ims_qos.{type}_aar_timeouts", "{type}"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_replies_total", labels: []string{"type"},
		help: "Number of replies to AA-Requests, by type.",
		from: [][]string{{"ims_qos.{type}_aar_replies_received", "{type}"}}},
	{kind: metric.Counter, name: "kamailio_ims_qos_aar_response_seconds_total", scale: milliseconds, labels: []string{"type"},
		help: "Total response time of AA-Requests, by type.",
		from: [][]string{{"ims_qos.{type}_aar_response_time", "{type}"}}},
	{kind: metric.Gauge, name: "kamailio_ims_qos_aar_average_response_seconds", scale: milliseconds, labels: []string{"type"},
		help: "Average response time of AA-Requests since the start, by type.",
		from: [][]string{{"ims_qos.{type}_aar_avg_response_time", "{type}"}}},
}
