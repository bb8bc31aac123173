package collector

import "github.com/kamailio-exporter/kamailio_exporter/v3/rpc"

var builtCore = []builtReply{
	{
		method: "sctp.info",
		source: "src/modules/sctp/sctp_rpc.c",
		records: []any{rpc.Members{
			{Name: "opened_connections", Value: 3},
			{Name: "tracked_connections", Value: 2},
			{Name: "total_connections", Value: 71},
		}},
	},
	{
		method: "sctp.info",
		name:   "untracked",
		source: "src/modules/sctp/sctp_rpc.c",
		records: []any{rpc.Members{
			{Name: "opened_connections", Value: 3},
			{Name: "tracked_connections", Value: -1},
			{Name: "total_connections", Value: int32(-2)},
		}},
	},
}
