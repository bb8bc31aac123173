package collector

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/core/core_cmd.c.

var (
	uptimeTotal = counter("kamailio_core_uptime_uptime_total",
		"Seconds since Kamailio started, by the clock of its host. Absent if that clock was changed so that the value is impossible, or "+
			"lower than before. Field uptime of core.uptime.")
	startTime = gauge("kamailio_start_time_seconds",
		"Unix timestamp of the start of Kamailio, by the clock of its host. Field up_since of core.uptime.")
)

const uptimeMethod = "core.uptime"

var coreUptime = &Collector{
	Method:  uptimeMethod,
	Module:  "core",
	Help:    "start time and uptime of Kamailio, 2 series",
	Auto:    true,
	Metrics: []*metric.Desc{uptimeTotal, startTime},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			collectUptime(out, reply)
		}
	},
}

func collectUptime(out *metric.Writer, reply Reply) {
	for member := range reply.Value.All() {
		switch member.Name() {
		case "uptime", "up_since", "now":
		default:
			out.Skip(metric.UnknownField, member.Name())
		}
	}
	v := reply.Value.Get("uptime")
	if !v.Exists() {
		return
	}
	start := reply.Start.after(reply.Reply)
	uptime, ok := uptimeOf(v)
	switch {
	case !ok:
		skipNumber(out, "uptime", v)
	case uptime < start.longest:
		out.Skip(metric.BadValue, "uptime is lower than before")
	default:
		out.Add(uptimeTotal, uptime)
	}
	switch {
	case start.since == "":
	case start.time.IsZero():
		out.Skip(metric.BadValue, "up_since is not a possible start time")
	default:
		out.Add(startTime, float64(start.time.UnixMilli())/1000)
		out.SetCreated(start.time)
	}
}

// longestUptime is longer than any process runs, in seconds.
const longestUptime = 20 * 366 * 24 * 3600

// uptimeOf returns the uptime in seconds. Kamailio computes it from its host's clock, so it is negative, or decades long, if that
// clock was changed after the start. uptimeOf returns false then.
func uptimeOf(v rpc.Value) (float64, bool) {
	seconds, ok := number(v, false)
	return seconds, ok && seconds >= 0 && seconds <= longestUptime
}

// Start is what replies to core.uptime say about the start of a Kamailio. The zero value is that of no reply. Since the start time
// does not change, it shows that a lower uptime is not that of another process.
type Start struct {
	since   string    // field up_since, the same in all replies; "" if there is none
	time    time.Time // zero if since is not a possible start time
	longest float64   // highest uptime in seconds
}

// After returns what is known after another reply. Only replies to core.uptime that arrived change it.
func (s Start) After(reply Reply) Start {
	if reply.Call.Method != uptimeMethod || reply.Err != nil || reply.Received.IsZero() {
		return s
	}
	return s.after(reply.Reply)
}

func (s Start) after(reply rpc.Reply) Start {
	since := reply.Value.Get("up_since").Text()
	uptime, ok := uptimeOf(reply.Value.Get("uptime"))
	switch {
	case since == "" || since != s.since && !ok:
		return Start{}
	case since != s.since:
		return Start{since, startOf(since, reply.Received, uptime), uptime}
	case ok:
		s.longest = max(s.longest, uptime)
	}
	return s
}

// startOf returns the time at which Kamailio started, the zero time if the text is not a possible one. uptime is in seconds.
func startOf(since string, received time.Time, uptime float64) time.Time {
	start, err := started(since, received.Add(-time.Duration(uptime)*time.Second))
	if err != nil || start.Year() < 2001 || start.After(received.Add(zoneStep)) {
		return time.Time{}
	}
	return start
}

// zoneStep is the smallest difference between two time zones, including summer
// times.
const zoneStep = 15 * time.Minute

// started returns the time at which Kamailio started. The text is the same in
// every reply, but it is in a time zone that Kamailio does not name. about, the
// time of the reply minus the uptime, is exact to about a second only and changes
// from scrape to scrape, but it is enough to find the zone. The result is wrong if
// the clocks of the two hosts differ by more than half of zoneStep.
func started(text string, about time.Time) (time.Time, error) {
	local, err := time.Parse(time.ANSIC, strings.TrimSpace(text))
	if err != nil {
		return time.Time{}, err
	}
	return local.Add(-zoneOffset(local, about)), nil
}

