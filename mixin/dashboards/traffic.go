package main

// traffic shows what SIP messages Kamailio gets and sends, and how calls end.
func traffic() *builder {
	const final = `rate(kamailio_tmx_completed_transactions_total{SELECTOR}[$__rate_interval])`
	return newDashboard("kamailio-traffic", "SIP traffic and quality", "What SIP messages Kamailio gets and sends, how transactions end, and what is rejected or lost.", instances()).
		WithRow(row("Traffic")).
		WithPanel(graph("Requests received", "By method. Retransmissions count too: compare with the transactions created.", "reqps",
			query{`sum by (method) (rate(kamailio_core_received_requests_total{SELECTOR}[$__rate_interval]))`, "{{method}}"})).
		WithPanel(graph("Replies received", "By class.", "reqps",
			query{`sum by (class) (rate(kamailio_core_received_replies_total{SELECTOR}[$__rate_interval]))`, "{{class}}"})).
		WithPanel(graph("Replies sent", "In transactions by the Kamailio module tm, without by sl.", "reqps",
			query{`sum(rate(kamailio_tmx_sent_replies_total{SELECTOR}[$__rate_interval]))`, "in transactions"},
			query{`sum(rate(kamailio_sl_sent_replies_total{SELECTOR}[$__rate_interval]))`, "without a transaction"})).
		WithPanel(graph("Requests for each new transaction", "About 1 if nothing is sent twice, 2 if each request arrives twice: then peers do not get replies in time. ACK is not counted.", "short",
			query{`sum by (instance) (rate(kamailio_core_received_requests_total{SELECTOR,method!="ACK"}[$__rate_interval]))
/ sum by (instance) (rate(kamailio_tmx_uas_transactions_total{SELECTOR}[$__rate_interval]) - rate(kamailio_tmx_uac_transactions_total{SELECTOR}[$__rate_interval])
  + rate(kamailio_sl_sent_replies_total{SELECTOR}[$__rate_interval]))`, "{{instance}}"})).
		WithRow(row("Quality")).
		WithPanel(graph("Completed transactions", "By class of the final reply, of all methods: REGISTER, BYE and pings too.", "reqps",
			query{`sum by (class) (` + final + `)`, "{{class}}"})).
		WithPanel(graph("Share of each class", "A change of the mix shows a problem sooner than numbers, which follow the traffic.", "percentunit",
			query{`sum by (class) (` + final + `) / scalar(sum(` + final + `))`, "{{class}}"}).Max(1)).
		WithPanel(graph("Dialogs that failed or timed out", "Failed: the call was not established. Timed out: neither side ended the call.", "cps",
			query{`sum(rate(kamailio_dialog_failed_total{SELECTOR}[$__rate_interval]))`, "failed"},
			query{`sum(rate(kamailio_dialog_expired_total{SELECTOR}[$__rate_interval]))`, "timed out"},
			query{`sum(rate(kamailio_dialog_processed_total{SELECTOR}[$__rate_interval]))`, "all"})).
		WithPanel(graph("Share of dialogs that did not fail", "Share of the INVITE requests for which the routing script creates a dialog.", "percentunit",
			query{`1 - sum by (instance) (rate(kamailio_dialog_failed_total{SELECTOR}[$__rate_interval])) / sum by (instance) (rate(kamailio_dialog_processed_total{SELECTOR}[$__rate_interval]))`, "{{instance}}"}).Max(1)).
		WithRow(row("Rejected and lost")).
		WithPanel(graph("Messages that Kamailio could not use", "A few come from scanners. Many at once: a peer was changed, or something sends garbage.", "reqps",
			query{`sum(rate(kamailio_core_bad_headers_total{SELECTOR}[$__rate_interval]))`, "bad header"},
			query{`sum(rate(kamailio_core_bad_uris_total{SELECTOR}[$__rate_interval]))`, "bad URI"},
			query{`sum by (type) (rate(kamailio_core_bogus_messages_total{SELECTOR}[$__rate_interval]))`, "incomplete {{type}}"},
			query{`sum(rate(kamailio_core_unsupported_methods_total{SELECTOR}[$__rate_interval]))`, "unknown method"},
			query{`sum by (type) (rate(kamailio_core_dropped_messages_total{SELECTOR}[$__rate_interval]))`, "dropped {{type}}"})).
		WithPanel(graph("Packets dropped by UDP sockets", "Messages that Kamailio never saw. Needs --kamailio.host.", "pps",
			query{`sum by (instance, socket) (rate(kamailio_socket_dropped_packets_total{SELECTOR}[$__rate_interval]))`, "{{instance}} {{socket}}"})).
		WithPanel(graph("Addresses blocked by pike", "Addresses that sent too many requests. An address can have many customers behind it.", "cps",
			query{`sum by (instance) (rate(kamailio_pike_blocked_ips_total{SELECTOR}[$__rate_interval]))`, "{{instance}}"})).
		WithPanel(graph("Registrations", "A growing share of rejected ones: passwords are tried, or the database fails.", "reqps",
			query{`sum by (instance, result) (rate(kamailio_registrar_registrations_total{SELECTOR}[$__rate_interval]))`, "{{instance}} {{result}}"})).
		WithPanel(graph("DNS", "Slow and failed lookups block the process that makes them, and so the messages that wait for it.", "reqps",
			query{`sum by (instance) (rate(kamailio_dns_failed_requests_total{SELECTOR}[$__rate_interval]))`, "{{instance}} failed"},
			query{`sum by (instance) (rate(kamailio_dns_slow_requests_total{SELECTOR}[$__rate_interval]))`, "{{instance}} slow"})).
		WithPanel(graph("Errors of sending", "TCP timeouts mean that a peer does not read, failed connects that it does not listen.", "cps",
			query{`sum by (instance) (rate(kamailio_sl_failures_total{SELECTOR}[$__rate_interval]))`, "{{instance}} replies of sl"},
			query{`sum by (instance) (rate(kamailio_tcp_send_timeouts_total{SELECTOR}[$__rate_interval]))`, "{{instance}} TCP timeouts"},
			query{`sum by (instance) (rate(kamailio_tcp_connects_total{SELECTOR,result="failure"}[$__rate_interval]))`, "{{instance}} TCP connects"}))
}
