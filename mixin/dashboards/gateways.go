package main

// destinationStates names the states of a destination, from the best to the worst.
var destinationStates = named([3]string{"0", "active", "green"}, [3]string{"1", "trying", "yellow"}, [3]string{"2", "disabled", "blue"}, [3]string{"3", "inactive", "red"})

// gateways shows everything that Kamailio sends calls to, or needs for them.
func gateways() *builder {
	sets := labelVariable("setid", "Set", `kamailio_dispatcher_destination_state{job=~"$job",site=~"$site",instance=~"$instance"}`)
	return newDashboard("kamailio-gateways", "Gateways", "Dispatcher destinations, upstream registrations, RTP proxies, and the peers of DMQ and Diameter.", instances(), sets).
		WithPanel(figure("Destinations active", "Destinations that Kamailio uses.", "short",
			`sum(max by (instance, setid, uri, index) (kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="active"}))`)).
		WithPanel(figure("Destinations inactive", "Destinations that Kamailio does not use because pings to them failed.", "short",
			`sum(max by (instance, setid, uri, index) (kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="inactive"}))`, from(1, "red"))).
		WithPanel(figure("Sets with no destination left", "Calls to such a set fail.", "short",
			`sum((sum by (instance, setid) (kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state=~"active|trying"})) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Registrations lost", "Upstream registrations that are enabled and not registered.", "short",
			`sum((kamailio_uac_registration_up{SELECTOR} == bool 0) * (kamailio_uac_registration_disabled{SELECTOR} == bool 0))`, from(1, "red"))).
		WithPanel(figure("RTP proxies down", "Nodes of rtpengine that Kamailio does not use. Those of rtpproxy are in a graph below.", "short",
			`sum(kamailio_rtpengine_node_up{SELECTOR} == bool 0)`, from(1, "red"))).
		WithPanel(figure("DMQ nodes not active", "Other Kamailios on the DMQ bus that do not answer.", "short",
			`sum(kamailio_dmq_node_state{SELECTOR,state="active"} == bool 0)`, from(1, "red"))).
		WithRow(row("Dispatcher")).
		WithPanel(states("Destinations", "A destination that flaps between active and inactive loses calls at each change. Disabled ones were taken out by a person or a script.", destinationStates,
			query{`max by (instance, setid, uri) (kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="trying"}
  or 2 * kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="disabled"}
  or 3 * kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="inactive"})`, "{{instance}} {{setid}} {{uri}}"})).
		WithPanel(graph("Response time of pings", "The moving average that Kamailio computes. Compare destinations of a set. Needs latency statistics of the dispatcher.", "s",
			query{`max by (instance, setid, uri) (kamailio_dispatcher_destination_latency_estimate_seconds{SELECTOR,setid=~"$setid"})`, "{{instance}} {{setid}} {{uri}}"})).
		WithPanel(graph("Pings without a reply", "Pings fail before a destination becomes inactive.", "cps",
			query{`sum by (instance, setid, uri) (rate(kamailio_dispatcher_destination_timeouts_total{SELECTOR,setid=~"$setid"}[$__rate_interval]))`, "{{instance}} {{setid}} {{uri}}"})).
		WithPanel(graph("Calls of each destination", "For sets with the algorithm of call load only. An inactive destination can still carry calls.", "short",
			query{`max by (instance, setid, uri) (kamailio_dispatcher_destination_load{SELECTOR,setid=~"$setid"})`, "{{instance}} {{setid}} {{uri}}"})).
		WithPanel(graph("Share of active destinations", "By set. At 0 % calls to the set fail.", "percentunit",
			query{`avg by (instance, setid) (kamailio_dispatcher_destination_state{SELECTOR,setid=~"$setid",state="active"})`, "{{instance}} set {{setid}}"}).Max(1)).
		WithRow(row("Registrations, RTP, DMQ, Diameter")).
		WithPanel(states("Upstream registrations", "Registrations of Kamailio at other servers.", upDown,
			query{`max by (instance, r_username, r_domain) (kamailio_uac_registration_up{SELECTOR})`, "{{instance}} {{r_username}}@{{r_domain}}"}).Span(half)).
		WithPanel(states("RTP proxies", "Nodes of rtpengine and rtpproxy. Calls have no audio without any.", upDown,
			query{`max by (instance, set, url) (kamailio_rtpengine_node_up{SELECTOR} or kamailio_rtpproxy_node_up{SELECTOR})`, "{{instance}} {{set}} {{url}}"}).Span(half)).
		WithPanel(states("DMQ nodes", "As each Kamailio sees the others. If two views differ, the bus is split.", upDown,
			query{`max by (instance, host, port) (kamailio_dmq_node_state{SELECTOR,state="active"})`, "{{instance}} sees {{host}}:{{port}}"}).Span(half)).
		WithPanel(states("Diameter peers", "A peer is open in two states, which depend on who connected.", upDown,
			query{`sum by (instance, peer) (kamailio_cdp_peer_state{SELECTOR,state=~"i_open|r_open"})`, "{{instance}} {{peer}}"}).Span(half))
}
