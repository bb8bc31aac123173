package collector

import (
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/keepalive/keepalive_rpc.c; source of
// the states: api.h. Over JSON-RPC Kamailio sends only the last row.

// keepaliveStates are the names of the states 0, 1 and 2.
var keepaliveStates = []string{"unknown", "up", "down"}

// keepaliveUp is the state of a destination whose last check succeeded.
const keepaliveUp = 1

var (
	keepaliveState = gauge("kamailio_keepalive_destination_state",
		"1 for the state that the destination is in, 0 for the others. The state is unknown until the first check. Field state of keepalive.list.",
		"owner", "state", "uri")
	// Versions before 5.6.6, 5.7.5 and 5.8.1 send each of the two times in the field of
	// the other. In all versions the later one is the time of the last check, whose
	// result is the state.
	keepaliveLastUp = gauge("kamailio_keepalive_destination_last_up_timestamp_seconds",
		"Unix time of the last successful check of the destination, by the clock of Kamailio's host. It is an hour off if summer time began or "+
			"ended there since. Field last up of keepalive.list.",
		"owner", "uri")
	keepaliveLastDown = gauge("kamailio_keepalive_destination_last_down_timestamp_seconds",
		"Unix time of the last failed check of the destination, by the clock of Kamailio's host. It is an hour off if summer time began or "+
			"ended there since. Field last down of keepalive.list.",
		"owner", "uri")
)

// keepaliveList also calls core.uptime if there are destinations, since their times
// are texts in a time zone that Kamailio does not name.
var keepaliveList = &Collector{
	Method: "keepalive.list",
	Module: "keepalive",
	Help: "state of the destinations that the Kamailio module keepalive monitors, 5 series for each " +
		"destination",
	Auto:       true,
	BINRPCOnly: true,
	Metrics:    []*metric.Desc{keepaliveState, keepaliveLastUp, keepaliveLastDown},
	again: func(_ Settings, replies []Reply) []rpc.Call {
		if replies[0].Value.Len() == 0 { // no destinations, or a fault
			return nil
		}
		return []rpc.Call{{Method: "keepalive.list"}, {Method: coreUptime.Method}}
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		zone := zoneOf(replies)
		for _, reply := range replies {
			if reply.Call.Method == coreUptime.Method {
				continue
			}
			for destination := range reply.Value.Rows() {
				collectKeepalive(out, destination, zone)
			}
		}
	},
}

// zoneOf returns Kamailio's time zone, from the reply to core.uptime. It returns nil
// if there is no such reply.
func zoneOf(replies []Reply) *time.Location {
	for _, reply := range replies {
		now, err := parseClock(reply.Value.Get("now"), time.UTC)
		if reply.Call.Method == coreUptime.Method && err == nil {
			return time.FixedZone("", int(zoneOffset(now, reply.Received).Seconds()))
		}
	}
	return nil
}

// collectKeepalive adds a destination, without times if zone is nil.
func collectKeepalive(out *metric.Writer, destination rpc.Value, zone *time.Location) {
	uri, ok := keys(out, destination, "uri")
	if !ok {
		return
	}
	v := destination.Get("state")
	if !v.Exists() {
		return
	}
	n, ok := v.Int()
	if !ok || n < 0 || n >= int64(len(keepaliveStates)) {
		out.Skip(metric.BadValue, "state is unknown")
		return
	}
	owner := destination.Get("owner").Text()
	for i, state := range keepaliveStates {
		out.Add(keepaliveState, is(n == int64(i)), owner, state, uri[0])
	}
	if zone == nil {
		return
	}
	up, down := lastCheck(out, destination.Get("last up"), zone), lastCheck(out, destination.Get("last down"), zone)
	if n == keepaliveUp && down.After(up) || n != keepaliveUp && up.After(down) { // see keepaliveLastUp
		up, down = down, up
	}
	addTime(out, keepaliveLastUp, up, owner, uri[0])
	addTime(out, keepaliveLastDown, down, owner, uri[0])
}

// lastCheck returns the time of a check. It is zero if there was no such check.
func lastCheck(out *metric.Writer, v rpc.Value, zone *time.Location) time.Time {
	if !v.Exists() {
		return time.Time{}
	}
	last, err := parseClock(v, zone)
	if err != nil {
		out.Skip(metric.BadValue, v.Name()+" is not a time")
		return time.Time{}
	}
	if last.Year() <= 1970 { // Kamailio sends the Unix time 0
		return time.Time{}
	}
	return last
}

// parseClock parses a text of C's function ctime.
func parseClock(v rpc.Value, zone *time.Location) (time.Time, error) {
	return time.ParseInLocation(time.ANSIC, strings.TrimSpace(v.Text()), zone)
}

// addTime adds a Unix time, unless it is zero.
func addTime(out *metric.Writer, desc *metric.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		out.Add(desc, float64(t.Unix()), labels...)
	}
}