// zoneOffset returns how far Kamailio's time zone is ahead of UTC. local is a time in
// Kamailio's zone that was parsed as if it was in UTC, and about is the same time with
// an error of less than half of zoneStep.
func zoneOffset(local, about time.Time) time.Duration { return local.Sub(about).Round(zoneStep) }

var buildInfo = gauge("kamailio_build_info",
	"Always 1. The labels describe the version and build of Kamailio. Fields version, id, compiler and compiled of core.info.",
	"compiled", "compiler", "name", "revision", "version")

var coreInfo = &Collector{
	Method:  "core.info",
	Module:  "core",
	Help:    "version and build of Kamailio, 1 series",
	Auto:    true,
	Metrics: []*metric.Desc{buildInfo},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		info := reply.Value
		version, ok := keys(out, info, "version")
		if !ok {
			return
		}
		name, number, _ := strings.Cut(strings.TrimSpace(version[0]), " ") // "kamailio 6.0.1"
		if number == "" {
			out.Skip(metric.BadValue, "version is not a name and a number")
			return
		}
		text := func(field string) string { return strings.TrimSpace(info.Get(field).Text()) }
		out.Add(buildInfo, 1, text("compiled"), text("compiler"), name, text("id"), strings.TrimSpace(number))
	}),
}

// The fields of core.shmmem are unsigned long in Kamailio. Up to 5.6 they are sent
// as 32-bit integers, so that values of 4 GiB or more lose their upper half. Over
// JSON-RPC those of later versions cannot be distinguished from them. With the
// argument k the method replies in KiB, from which the upper half is restored.
// If the total in KiB is below 4 GiB, nothing is lost, and the call is not made
// again until Kamailio restarts. fragments is a count in both replies.
var (
	shmmemFields = []field{
		{name: "total", unsigned: true, desc: gauge("kamailio_core_shmmem_total",
			"Bytes of shared memory. Field total of core.shmmem.")},
		{name: memoryFree, unsigned: true, desc: gauge("kamailio_core_shmmem_free",
			"Bytes of free shared memory, 0 if Kamailio's number is negative because the memory is full. Field free of core.shmmem.")},
		{name: "used", unsigned: true, desc: gauge("kamailio_core_shmmem_used",
			"Bytes of shared memory in use, without the allocator's overhead. Field used of core.shmmem.")},
		{name: memoryRealUsed, unsigned: true, desc: gauge("kamailio_core_shmmem_real_used",
			"Bytes of shared memory in use, with the allocator's overhead. Field real_used of core.shmmem.")},
		{name: "max_used", unsigned: true, desc: gauge("kamailio_core_shmmem_max_used",
			"Bytes of shared memory in use, with the allocator's overhead, at the peak since the start. Field max_used of core.shmmem.")},
		{name: shmmemFragments, unsigned: true, desc: gauge("kamailio_core_shmmem_fragments",
			"Number of fragments of free shared memory. Field fragments of core.shmmem.")},
	}
	shmmemByName = byName(shmmemFields)
)

const (
	shmmemFragments = "fragments"
	shmmemKiB       = "k" // the argument
)

var coreShmmem = &Collector{
	Method:  "core.shmmem",
	Module:  "core",
	Help:    "shared memory, 6 series",
	Auto:    true,
	Metrics: descsOf(shmmemFields),
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: "core.shmmem"}, {Method: "core.shmmem", Args: []any{shmmemKiB}}}
	},
	settled: func(replies []Reply) bool {
		_, kib := shmmemReplies(replies)
		return isBelow4GiB(kib)
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		bytes, kib := shmmemReplies(replies)
		collectShmmem(out, bytes, kib)
	},
}

