package collector

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestStartTimeDoesNotChange computes the start time in several time zones, from
// replies that arrive early or late in a second, and with clocks that differ.
func TestStartTimeDoesNotChange(t *testing.T) {
	start := time.Date(2026, 10, 24, 22, 15, 30, 0, time.UTC)
	zones := []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Los_Angeles"}
	for _, zone := range zones {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		text := start.In(location).Format(time.ANSIC)
		for _, off := range []time.Duration{-time.Minute, -999 * time.Millisecond, 0, 999 * time.Millisecond, 7 * time.Minute} {
			// Summer time in Europe ends a few hours after the start.
			for _, uptime := range []time.Duration{0, time.Second, time.Hour, 1000 * time.Hour} {
				got, err := started(text, start.Add(uptime).Add(off).Add(-uptime))
				if err != nil || !got.Equal(start) {
					t.Errorf("%s, uptime %v, clock off by %v: got %v, %v, want %v", zone, uptime, off, got, err, start)
				}
			}
		}
	}
}

func TestUptime(t *testing.T) {
	noStart := metric.Skip{Collector: "core.uptime", Reason: metric.BadValue, Count: 1, Example: "up_since is not a possible start time"}
	noUptime := metric.Skip{Collector: "core.uptime", Reason: metric.BadValue, Count: 1, Example: "uptime is out of range"}
	tests := []struct {
		name  string
		reply rpc.Members
		want  []string
		skips []metric.Skip
	}{
		{
			name:  "in New York",
			reply: rpc.Members{{Name: "now", Value: "Sun Nov 22 07:00:00 2026"}, {Name: "up_since", Value: "Sat Nov 21 07:00:01 2026"}, {Name: "uptime", Value: 86399}},
			want:  []string{"kamailio_core_uptime_uptime_total 86399", "kamailio_start_time_seconds 1.795262401e+09"},
		},
		{
			name:  "newline at the end, as from ctime",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026\n"}, {Name: "uptime", Value: 86399}},
			want:  []string{"kamailio_core_uptime_uptime_total 86399", "kamailio_start_time_seconds 1.795262401e+09"},
		},
		{
			name:  "no start time",
			reply: rpc.Members{{Name: "uptime", Value: 5}},
			want:  []string{"kamailio_core_uptime_uptime_total 5"},
		},
		{
			name:  "start time that is not a time",
			reply: rpc.Members{{Name: "up_since", Value: "yesterday"}, {Name: "uptime", Value: 5}},
			want:  []string{"kamailio_core_uptime_uptime_total 5"},
			skips: []metric.Skip{noStart},
		},
		{
			name:  "start time in the far future",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 9999"}, {Name: "uptime", Value: 5}},
			want:  []string{"kamailio_core_uptime_uptime_total 5"},
			skips: []metric.Skip{noStart},
		},
		{
			name:  "clock that was 30 years slow at the start",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}, {Name: "uptime", Value: 1000000000}},
			skips: []metric.Skip{noUptime},
		},
		{
			name:  "clock set back by two hours",
			reply: rpc.Members{{Name: "now", Value: "Sun Nov 22 12:00:00 2026"}, {Name: "up_since", Value: "Sun Nov 22 13:59:58 2026"}, {Name: "uptime", Value: -7198}},
			skips: []metric.Skip{noUptime},
		},
		{
			name:  "clock set back, as an unsigned number",
			reply: rpc.Members{{Name: "up_since", Value: "Sun Nov 22 13:59:58 2026"}, {Name: "uptime", Value: int64(4294960098)}},
			skips: []metric.Skip{noUptime},
		},
		{
			name:  "clock set back, as a double",
			reply: rpc.Members{{Name: "up_since", Value: "Sun Nov 22 13:59:58 2026"}, {Name: "uptime", Value: -0.001}},
			skips: []metric.Skip{noUptime},
		},
		{
			name:  "uptime of 31 million years",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}, {Name: "uptime", Value: 1e15}},
			skips: []metric.Skip{noUptime},
		},
		{
			name:  "uptime that is a text",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}, {Name: "uptime", Value: "5"}},
			skips: []metric.Skip{{Collector: "core.uptime", Reason: metric.NotANumber, Count: 1, Example: "uptime is a string"}},
		},
		{
			name:  "no uptime",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skips := collect(t, coreUptime, reply(t, test.reply))
			checkSamples(t, got, test.want...)
			checkSkips(t, skips, test.skips...)
		})
	}
}

