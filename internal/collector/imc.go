package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/imc/imc.c; the same in 5.6 and
// 6.0. The names of rooms and owners are data of users and not exported.
var (
	imcRooms = gauge("kamailio_imc_rooms",
		"Number of chat rooms. Rows of imc.list_rooms.")
	imcMembers = gauge("kamailio_imc_members",
		"Number of members of all chat rooms. Field members of imc.list_rooms.")
)

var imcListRooms = &Collector{
	Method:  "imc.list_rooms",
	Module:  "imc",
	Help:    "number of chat rooms and of their members, 2 series. Kamailio sends every room, and users can create rooms",
	Large:   true,
	Metrics: []*metric.Desc{imcRooms, imcMembers},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		if reply.Value.Kind() < rpc.KindInt {
			return // not a list
		}
		rooms, members := 0, int64(0)
		for room := range reply.Value.Rows() {
			if _, ok := keys(out, room, "room"); !ok {
				return // the sums would be wrong
			}
			v := room.Get("members")
			n, ok := v.Int()
			if !ok {
				out.Skip(metric.NotANumber, whatIs("members", v))
				return
			}
			rooms++
			members += n
		}
		out.Add(imcRooms, float64(rooms))
		out.Add(imcMembers, float64(members))
	}),
}