// shmmemReplies returns the replies in bytes and in KiB. The latter does not exist
// if its total is not that of the former, because Kamailio restarted between the
// calls.
func shmmemReplies(replies []Reply) (bytes, kib rpc.Value) {
	for i := range replies {
		if replies[i].argument(0) == shmmemKiB {
			kib = replies[i].Value
		} else {
			bytes = replies[i].Value
		}
	}
	if isOtherTotal(bytes.Get("total"), kib.Get("total")) {
		kib = rpc.Value{}
	}
	return bytes, kib
}

// isOtherTotal reports whether a total that may lack its upper 32 bits is not the
// one in KiB.
func isOtherTotal(bytes, kib rpc.Value) bool {
	inBytes, ok := bytes.Uint()
	inKiB, okKiB := kib.Uint()
	if !ok || !okKiB || bytes.Kind() != rpc.KindInt || inBytes == inKiB { // a server of a test may ignore the argument
		return false
	}
	const mask = 1<<32 - 1
	return inBytes&mask>>10 != inKiB<<10&mask>>10
}

// isBelow4GiB reports whether the reply in KiB says that no number of bytes needs
// more than 32 bits. The total does not change until Kamailio restarts.
func isBelow4GiB(kib rpc.Value) bool {
	total, ok := number(kib.Get("total"), true)
	return ok && total < 1<<32/1024
}

// The names of fields of core.shmmem and of pkg.stats.
const (
	memoryFree     = "free"
	memoryRealUsed = "real_used"
)

// isFull reports whether free is the negative number of free bytes of a full memory. Before version 6.1, Kamailio counts bytes as
// used, with the overhead, that are not in the total, and subtracts them from it. It sends the difference as an unsigned number.
func isFull(free, realUsed, total rpc.Value) bool {
	used, ok := number(realUsed, true)
	size, okSize := number(total, true)
	isNumber := free.Kind() == rpc.KindInt || free.Kind() == rpc.KindDouble
	return ok && okSize && used > size && isNumber
}

func collectShmmem(out *metric.Writer, bytes, kib rpc.Value) {
	total := bytes.Get("total")
	inKiB := integer(total) == "" || integer(total) != integer(kib.Get("total")) // a server of a test may ignore the argument
	mayBeCut := inKiB && !isBelow4GiB(kib)
	whole := bytes
	if mayBeCut && total.Kind() == rpc.KindInt {
		whole = kib
	}
	full := isFull(bytes.Get(memoryFree), whole.Get(memoryRealUsed), whole.Get("total"))
	for member := range bytes.All() {
		f, ok := shmmemByName[member.Name()]
		if !ok {
			out.Skip(metric.UnknownField, member.Name())
			continue
		}
		if full && f.name == memoryFree {
			out.Add(f.desc, 0)
			continue
		}
		value, ok := number(member, true)
		if !ok {
			skipNumber(out, f.name, member)
			continue
		}
		if mayBeCut && member.Kind() == rpc.KindInt && f.name != shmmemFragments {
			if value, ok = restoreUpperHalf(uint64(value), kib.Get(f.name)); !ok {
				out.Skip(metric.BadValue, f.name+" may lack its upper 32 bits")
				continue
			}
		}
		out.Add(f.desc, value)
	}
}

// restoreUpperHalf returns a number of bytes from its lower 32 bits and from the
// approximate number of KiB, which Kamailio sent a moment earlier or later. It
// returns false if kib is not a number.
func restoreUpperHalf(bytes uint64, kib rpc.Value) (float64, bool) {
	const half = 1 << 32
	about, ok := number(kib, true)
	if !ok {
		return 0, false
	}
	if bytes >= half { // it was not cut
		return float64(bytes), true
	}
	upper := math.Round((about*1024 - float64(bytes)) / half)
	return float64(bytes) + max(upper, 0)*half, true
}