// TestClockSetBack has replies of one Kamailio whose clock is changed, and of the next one. The clock of the exporter is not.
func TestClockSetBack(t *testing.T) {
	received := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	lower := metric.Skip{Collector: "core.uptime", Reason: metric.BadValue, Count: 1, Example: "uptime is lower than before"}
	impossible := metric.Skip{Collector: "core.uptime", Reason: metric.BadValue, Count: 1, Example: "uptime is out of range"}
	const start = "kamailio_start_time_seconds 1.795342e+09"
	var known Start
	for _, step := range []struct {
		since  string
		uptime int
		want   []string
		skips  []metric.Skip
	}{
		{"Sun Nov 22 10:06:40 2026", 6800, []string{"kamailio_core_uptime_uptime_total 6800", start}, nil},
		{"Sun Nov 22 10:06:40 2026", 6800, []string{"kamailio_core_uptime_uptime_total 6800", start}, nil},
		{"Sun Nov 22 10:06:40 2026", 6799, []string{start}, []metric.Skip{lower}},
		{"Sun Nov 22 10:06:40 2026", 100, []string{start}, []metric.Skip{lower}},
		{"Sun Nov 22 10:06:40 2026", -400, []string{start}, []metric.Skip{impossible}},
		{"Sun Nov 22 10:06:40 2026", 6799, []string{start}, []metric.Skip{lower}},
		{"Sun Nov 22 10:06:40 2026", 10000, []string{"kamailio_core_uptime_uptime_total 10000", start}, nil},
		{"Sun Nov 22 11:59:50 2026", 10, []string{"kamailio_core_uptime_uptime_total 10", "kamailio_start_time_seconds 1.79534879e+09"}, nil},
		{"Sun Nov 22 12:30:00 2026", -1800, nil, []metric.Skip{impossible}},
	} {
		answer := Reply{Call: rpc.Call{Method: uptimeMethod}, Start: known, Reply: reply(t, rpc.Members{{Name: "up_since", Value: step.since}, {Name: "uptime", Value: step.uptime}})}
		answer.Received = received
		set := metric.NewSet()
		if err := coreUptime.Collect(set, Settings{}, []Reply{answer}); err != nil && step.want != nil {
			t.Fatal(err)
		}
		checkSamples(t, samples(t, set), step.want...)
		checkSkips(t, set.Skips(), step.skips...)
		known = known.After(answer)
	}
}

// TestStartIsKept has replies that say nothing about the start of Kamailio.
func TestStartIsKept(t *testing.T) {
	uptime := rpc.Call{Method: uptimeMethod}
	answer := reply(t, rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}, {Name: "uptime", Value: 86399}})
	known := Start{}.After(Reply{Call: uptime, Reply: answer})
	if known.longest != 86399 {
		t.Fatalf("start %+v", known)
	}
	for name, reply := range map[string]Reply{
		"another method": {Call: rpc.Call{Method: "core.info"}, Reply: answer},
		"a fault":        {Call: uptime, Reply: rpc.Reply{Err: &rpc.Fault{}, Received: answer.Received}},
		"no reply":       {Call: uptime},
	} {
		if got := known.After(reply); got != known {
			t.Errorf("after %s: %+v, want %+v", name, got, known)
		}
	}
	if got := known.After(Reply{Call: uptime, Reply: reply(t, rpc.Members{{Name: "uptime", Value: 5}})}); got != (Start{}) {
		t.Errorf("after a reply without a start: %+v", got)
	}
}

