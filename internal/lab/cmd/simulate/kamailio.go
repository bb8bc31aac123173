//go:build linux

package main

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// kamailio is one simulated Kamailio 6.0. Its numbers differ from those of the others, and its counters never fall.
type kamailio struct {
	number  int
	started time.Time
}

// newKamailio returns a Kamailio that has run for as many minutes as its number says, which is positive.
func newKamailio(number int, now time.Time) *kamailio {
	return &kamailio{number: number, started: now.Add(-time.Duration(number) * time.Minute)}
}

// methods has the reply of each method except system.listMethods.
var methods = map[string]func(k *kamailio, call rpc.Call) any{
	"core.uptime":     (*kamailio).uptime,
	"core.shmmem":     (*kamailio).shmmem,
	"core.tcp_info":   (*kamailio).tcpInfo,
	"tm.stats":        (*kamailio).tmStats,
	"sl.stats":        (*kamailio).slStats,
	"stats.fetch":     (*kamailio).statistics,
	"dispatcher.list": (*kamailio).dispatcherList,
}

const listMethods = "system.listMethods"

// methodNames is the reply to system.listMethods.
var methodNames = func() []any {
	var names []any
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		names = append(names, name)
	}
	return append(names, listMethods)
}()

// reply is a binrpctest.Handler.
func (k *kamailio) reply(_ context.Context, call rpc.Call) ([]any, error) {
	if call.Method == listMethods {
		return methodNames, nil
	}
	method, ok := methods[call.Method]
	if !ok {
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	}
	return []any{method(k, call)}, nil
}

// traffic are the counters from which all others are computed. None of them ever falls.
type traffic struct {
	calls     int // answered with 2xx
	busy      int // answered with 4xx
	broken    int // answered with 5xx
	keepalive int // OPTIONS, answered without a transaction
}

// total is the number of transactions.
func (t traffic) total() int { return t.calls + t.busy + t.broken }

// traffic returns the counters at this time, with 1 to 50 calls a second since the start.
func (k *kamailio) traffic() traffic {
	calls := int(time.Since(k.started).Seconds() * float64(1+k.number%50))
	return traffic{calls: calls, busy: calls / 10, broken: calls / 100, keepalive: 3 * calls}
}

func (k *kamailio) uptime(rpc.Call) any {
	return rpc.Members{
		{Name: "now", Value: time.Now().UTC().Format(time.ANSIC)},
		{Name: "up_since", Value: k.started.UTC().Format(time.ANSIC)},
		{Name: "uptime", Value: int(time.Since(k.started).Seconds())},
	}
}

// memory is the shared memory in bytes.
type memory struct{ total, free, used, realUsed, maxUsed, fragments int }

func (k *kamailio) memory() memory {
	const total = 128 << 20
	used := (8 + k.number%64) << 20
	realUsed := used + 1<<20
	return memory{total: total, free: total - realUsed, used: used, realUsed: realUsed, maxUsed: realUsed + 1<<20, fragments: 5 + k.number%100}
}

// shmmem replies in bytes, or in KiB if the argument is k. The fields are unsigned long in Kamailio, which are sent as
// doubles.
func (k *kamailio) shmmem(call rpc.Call) any {
	unit := 1.0
	if slices.Contains(call.Args, any("k")) {
		unit = 1024
	}
	m := k.memory()
	return rpc.Members{
		{Name: "total", Value: float64(m.total) / unit},
		{Name: "free", Value: float64(m.free) / unit},
		{Name: "used", Value: float64(m.used) / unit},
		{Name: "real_used", Value: float64(m.realUsed) / unit},
		{Name: "max_used", Value: float64(m.maxUsed) / unit},
		{Name: "fragments", Value: float64(m.fragments)},
	}
}

// connections returns the number of open TCP connections.
func (k *kamailio) connections() int { return k.number % 500 }

func (k *kamailio) tcpInfo(rpc.Call) any {
	return rpc.Members{
		{Name: "readers", Value: 8},
		{Name: "max_connections", Value: 2048},
		{Name: "max_tls_connections", Value: 2048},
		{Name: "opened_connections", Value: k.connections()},
		{Name: "opened_tls_connections", Value: k.connections() / 4},
		{Name: "write_queued_bytes", Value: 0},
	}
}

// current returns the number of transactions in memory.
func (k *kamailio) current() int { return 1 + k.number%40 }

func (k *kamailio) tmStats(rpc.Call) any {
	t := k.traffic()
	return rpc.Members{
		{Name: "current", Value: k.current()},
		{Name: "waiting", Value: k.current() / 2},
		{Name: "total", Value: t.total()},
		{Name: "total_local", Value: t.keepalive / 10},
		{Name: "rpl_received", Value: 2 * t.total()},
		{Name: "rpl_generated", Value: t.total()},
		{Name: "rpl_sent", Value: 3 * t.total()},
		{Name: "6xx", Value: 0},
		{Name: "5xx", Value: t.broken},
		{Name: "4xx", Value: t.busy},
		{Name: "3xx", Value: 0},
		{Name: "2xx", Value: t.calls},
		{Name: "created", Value: t.total()},
		{Name: "freed", Value: t.total() - k.current()},
		{Name: "delayed_free", Value: 0},
	}
}

// slCodes are the fields of sl.stats in their order.
var slCodes = strings.Fields("200 202 2xx 300 301 302 3xx 400 401 403 404 407 408 483 4xx 500 5xx 6xx xxx")

