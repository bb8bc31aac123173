package main

// exporter shows how the exporter works, and what it costs.
func exporter() *builder {
	return newDashboard("kamailio-exporter", "Exporter", "Whether the exporter gets everything, how long it takes, and what it costs.", instances()).
		WithPanel(figure("Targets", "Kamailios in the configuration.", "short", `sum(kamailio_exporter_targets{job=~"$job",site=~"$site"})`)).
		WithPanel(figure("Targets down", "Kamailios that do not reply to RPC.", "short", `sum(max by (instance) (kamailio_up{SELECTOR}) == bool 0)`, from(1, "red"))).
		WithPanel(figure("Failing methods", "Methods of all targets whose reply did not arrive or could not be read.", "short",
			`sum(kamailio_exporter_collector_success{SELECTOR} == bool 0)`, from(1, "red"))).
		WithPanel(figure("Slowest scrape", "Prometheus stops waiting after the scrape timeout of the job, which is 10 s unless it is set.", "s",
			`max(scrape_duration_seconds{SELECTOR})`, from(5, "orange"), from(8, "red"))).
		WithPanel(figure("Configuration", "Whether the last reload of the configuration file succeeded. If not, the old one is in use.", "short",
			`min(kamailio_exporter_config_last_reload_successful{job=~"$job",site=~"$site"})`).
			Mappings(named([3]string{"1", "valid", "green"}, [3]string{"0", "rejected", "red"}))).
		WithPanel(figure("Requests rejected", "Scrapes that got status 503 in the last hour because of a limit.", "short",
			`sum(increase(kamailio_exporter_requests_rejected_total{job=~"$job",site=~"$site"}[1h]))`, from(1, "orange"))).
		WithRow(row("Scrapes")).
		WithPanel(graph("Duration of polls", "How long Kamailio took for all calls. A target that is slower than the others is loaded, or far away.", "s",
			query{`max by (instance) (kamailio_exporter_scrape_duration_seconds{SELECTOR})`, "{{instance}}"})).
		WithPanel(graph("Duration by method, ten slowest", "Call a method whose duration grows with the traffic less often: give it a module and a job of its own.", "s",
			query{`topk(10, max by (collector) (kamailio_exporter_collector_duration_seconds{SELECTOR}))`, "{{collector}}"})).
		WithPanel(graph("Failing methods by name", "The log of the exporter has the reason and what to change.", "short",
			query{`sum by (collector) (kamailio_exporter_collector_success{SELECTOR} == bool 0) > 0`, "{{collector}}"})).
		WithPanel(graph("Why targets are down", "Number of targets by reason. The documentation has a section for each.", "short",
			query{`sum by (reason) (kamailio_exporter_scrape_error{SELECTOR})`, "{{reason}}"})).
		WithPanel(graph("Skipped fields", "Fields of replies that the exporter left out, for example because a label is too long.", "cps",
			query{`sum by (collector, reason) (rate(kamailio_exporter_skipped_total{SELECTOR}[$__rate_interval]))`, "{{collector}} {{reason}}"})).
		WithPanel(graph("Series", "Number of series in each scrape.", "short", query{`max by (instance) (scrape_samples_scraped{SELECTOR})`, "{{instance}}"})).
		WithRow(row("The exporter's process")).
		WithPanel(graph("CPU", "Processors in use.", "short",
			query{`sum by (instance) (rate(process_cpu_seconds_total{SELECTOR}[$__rate_interval]) and on (job, instance) kamailio_exporter_build_info)`, "{{instance}}"})).
		WithPanel(graph("Memory", "It should be level at a constant number of targets.", "bytes",
			query{`max by (instance) (process_resident_memory_bytes{SELECTOR} and on (job, instance) kamailio_exporter_build_info)`, "{{instance}}"})).
		WithPanel(graph("Goroutines and open files", "Both should be level at a constant number of targets.", "short",
			query{`max by (instance) (go_goroutines{SELECTOR} and on (job, instance) kamailio_exporter_build_info)`, "{{instance}} goroutines"},
			query{`max by (instance) (process_open_fds{SELECTOR} and on (job, instance) kamailio_exporter_build_info)`, "{{instance}} open files"})).
		WithPanel(graph("Polls and rejected requests", "Many polls at the same time mean that targets are slow.", "short",
			query{`max by (instance) (kamailio_exporter_polls_running{SELECTOR})`, "{{instance}} polls"},
			query{`sum by (instance) (rate(kamailio_exporter_requests_rejected_total{SELECTOR}[$__rate_interval]))`, "{{instance}} rejected each second"}))
}