var tcpInfoFields = []field{
	{name: "readers", desc: gauge("kamailio_core_tcp_info_readers",
		"Number of processes that read from TCP connections. Field readers of core.tcp_info.")},
	{name: "max_connections", desc: gauge("kamailio_core_tcp_info_max_connections",
		"Maximum number of TCP connections, including TLS. Field max_connections of core.tcp_info.")},
	{name: "max_tls_connections", desc: gauge("kamailio_core_tcp_info_max_tls_connections",
		"Maximum number of TLS connections. Field max_tls_connections of core.tcp_info.")},
	{name: "opened_connections", desc: gauge("kamailio_core_tcp_info_opened_connections",
		"Number of open TCP connections, including TLS. Field opened_connections of core.tcp_info.")},
	{name: "opened_tls_connections", desc: gauge("kamailio_core_tcp_info_opened_tls_connections",
		"Number of open TLS connections. Field opened_tls_connections of core.tcp_info.")},
	{name: "write_queued_bytes", unsigned: true, desc: gauge("kamailio_core_tcp_info_write_queued_bytes",
		"Bytes queued to be written to TCP connections. Field write_queued_bytes of core.tcp_info.")},
}

var coreTCPInfo = &Collector{
	Method:  "core.tcp_info",
	Module:  "core",
	Help:    "TCP and TLS connections, 6 series",
	Auto:    true,
	Metrics: descsOf(tcpInfoFields),
	collect: fields(tcpInfoFields),
	noRows:  "tcp support disabled", // with disable_tcp=yes, where the method still exists
}

var processes = gauge("kamailio_core_processes",
	"Number of processes by role, which is the description without numbers and sockets. Field DSC of core.psx.", "role")

var corePsx = &Collector{
	Method:  "core.psx",
	Module:  "core",
	Help:    "number of processes, a series for each role, about 15",
	Auto:    true,
	Metrics: []*metric.Desc{processes},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		count := map[string]float64{}
		for process := range reply.Value.Rows() {
			if role, ok := roleOf(out, process, "DSC"); ok {
				count[role]++
			}
		}
		for _, r := range slices.Sorted(maps.Keys(count)) {
			out.Add(processes, count[r], r)
		}
	}),
}

// roleOf returns the role of a process. ok is false if the description is empty: Kamailio sets it when the process runs already, so
// that it can be empty while Kamailio starts. Source: fork_process in Kamailio's src/core/pt.c.
func roleOf(out *metric.Writer, process rpc.Value, name string) (role string, ok bool) {
	if v := process.Get(name); v.Kind() == rpc.KindString && v.Text() == "" {
		return "", false
	}
	description, ok := keys(out, process, name)
	if !ok {
		return "", false
	}
	return Role(description[0]), true
}

// processDetails matches the part of a description that distinguishes processes
// of the same role: the first "child=3" and everything after it, a socket in
// brackets, or a number at the end.
var processDetails = regexp.MustCompile(`( \S+)?=.*$| \(.*$|[ #:_-]+\d+$`)

// Role returns the role of a process from its description, so that processes that
// do the same have the same role. Kamailio's main.c, tcp_main.c and modules that
// fork make descriptions such as "udp receiver child=0 sock=[::1]:5060", "tcp
// receiver (generic) child=1", "RTIMER EXEC child=0 timer=ta" and "Async Task
// Worker - default".
func Role(description string) string {
	return cmp.Or(processDetails.ReplaceAllString(description, ""), description)
}

// 5.6 does not send the address family and the group. If address is a host name,
// there is also ipaddress. A socket with several addresses has address several
// times; the label has the first.
var socketInfo = gauge("kamailio_core_socket_info",
	"Always 1. The labels describe a socket that Kamailio listens on. Fields of the same names of core.sockets_list.",
	socketLabels...)

var socketLabels = []string{"address", "af", "agname", "mcast", "mhomed", "port", "proto", "virtual"}

var coreSocketsList = &Collector{
	Method:  "core.sockets_list",
	Module:  "core",
	Help:    "sockets that Kamailio listens on, a series for each socket",
	Auto:    true,
	Metrics: []*metric.Desc{socketInfo},
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for socket := range reply.Value.Named("socket") {
			if _, ok := keys(out, socket, "address", "proto"); !ok {
				continue
			}
			labels := make([]string, len(socketLabels))
			for i, name := range socketLabels {
				labels[i] = socket.Get(name).Text()
			}
			out.Add(socketInfo, 1, labels...)
		}
	}),
}