func TestBuildInfo(t *testing.T) {
	got, skips := collect(t, coreInfo, reply(t, rpc.Members{{Name: "version", Value: "kamailio 6.1.0"}, {Name: "id", Value: "a1b2c3 "}}))
	checkSamples(t, got, `kamailio_build_info{compiled="",compiler="",name="kamailio",revision="a1b2c3",version="6.1.0"} 1`)
	checkSkips(t, skips)
	for _, version := range []string{"6.1.0", " 6.1.0", "kamailio "} {
		got, skips = collect(t, coreInfo, reply(t, rpc.Members{{Name: "version", Value: version}, {Name: "id", Value: "a1b2c3 "}}))
		checkSamples(t, got)
		checkSkips(t, skips, metric.Skip{Collector: "core.info", Reason: metric.BadValue, Count: 1, Example: "version is not a name and a number"})
	}
}

// TestRoles has descriptions from Kamailio's main.c, tcp_main.c, async_task.c and
// modules that fork.
func TestRoles(t *testing.T) {
	tests := map[string]string{
		"udp receiver child=0 sock=127.0.0.1:5060":             "udp receiver",
		"udp receiver child=12 sock=[::1]:5060 (192.0.2.1:70)": "udp receiver",
		"udp multithreaded receiver (udp)":                     "udp multithreaded receiver",
		"tcp receiver (generic) child=1":                       "tcp receiver",
		"tcp main process":                                     "tcp main process",
		"main process - attendant":                             "main process - attendant",
		"Async Task Worker - default":                          "Async Task Worker - default",
		"RTIMER EXEC child=0 timer=ta":                         "RTIMER EXEC",
		"EVREXEC child=1 exec=evrexec:x socket=udp:a:5":        "EVREXEC",
		"receiver_peer=hss.example.org":                        "receiver_peer",
		"worker #3":                                            "worker",
		"worker-12":                                            "worker",
		"ipv6":                                                 "ipv6",
		" child=1":                                             " child=1",
	}
	for description, want := range tests {
		if got := Role(description); got != want {
			t.Errorf("role of %q is %q, want %q", description, got, want)
		}
	}
}

func TestProcessRows(t *testing.T) {
	got, skips := collect(t, corePsx, reply(t,
		rpc.Members{{Name: "IDX", Value: 0}, {Name: "DSC", Value: "timer"}},
		rpc.Members{{Name: "IDX", Value: 1}},
		rpc.Members{{Name: "IDX", Value: 2}, {Name: "DSC", Value: "timer"}},
		rpc.Members{{Name: "IDX", Value: 3}, {Name: "DSC", Value: ""}}, // it has just been started
	))
	checkSamples(t, got, `kamailio_core_processes{role="timer"} 2`)
	checkSkips(t, skips, metric.Skip{Collector: "core.psx", Reason: metric.BadValue, Count: 1, Example: "DSC is missing"})
}

// TestSocketWithSeveralAddresses has a socket of SCTP.
func TestSocketWithSeveralAddresses(t *testing.T) {
	got, skips := collect(t, coreSocketsList, reply(t, rpc.Members{{Name: "socket", Value: rpc.Members{
		{Name: "af", Value: "IPv4"}, {Name: "proto", Value: "sctp"}, {Name: "address", Value: "192.0.2.1"},
		{Name: "address", Value: "192.0.2.2"}, {Name: "port", Value: "5060"}, {Name: "later", Value: 1},
	}}, {Name: "socket", Value: "none"}}))
	checkSamples(t, got, `kamailio_core_socket_info{address="192.0.2.1",af="IPv4",agname="",mcast="",mhomed="",port="5060",proto="sctp",virtual=""} 1`)
	checkSkips(t, skips, metric.Skip{Collector: "core.sockets_list", Reason: metric.BadValue, Count: 1, Example: "address is missing"})
}

// TestFaultsOfUnusedFeatures has faults of methods of a protocol or a Kamailio module that is not in use. Those of
// core.tcp_info and of htable were seen on 5.6.3 and 6.0.1, the others are in Kamailio's source.
func TestFaultsOfUnusedFeatures(t *testing.T) {
	tests := map[*Collector]string{
		coreTCPInfo:      "tcp support disabled",
		sctpInfo:         "sctp support disabled",
		htableStats:      "No htables",
		htableListTables: "No htables",
		uacRegDump:       "Not enabled",
	}
	for c, reason := range tests {
		fault := &rpc.Fault{Code: 500, Reason: reason}
		if err := c.Collect(metric.NewSet(), Settings{}, []Reply{{Reply: rpc.Reply{Err: fault}}}); err != nil {
			t.Errorf("%s: %v", c.Method, err)
		}
	}
}

