package main

// instance shows one Kamailio: whether it works, what it does, and what it will run out of.
func instance() *builder {
	return newDashboard("kamailio-instance", "Instance", "One Kamailio: whether it works, what it does, and what it runs out of.", oneInstance()).
		WithPanel(figure("RPC", "Whether Kamailio replies to RPC.", "short", `max(kamailio_up{SELECTOR})`).
			Mappings(upDown)).
		WithPanel(figure("Uptime", "Time since Kamailio started.", "s", `time() - max(kamailio_start_time_seconds{SELECTOR})`, below("orange"), from(300, "green"))).
		WithPanel(figure("Sockets without SIP", "SIP sockets that did not answer an OPTIONS request. Needs SIP probes.", "short",
			`sum(max by (socket, transport) (kamailio_sip_up{SELECTOR}) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Failing methods", "RPC methods whose reply did not arrive, or could not be read. The log of the exporter has the reasons.", "short",
			`sum(max by (collector) (kamailio_exporter_collector_success{SELECTOR}) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Calls in progress", "Established dialogs. Needs the Kamailio module dialog.", "short",
			`max(kamailio_dialog_dialogs{SELECTOR,state="active"})`)).
		WithPanel(figure("Shared memory used", "Kamailio cannot handle calls without free shared memory.", "percentunit",
			`max(1 - kamailio_shmem_free_bytes{SELECTOR} / kamailio_shmem_total_bytes{SELECTOR})`, from(0.8, "orange"), from(0.9, "red"))).
		WithRow(row("SIP")).
		WithPanel(graph("Requests received", "By method. Retransmissions count too.", "reqps",
			query{`sum by (method) (rate(kamailio_core_received_requests_total{SELECTOR}[$__rate_interval]))`, "{{method}}"})).
		WithPanel(graph("Completed transactions", "By class of the final reply. A growing share of 5xx and 6xx shows a failing gateway or a failing Kamailio.", "reqps",
			query{`sum by (class) (rate(kamailio_tmx_completed_transactions_total{SELECTOR}[$__rate_interval]))`, "{{class}}"})).
		WithPanel(states("SIP sockets", "Whether each socket answered an OPTIONS request. If it did not and RPC works, the processes that receive SIP hang.", upDown,
			query{`max by (transport, socket) (kamailio_sip_up{SELECTOR})`, "{{transport}} {{socket}}"})).
		WithPanel(graph("SIP response time", "From the first OPTIONS request to the response. It grows before receivers hang: look at the queues of the sockets.", "s",
			query{`max by (transport, socket) (kamailio_sip_response_seconds{SELECTOR})`, "{{transport}} {{socket}}"})).
		WithPanel(graph("Dialogs", "Early dialogs that grow while active ones do not: calls are not answered.", "short",
			query{`max by (state) (kamailio_dialog_dialogs{SELECTOR})`, "{{state}}"})).
		WithRow(row("Transactions")).
		WithPanel(graph("Transactions in memory", "They should follow the number of requests. If they pile up, replies do not arrive, or a process hangs.", "short",
			query{`max(kamailio_tmx_inuse_transactions{SELECTOR})`, "all"}, query{`max(kamailio_tm_stats_waiting{SELECTOR})`, "waiting to be freed"})).
		WithPanel(graph("Transactions created", "Those of Kamailio itself are pings and keepalives for the most part. Any number freed late means that a process held a transaction too long.", "reqps",
			query{`sum(rate(kamailio_tmx_uas_transactions_total{SELECTOR}[$__rate_interval]))`, "all"},
			query{`sum(rate(kamailio_tmx_uac_transactions_total{SELECTOR}[$__rate_interval]))`, "by Kamailio itself"},
			query{`sum(rate(kamailio_tm_stats_delayed_free_total{SELECTOR}[$__rate_interval]))`, "freed late"})).
		WithRow(row("Sockets and connections")).
		WithPanel(graph("Bytes that wait on UDP sockets", "Near 0 while Kamailio keeps up. A queue that grows means that all receivers of the socket are busy or hang. Needs --kamailio.host.", "bytes",
			query{`max by (socket) (kamailio_socket_receive_queue_bytes{SELECTOR})`, "{{socket}}"})).
		WithPanel(graph("Packets dropped by UDP sockets", "Requests and replies that Kamailio never saw, because the queue of the socket was full. Needs --kamailio.host.", "pps",
			query{`sum by (socket) (rate(kamailio_socket_dropped_packets_total{SELECTOR}[$__rate_interval]))`, "{{socket}}"})).
		WithPanel(graph("TCP and TLS connections, of the maximum", "At 100 % Kamailio rejects new connections.", "percentunit",
			query{`max(kamailio_tcp_current_opened_connections{SELECTOR} / kamailio_core_tcp_info_max_connections{SELECTOR})`, "TCP, including TLS"},
			query{`max(kamailio_tls_opened_connections{SELECTOR} / kamailio_tls_max_connections{SELECTOR}
  or kamailio_core_tcp_info_opened_tls_connections{SELECTOR} / kamailio_core_tcp_info_max_tls_connections{SELECTOR})`, "TLS"}).Max(1)).
		WithPanel(graph("Failed TCP connections", "Send timeouts mean that a peer does not read: Kamailio closes the connection.", "cps",
			query{`sum by (result) (rate(kamailio_tcp_connects_total{SELECTOR,result="failure"}[$__rate_interval]))`, "connect failed"},
			query{`sum(rate(kamailio_tcp_send_timeouts_total{SELECTOR}[$__rate_interval]))`, "send timed out"},
			query{`sum(rate(kamailio_tcp_connection_resets_total{SELECTOR}[$__rate_interval]))`, "reset"})).
		WithRow(row("Users")).
		WithPanel(graph("Registered contacts", "A sharp fall means that users cannot register, or that a network lost its connection.", "short",
			query{`max by (domain) (kamailio_usrloc_contacts{SELECTOR})`, "{{domain}}"})).
		WithPanel(graph("Registrations", "Rejected ones grow when a script tries passwords, or when the database fails.", "reqps",
			query{`sum by (result) (rate(kamailio_registrar_registrations_total{SELECTOR}[$__rate_interval]))`, "{{result}}"}))
}
