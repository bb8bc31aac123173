package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// fleet shows all Kamailios, what is broken first. Series are counted once for each instance, because several jobs may scrape one
// Kamailio.
func fleet() *builder {
	return newDashboard("kamailio-fleet", "Fleet", "All Kamailios: which of them do not work, and how much traffic each has.", instances()).
		WithPanel(figure("Up", "Kamailios that reply to RPC.", "short", `count(max by (instance) (kamailio_up{SELECTOR}) == 1)`)).
		WithPanel(figure("Down", "Kamailios that do not reply to RPC. Look at these first.", "short",
			`sum(max by (instance) (kamailio_up{SELECTOR}) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Sockets without SIP", "SIP sockets that did not answer an OPTIONS request. Needs SIP probes.", "short",
			`sum(max by (instance, socket, transport) (kamailio_sip_up{SELECTOR}) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Gateways down", "Dispatcher destinations that Kamailio does not use because pings to them failed.", "short",
			`sum(max by (instance, setid, uri, index) (kamailio_dispatcher_destination_state{SELECTOR,state="inactive"}))`, from(1, "orange"))).
		WithPanel(figure("Calls in progress", "Established dialogs of all Kamailios.", "short",
			`sum(max by (instance) (kamailio_dialog_dialogs{SELECTOR,state="active"}))`)).
		WithPanel(figure("Requests", "SIP requests received each second. Retransmissions count too.", "reqps",
			`sum(max by (instance, method) (rate(kamailio_core_received_requests_total{SELECTOR}[$__rate_interval])))`)).
		WithPanel(instanceTable("A row for each Kamailio. Sort by a column to find the worst one; a name opens the dashboard of that Kamailio.",
			column{title: "RPC", expr: `max by (instance) (kamailio_up{SELECTOR})`, mappings: upDown, steps: []dashboard.Threshold{}},
			column{expr: `max by (instance, version) (kamailio_build_info{SELECTOR})`},
			column{title: "Uptime", unit: "s", expr: `time() - max by (instance) (kamailio_start_time_seconds{SELECTOR})`},
			column{title: "Failing methods", expr: `sum by (instance) (kamailio_exporter_collector_success{SELECTOR} == bool 0)`,
				steps: []dashboard.Threshold{from(1, "red")}},
			column{title: "Sockets without SIP", expr: `sum by (instance) (kamailio_sip_up{SELECTOR} == bool 0)`, steps: []dashboard.Threshold{from(1, "red")}},
			column{title: "Gateways down", expr: `sum by (instance) (kamailio_dispatcher_destination_state{SELECTOR,state="inactive"})`,
				steps: []dashboard.Threshold{from(1, "orange")}},
			column{title: "Calls", expr: `max by (instance) (kamailio_dialog_dialogs{SELECTOR,state="active"})`},
			column{title: "Requests", unit: "reqps", expr: `sum by (instance) (rate(kamailio_core_received_requests_total{SELECTOR}[5m]))`},
			column{title: "Shared memory used", unit: "percentunit", steps: []dashboard.Threshold{from(0.8, "orange"), from(0.9, "red")},
				expr: `max by (instance) (1 - kamailio_shmem_free_bytes{SELECTOR} / kamailio_shmem_total_bytes{SELECTOR})`},
		)).
		WithPanel(states("Replies to RPC", "Which Kamailio did not reply, and when.", upDown,
			query{`max by (instance) (kamailio_up{SELECTOR})`, "{{instance}}"})).
		WithPanel(graph("Calls in progress by instance", "A sudden fall of one instance means that calls go elsewhere, or nowhere.", "short",
			query{`max by (instance) (kamailio_dialog_dialogs{SELECTOR,state="active"})`, "{{instance}}"})).
		WithPanel(graph("Requests received", "An instance with none gets no traffic. A peak on one instance can be a storm of retransmissions.", "reqps",
			query{`sum by (instance) (max by (instance, method) (rate(kamailio_core_received_requests_total{SELECTOR}[$__rate_interval])))`, "{{instance}}"})).
		WithPanel(graph("Share of transactions that ended with 5xx or 6xx", "Compare instances: if one is higher than the others, the problem is in this instance.",
			"percentunit", query{`sum by (instance) (rate(kamailio_tmx_completed_transactions_total{SELECTOR,class=~"5xx|6xx"}[$__rate_interval]))
/ sum by (instance) (rate(kamailio_tmx_completed_transactions_total{SELECTOR}[$__rate_interval]))`, "{{instance}}"})).
		WithPanel(graph("Shared memory used", "It should be level at a constant load. Kamailio cannot handle calls without free shared memory.", "percentunit",
			query{`max by (instance) (1 - kamailio_shmem_free_bytes{SELECTOR} / kamailio_shmem_total_bytes{SELECTOR})`, "{{instance}}"}).Max(1))
}
