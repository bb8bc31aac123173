package collector

// Source of the fields in this file: Kamailio's src/modules/tm/t_stats.c. All
// are sums over all processes, unsigned long there and sent as 32-bit integers, so
// that the counters wrap at 2³². waiting can be negative.

var tmStatsFields = []field{
	{name: "current", desc: gauge("kamailio_tm_stats_current",
		"Number of transactions in memory. Field current of tm.stats.")},
	{name: "waiting", desc: gauge("kamailio_tm_stats_waiting",
		"Number of completed transactions that wait to be freed. Field waiting of tm.stats.")},
	{name: "total", unsigned: true, desc: counter("kamailio_tm_stats_total_total",
		"Number of transactions created, including those that Kamailio started itself. Field total of tm.stats.")},
	{name: "total_local", unsigned: true, desc: counter("kamailio_tm_stats_total_local_total",
		"Number of transactions that Kamailio started itself. Field total_local of tm.stats.")},
	{name: "rpl_received", unsigned: true, desc: counter("kamailio_tm_stats_rpl_received_total",
		"Number of replies received for transactions. Field rpl_received of tm.stats.")},
	{name: "rpl_generated", unsigned: true, desc: counter("kamailio_tm_stats_rpl_generated_total",
		"Number of replies for transactions that Kamailio generated itself. Field rpl_generated of tm.stats.")},
	{name: "rpl_sent", unsigned: true, desc: counter("kamailio_tm_stats_rpl_sent_total",
		"Number of replies sent for transactions, both relayed and generated. Field rpl_sent of tm.stats.")},
	{name: "created", unsigned: true, desc: counter("kamailio_tm_stats_created_total",
		"Number of transactions allocated. Field created of tm.stats.")},
	{name: "freed", unsigned: true, desc: counter("kamailio_tm_stats_freed_total",
		"Number of transactions freed. Field freed of tm.stats.")},
	{name: "delayed_free", unsigned: true, desc: counter("kamailio_tm_stats_delayed_free_total",
		"Number of transactions whose release was delayed. Field delayed_free of tm.stats.")},
	{name: "2xx", unsigned: true, desc: tmStatsCodes, labels: []string{"2xx"}},
	{name: "3xx", unsigned: true, desc: tmStatsCodes, labels: []string{"3xx"}},
	{name: "4xx", unsigned: true, desc: tmStatsCodes, labels: []string{"4xx"}},
	{name: "5xx", unsigned: true, desc: tmStatsCodes, labels: []string{"5xx"}},
	{name: "6xx", unsigned: true, desc: tmStatsCodes, labels: []string{"6xx"}},
}

var tmStatsCodes = counter("kamailio_tm_stats_codes_total",
	"Number of completed transactions, by class of their final reply. Fields 2xx to 6xx of tm.stats.", "code")

var tmStats = &Collector{
	Method:  "tm.stats",
	Module:  "tm",
	Help:    "transactions and their replies, 15 series",
	Auto:    true,
	Metrics: descsOf(tmStatsFields),
	collect: fields(tmStatsFields),
}