// TestSharedMemoryOf4GiB has replies of Kamailio 5.6 with -m 4200, in bytes and in KiB. The values may change between the two
// calls, and cross the limit of 32 bits. Later versions send doubles and larger integers.
func TestSharedMemoryOf4GiB(t *testing.T) {
	const gib = 1 << 30
	tests := []struct {
		name       string
		bytes, kib any
		want       string // "" for no series
	}{
		{"total", int32(109051904), 4300800, "4.4040192e+09"},
		{"negative as 32 bits", int32(-1), 8388607, "8.589934591e+09"},
		{"crossed the limit upwards", int32(100), 4*gib>>10 - 1, "4.294967396e+09"},
		{"crossed the limit downwards", int32(-100), 4 * gib >> 10, "4.294967196e+09"},
		{"small", 5, 0, "5"},
		{"decreased between the calls", 5, 1000, "5"},
		{"increased between the calls", 1000000, 0, "1e+06"},
		{"4 GiB of KiB as a negative number", 0, int32(math.MinInt32), "2.199023255552e+12"},
		{"a double", 5.0, 4300800, "5"},
		{"a large integer", int64(5 * gib), 0, "5.36870912e+09"},
		{"no value in KiB", 5, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set := metric.NewSet()
			err := coreShmmem.Collect(set, Settings{}, []Reply{
				{Call: coreShmmem.Calls(Settings{})[1], Reply: reply(t, rpc.Members{{Name: "total", Value: 4300800}, {Name: "free", Value: test.kib}})},
				{Call: coreShmmem.Calls(Settings{})[0], Reply: reply(t, rpc.Members{{Name: "total", Value: int32(109051904)}, {Name: "free", Value: test.bytes}})},
			})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"kamailio_core_shmmem_total 4.4040192e+09"}
			if test.want != "" {
				want = []string{"kamailio_core_shmmem_free " + test.want, want[0]}
			}
			checkSamples(t, samples(t, set), want...)
		})
	}
}

// TestSharedMemoryBelow4GiBIsSettled passes an earlier reply in KiB, as in a poll that does not make the second call again.
func TestSharedMemoryBelow4GiBIsSettled(t *testing.T) {
	for _, test := range []struct {
		total   int64 // KiB
		settled bool
		free    []string
	}{
		{4<<20 - 1, true, []string{"kamailio_core_shmmem_free 3.221225472e+09"}},
		{4 << 20, false, []string{"kamailio_core_shmmem_free 7.516192768e+09"}},
	} {
		answers := []Reply{
			{Call: coreShmmem.Calls(Settings{})[0], Reply: reply(t, rpc.Members{{Name: "free", Value: int32(3<<30 - 1<<32)}})},
			{Call: coreShmmem.Calls(Settings{})[1], Reply: reply(t, rpc.Members{{Name: "total", Value: test.total}, {Name: "free", Value: 7 << 20}})},
		}
		if got := coreShmmem.Settled(answers); got != test.settled {
			t.Errorf("%d KiB: settled is %t", test.total, got)
		}
		set := metric.NewSet()
		if err := coreShmmem.Collect(set, Settings{}, answers); err != nil {
			t.Fatal(err)
		}
		checkSamples(t, samples(t, set), test.free...)
	}
	if coreShmmem.Settled(nil) {
		t.Error("Settled without replies is true")
	}
}

