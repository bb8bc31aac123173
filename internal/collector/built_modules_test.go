package collector

import "github.com/kamailio-exporter/kamailio_exporter/v3/rpc"

// builtModules are replies of the modules that the lab cannot load or that have no
// data there.
var builtModules = []builtReply{
	{
		method: "cdp.list_peers",
		name:   "states",
		source: "src/modules/cdp/cdp_rpc.c",
		records: []any{rpc.Members{
			{Name: "Realm", Value: "ims.example"},
			{Name: "Identity", Value: "scscf.ims.example"},
			{Name: "Accept unknown peers", Value: 1},
			{Name: "Connect timeout", Value: 5},
			{Name: "Transaction timeout", Value: 5},
			{Name: "Default auth session timeout", Value: 3600},
			{Name: "Queue length", Value: 32},
			{Name: "Workers", Value: 4},
			{Name: "Peer count", Value: 3},
			{Name: "Peers", Value: rpc.Members{
				{Name: "FQDN", Value: "hss1.ims.example"},
				{Name: "Details", Value: peerDetails("I_Open", "False", 1795415213, "16777216:10415", "16777216:0")},
				{Name: "FQDN", Value: "hss2.ims.example"},
				{Name: "Details", Value: peerDetails("Wait_Conn_Ack_Elect", "False", 0)},
				{Name: "FQDN", Value: "pcrf.ims.example"},
				{Name: "Details", Value: peerDetails("R_Open", "True", -1795346233, "16777236:10415")},
			}},
		}},
	},
	{
		method:  "ulscscf.status",
		source:  "src/modules/ims_usrloc_scscf/ul_rpc.c",
		records: []any{rpc.Members{{Name: "Domain", Value: "location"}, {Name: "Size", Value: 512}, {Name: "Stats", Value: slotStats(2048, 9)}}},
	},
	{
		method: "ulpcscf.status",
		source: "src/modules/ims_usrloc_pcscf/ul_rpc.c",
		records: []any{
			rpc.Members{{Name: "Domain", Value: "location"}, {Name: "Size", Value: 256}, {Name: "AoRs", Value: rpc.Members{
				{Name: "AoR", Value: "sip:alice@192.0.2.1:5060"},
				{Name: "State", Value: "registered"},
				{Name: "Expires", Value: 3017},
				{Name: "Path", Value: "<sip:term@pcscf.ims.example;lr>"},
				{Name: "AoR", Value: "sip:bob@192.0.2.2:5060"},
				{Name: "State", Value: "registration pending"},
				{Name: "Expires", Value: "permanent"},
				{Name: "Path", Value: ""},
				{Name: "Stats", Value: slotStats(2, 1)},
			}}},
			rpc.Members{{Name: "Domain", Value: "empty"}, {Name: "Size", Value: 16}, {Name: "AoRs", Value: rpc.Members{{Name: "Stats", Value: slotStats(0, 0)}}}},
		},
	},
	{
		method: "cnxcc.stats",
		source: "src/modules/cnxcc/cnxcc_mod.c",
		records: []any{rpc.Members{
			{Name: "info", Value: "CNX Credit Control"}, {Name: "active", Value: -1}, {Name: "dropped", Value: 17}, {Name: "total", Value: 5},
		}},
	},
	{
		method:  "kafka.stats",
		source:  "src/modules/kafka/kafka_mod.c",
		records: []any{"Total messages: 5000000000  Errors: 12"},
	},
	{
		method:   "kafka.stats_topic",
		source:   "src/modules/kafka/kafka_mod.c",
		records:  []any{"Topic: cdr  Total messages: 5000000000  Errors: 12"},
		settings: Settings{KafkaTopics: []string{"cdr"}},
	},
	{
		method:  "peerstate.stats",
		source:  "src/modules/peerstate/peerstate_mod.c",
		records: []any{rpc.Members{{Name: "total_peers", Value: 120}, {Name: "incall_peers", Value: 7}, {Name: "registered_peers", Value: 101}}},
	},
	{
		method:   "pl.list",
		name:     "short",
		source:   "src/modules/pipelimit/pl_ht.c",
		settings: Settings{Short: []string{"pl.list"}},
		records: []any{
			limitedPipe("192.0.2.1", "TAILDROP"), limitedPipe("192.0.2.2", "TAILDROP"), limitedPipe("all", "RED"),
		},
	},
	{
		method: "pike.top",
		name:   "many",
		source: "src/modules/pike/pike_rpc.c",
		records: []any{rpc.Members{
			{Name: "max_hits", Value: 30},
			{Name: "list", Value: []any{
				rpc.Members{
					{Name: "ip_addr", Value: "192.0.2.1"}, {Name: "leaf_hits_prev", Value: 40}, {Name: "leaf_hits_curr", Value: 2},
					{Name: "expires", Value: 100}, {Name: "status", Value: "HOT"},
				},
			}},
			{Name: "number_of_rows", Value: 2500}, // more than fitted
		}},
	},
}

func peerDetails(state, disabled string, used int, applications ...string) rpc.Members {
	list := rpc.Members{}
	for _, application := range applications {
		list = append(list, rpc.Member{Name: "appid:vendorid", Value: application})
	}
	return rpc.Members{
		{Name: "State", Value: state}, {Name: "Disabled", Value: disabled}, {Name: "Last used", Value: used}, {Name: "Applications", Value: list},
	}
}

func slotStats(records, most int) rpc.Members {
	return rpc.Members{{Name: "Records", Value: records}, {Name: "Max-Slots", Value: most}}
}

func limitedPipe(name, algorithm string) rpc.Members {
	return rpc.Members{
		{Name: "name", Value: name}, {Name: "algorithm", Value: algorithm}, {Name: "limit", Value: 20},
		{Name: "counter", Value: 1}, {Name: "last_counter", Value: 3}, {Name: "unused_intervals", Value: 0},
	}
}
