package collector

// Source of the fields: Kamailio's src/modules/peerstate/peerstate_mod.c and
// get_cache_stats in peerstate_cache.c; the module is new in 6.1.
var peerstateFields = []field{
	{name: "total_peers", unsigned: true, desc: gauge("kamailio_peerstate_peers",
		"Number of peers whose state is known. Field total_peers of peerstate.stats.")},
	{name: "incall_peers", unsigned: true, desc: gauge("kamailio_peerstate_peers_in_call",
		"Number of peers that are in a call or ringing. Field incall_peers of peerstate.stats.")},
	{name: "registered_peers", unsigned: true, desc: gauge("kamailio_peerstate_peers_registered",
		"Number of registered peers. Field registered_peers of peerstate.stats.")},
}

var peerstateStats = &Collector{
	Method:  "peerstate.stats",
	Module:  "peerstate",
	Help:    "number of peers, of peers in a call and of registered peers, 3 series. Kamailio iterates over all peers under their lock",
	Metrics: descsOf(peerstateFields),
	collect: fields(peerstateFields),
}