// TestSharedMemoryOfTwoServersIsNotMixed has Kamailio restart between the two calls, with other sizes of shared memory.
func TestSharedMemoryOfTwoServersIsNotMixed(t *testing.T) {
	for _, test := range []struct {
		bytes   any
		kib     int64
		samples []string
	}{
		{int32(109051904), 65536, nil},     // 4200 MiB, then 64 MiB
		{int32(64 << 20), 4200 << 10, nil}, // 64 MiB, then 4200 MiB
		{int32(109051904), 8296 << 10, []string{"kamailio_core_shmmem_total 8.698986496e+09"}}, // the same modulo 4 GiB
		{float64(64 << 20), 4200 << 10, []string{"kamailio_core_shmmem_total 6.7108864e+07"}},  // not cut
	} {
		answers := []Reply{
			{Call: coreShmmem.Calls(Settings{})[0], Reply: reply(t, rpc.Members{{Name: "total", Value: test.bytes}})},
			{Call: coreShmmem.Calls(Settings{})[1], Reply: reply(t, rpc.Members{{Name: "total", Value: test.kib}})},
		}
		set := metric.NewSet()
		if err := coreShmmem.Collect(set, Settings{}, answers); err != nil && test.samples != nil {
			t.Fatal(err)
		}
		checkSamples(t, samples(t, set), test.samples...)
		if test.samples == nil && coreShmmem.Settled(answers) {
			t.Errorf("%v bytes, %d KiB: the replies of two servers are settled", test.bytes, test.kib)
		}
	}
}

// TestSharedMemoryWithoutKiB has no reply in KiB. A value that may lack its upper 32 bits has no sample.
func TestSharedMemoryWithoutKiB(t *testing.T) {
	got, skips := collect(t, coreShmmem, reply(t, rpc.Members{{Name: "total", Value: 109051904}, {Name: "free", Value: 8.0}, {Name: "fragments", Value: 3}}))
	checkSamples(t, got, "kamailio_core_shmmem_fragments 3", "kamailio_core_shmmem_free 8")
	checkSkips(t, skips, metric.Skip{Collector: "core.shmmem", Reason: metric.BadValue, Count: 1, Example: "total may lack its upper 32 bits"})
}

// freeMemory returns the value of kamailio_core_shmmem_free for replies in bytes and in KiB, "" if there is none.
func freeMemory(t *testing.T, bytes, kib rpc.Members) string {
	t.Helper()
	set := metric.NewSet()
	calls := coreShmmem.Calls(Settings{})
	if err := coreShmmem.Collect(set, Settings{}, []Reply{{Call: calls[0], Reply: reply(t, bytes)}, {Call: calls[1], Reply: reply(t, kib)}}); err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples(t, set) {
		if value, ok := strings.CutPrefix(sample, "kamailio_core_shmmem_free "); ok {
			return value
		}
	}
	return ""
}

func memoryOf(total, free, realUsed any) rpc.Members {
	return rpc.Members{{Name: "total", Value: total}, {Name: "free", Value: free}, {Name: "real_used", Value: realUsed}}
}

// TestFullSharedMemory has the numbers of Kamailios with a full shared memory of 12 MiB: 5.6 sends a negative number of free bytes
// as 32 bits, 6.0 as a double that overflows or, over JSON-RPC, as an unsigned number. 6.1 sends a correct one.
func TestFullSharedMemory(t *testing.T) {
	for name, test := range map[string]struct {
		free, realUsed any
		want           string
	}{
		"5.6":                {int32(-538896), 13121808, "0"},
		"6.0":                {-9223372036854775.808, 12998384.0, "0"},
		"6.0 over JSON-RPC":  {int64(math.MaxInt64), 12897968, "0"},
		"6.1":                {1840.0, 12581072.0, "1840"},
		"all bytes are used": {5, 12582912, "5"},
		"a text":             {"1840", 13121808, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := freeMemory(t, memoryOf(12582912, test.free, test.realUsed), memoryOf(12288, 0, 12814)); got != test.want {
				t.Errorf("free is %q, want %q", got, test.want)
			}
		})
	}
}

// TestFullSharedMemoryOf8GiB has numbers of Kamailio 5.6 that lack their upper 32 bits, so that only those in KiB show whether the
// memory is full.
func TestFullSharedMemoryOf8GiB(t *testing.T) {
	const total, more = 8 << 20, 526 // KiB
	for realUsed, want := range map[int32]string{total + more: "0", total - more: "538624"} {
		free := total - realUsed
		if got := freeMemory(t, memoryOf(0, free<<10, realUsed<<10), memoryOf(total, free, realUsed)); got != want {
			t.Errorf("%d KiB are used: free is %q, want %q", realUsed, got, want)
		}
	}
}