// stateless returns the number of replies that were sent without a transaction, by code. Other codes have none.
func (k *kamailio) stateless() map[string]int {
	t := k.traffic()
	return map[string]int{"200": t.keepalive, "401": t.calls / 5, "404": t.calls / 50, "483": t.calls / 1000}
}

// slStats replies with unsigned longs, which are sent as doubles.
func (k *kamailio) slStats(rpc.Call) any {
	var reply rpc.Members
	sent := k.stateless()
	for _, code := range slCodes {
		reply = append(reply, rpc.Member{Name: code, Value: float64(sent[code])})
	}
	return reply
}

// statisticNames has the statistics of a few Kamailio modules, one a line: GROUP.NAME.
//
//go:embed statistics.txt
var statisticNames string

// statistics replies with the statistics that the arguments select: all, GROUP:, or a name. The values are texts.
func (k *kamailio) statistics(call rpc.Call) any {
	reply, values := rpc.Members{}, k.statisticValues()
	for name := range strings.Lines(statisticNames) {
		name = strings.TrimSpace(name)
		if slices.ContainsFunc(call.Args, func(argument any) bool { return selects(argument, name) }) {
			reply = append(reply, rpc.Member{Name: name, Value: strconv.Itoa(values[name])})
		}
	}
	return reply
}

// selects reports whether an argument of stats.fetch selects the statistic GROUP.NAME.
func selects(argument any, statistic string) bool {
	group, name, _ := strings.Cut(statistic, ".")
	return argument == "all" || argument == group+":" || argument == name
}

// statisticValues returns the statistics that are not 0.
func (k *kamailio) statisticValues() map[string]int {
	t, m := k.traffic(), k.memory()
	values := map[string]int{
		"core.fwd_requests":              t.total(),
		"core.rcv_replies":               2 * t.total(),
		"core.rcv_replies_1xx":           t.total(),
		"core.rcv_replies_2xx":           t.calls,
		"core.rcv_replies_4xx":           t.busy,
		"core.rcv_replies_5xx":           t.broken,
		"core.rcv_requests":              t.total() + t.keepalive,
		"core.rcv_requests_invite":       t.total(),
		"core.rcv_requests_options":      t.keepalive,
		"script.my_calls":                t.calls,
		"shmem.fragments":                m.fragments,
		"shmem.free_size":                m.free,
		"shmem.max_used_size":            m.maxUsed,
		"shmem.real_used_size":           m.realUsed,
		"shmem.total_size":               m.total,
		"shmem.used_size":                m.used,
		"tcp.current_opened_connections": k.connections(),
		"tcp.established":                k.connections() + t.calls/10,
		"tmx.2xx_transactions":           t.calls,
		"tmx.4xx_transactions":           t.busy,
		"tmx.5xx_transactions":           t.broken,
		"tmx.UAS_transactions":           t.total(),
		"tmx.active_transactions":        k.current(),
		"tmx.inuse_transactions":         k.current(),
		"tmx.rpl_generated":              t.total(),
		"tmx.rpl_received":               2 * t.total(),
		"tmx.rpl_sent":                   3 * t.total(),
	}
	for code, n := range k.stateless() {
		values["sl."+code+"_replies"] = n
		values["sl.sent_replies"] += n
	}
	return values
}

// dispatcherList replies with one set of two destinations. Of each tenth Kamailio, the second one is inactive.
func (k *kamailio) dispatcherList(rpc.Call) any {
	state := "AX"
	if k.number%10 == 0 {
		state = "IX"
	}
	latency := rpc.Member{Name: "LATENCY", Value: rpc.Members{
		{Name: "AVG", Value: float64(k.number%30) + 0.5},
		{Name: "STD", Value: 0.25},
		{Name: "EST", Value: float64(k.number%30) + 0.25},
		{Name: "MAX", Value: 100 + k.number%100},
		{Name: "TIMEOUT", Value: k.number % 3},
	}}
	first := rpc.Members{
		{Name: "URI", Value: "sip:192.0.2." + strconv.Itoa(1+k.number%200) + ":5060"},
		{Name: "FLAGS", Value: "AX"},
		{Name: "PRIORITY", Value: 10},
		{Name: "ATTRS", Value: rpc.Members{
			{Name: "BODY", Value: "weight=50;duid=gw1"},
			{Name: "DUID", Value: "gw1"},
			{Name: "MAXLOAD", Value: 0},
			{Name: "WEIGHT", Value: 50},
			{Name: "RWEIGHT", Value: 0},
			{Name: "SOCKET", Value: nil},
			{Name: "SOCKNAME", Value: nil},
			{Name: "OBPROXY", Value: nil},
			{Name: "OCMIN", Value: 0.0},
			{Name: "OCMAX", Value: 100.0},
		}},
		latency,
	}
	second := rpc.Members{
		{Name: "URI", Value: "sip:198.51.100." + strconv.Itoa(1+k.number%200) + ":5060"},
		{Name: "FLAGS", Value: state},
		{Name: "PRIORITY", Value: 5},
		latency,
	}
	return rpc.Members{
		{Name: "NRSETS", Value: 1},
		{Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: rpc.Members{
			{Name: "ID", Value: 1},
			{Name: "TARGETS", Value: rpc.Members{{Name: "DEST", Value: first}, {Name: "DEST", Value: second}}},
		}}}},
	}
}
