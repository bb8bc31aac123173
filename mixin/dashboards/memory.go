package main

// memory shows the memory and the processes of Kamailio.
func memory() *builder {
	return newDashboard("kamailio-memory", "Memory and processes", "Shared memory, the private memory of each process, and what the processes do.", oneInstance()).
		WithPanel(figure("Shared memory used", "Kamailio cannot handle calls without free shared memory.", "percentunit",
			`max(1 - kamailio_shmem_free_bytes{SELECTOR} / kamailio_shmem_total_bytes{SELECTOR})`, from(0.8, "orange"), from(0.9, "red"))).
		WithPanel(figure("Shared memory at the peak", "The most that was ever in use since the start.", "percentunit",
			`max(kamailio_shmem_max_used_bytes{SELECTOR} / kamailio_shmem_total_bytes{SELECTOR})`, from(0.8, "orange"), from(0.9, "red"))).
		WithPanel(figure("Shared memory in four hours", "Free bytes in four hours if the trend of the last hour goes on. A value below 0 means that none will be left.", "bytes",
			`min(predict_linear(kamailio_shmem_free_bytes{SELECTOR}[1h], 4 * 3600))`, below("red"), from(0, "green"))).
		WithPanel(figure("Least free private memory", "The process with the least. A process without private memory cannot handle its message.", "percentunit",
			`min(kamailio_pkg_free_bytes{SELECTOR} / kamailio_pkg_size_bytes{SELECTOR})`, below("red"), from(0.1, "orange"), from(0.2, "green"))).
		WithPanel(figure("Busiest process", "Share of one processor. A process at 100 % for a minute spins, for example on a lock. Needs --kamailio.host.", "percentunit",
			`max(rate(kamailio_process_cpu_seconds_total{SELECTOR}[$__rate_interval]))`, from(0.8, "orange"), from(0.95, "red"))).
		WithPanel(figure("Processes", "All processes of Kamailio.", "short", `sum(kamailio_core_processes{SELECTOR})`)).
		WithRow(row("Shared memory")).
		WithPanel(graph("Shared memory", "A line that only grows at a constant load is a leak. The total limits what is used with overhead.", "bytes",
			query{`max(kamailio_shmem_total_bytes{SELECTOR})`, "total"}, query{`max(kamailio_shmem_real_used_bytes{SELECTOR})`, "used, with overhead"},
			query{`max(kamailio_shmem_used_bytes{SELECTOR})`, "used"}, query{`max(kamailio_shmem_max_used_bytes{SELECTOR})`, "peak"})).
		WithPanel(graph("Fragments of free shared memory", "Many small fragments make allocations slow, and can let a large one fail although enough is free.", "short",
			query{`max(kamailio_shmem_fragments{SELECTOR})`, "fragments"})).
		WithRow(row("Private memory")).
		WithPanel(graph("Least free private memory by role", "The process with the least in each role.", "bytes",
			query{`min by (role) (kamailio_pkg_free_bytes{SELECTOR})`, "{{role}}"})).
		WithPanel(graph("Private memory used, ten largest processes", "A process that only grows leaks. Restart Kamailio before it has none, and look at the modules that it uses.", "bytes",
			query{`topk(10, max by (process, role) (kamailio_pkg_real_used_bytes{SELECTOR}))`, "{{process}} {{role}}"})).
		WithRow(row("Processes, with --kamailio.host")).
		WithPanel(graph("CPU by role", "Processors in use. Receivers grow with the traffic.", "short",
			query{`sum by (role) (rate(kamailio_process_cpu_seconds_total{SELECTOR}[$__rate_interval]))`, "{{role}}"})).
		WithPanel(graph("CPU, ten busiest processes", "A process at 100 % cannot do more. If only one receiver is busy, one peer sends everything over one connection.", "percentunit",
			query{`topk(10, max by (process, role) (rate(kamailio_process_cpu_seconds_total{SELECTOR}[$__rate_interval])))`, "{{process}} {{role}}"})).
		WithPanel(graph("Processes by state", "Stopped ones do nothing. Many that wait for a disk, or run all the time, show what hangs.", "short",
			query{`sum by (state) (kamailio_process_states{SELECTOR})`, "{{state}}"})).
		WithPanel(graph("SIP workers", "Workers that handle a message now, of all. If all are busy, messages wait. Kamailio 6.1 has these numbers.", "short",
			query{`max(kamailio_core_busy_children{SELECTOR})`, "busy"}, query{`max(kamailio_core_sip_children{SELECTOR})`, "all"}))
}
