package host

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// kamailio is a process table with the main process 100 and two children.
var kamailio = Table{Processes: []Process{{0, 100, "main"}, {1, 101, "udp receiver"}, {2, 102, "timer"}}}

func TestIdentify(t *testing.T) {
	good := evidence{own: 50, self: status{pid: 50, namespaces: 1}, peer: 100, stat: stat{start: 7}, status: status{pid: 100, namespaces: 1}, ok: true}
	for _, test := range []struct {
		name   string
		change func(e *evidence, table *Table)
		want   error
		main   int
	}{
		{"same namespace", func(*evidence, *Table) {}, nil, 100},
		{"peer is not in the namespace", func(e *evidence, _ *Table) { e.peer = 0 }, ErrOtherNamespace, 0},
		{"peer is hidden", func(e *evidence, _ *Table) { e.ok = false }, ErrHidden, 0},
		{"/proc is that of a namespace above", func(e *evidence, _ *Table) { e.self = status{pid: 5000, namespaces: 2} }, ErrHidden, 0},
		{"/proc is that of a namespace above, with an equal PID", func(e *evidence, _ *Table) { e.self.namespaces = 2 }, ErrHidden, 0},
		{"/proc is not mounted", func(e *evidence, _ *Table) { e.self = status{} }, ErrHidden, 0},
		{"peer is in a namespace below", func(e *evidence, _ *Table) { e.peer, e.status.namespaces = 9100, 2 }, ErrOtherNamespace, 9100},
		{"peer is in a namespace below, with an equal PID", func(e *evidence, _ *Table) { e.status.namespaces = 2 }, ErrOtherNamespace, 100},
		{"Kamailio has another PID for it", func(e *evidence, _ *Table) { e.peer = 101 }, ErrOtherNamespace, 101},
		{"table without a main process", func(_ *evidence, table *Table) { table.Processes = table.Processes[1:] }, ErrOtherNamespace, 100},
	} {
		found, table := good, kamailio
		test.change(&found, &table)
		id, err := identify(table, found, identity{})
		if !errors.Is(err, test.want) || id.known != (test.want == nil) || id.main != test.main {
			t.Errorf("%s: got main process %d, known %v, %v; want %d, %v", test.name, id.main, id.known, err, test.main, test.want)
		}
	}
}

func TestIdentifyKeepsStartTimes(t *testing.T) {
	found := evidence{own: 50, self: status{pid: 50, namespaces: 1}, peer: 100, stat: stat{start: 7}, status: status{namespaces: 1}, ok: true}
	before := identity{starts: map[int]uint64{100: 7, 101: 8}}
	if id, err := identify(kamailio, found, before); err != nil || !maps.Equal(id.starts, before.starts) {
		t.Errorf("same main process: got %v, %v", id.starts, err)
	}
	found.stat.start = 9
	if id, err := identify(kamailio, found, before); err != nil || !maps.Equal(id.starts, map[int]uint64{100: 9}) {
		t.Errorf("main process after a restart: got %v, %v", id.starts, err)
	}
}

func TestJudgeProcesses(t *testing.T) {
	healthy := map[int]stat{100: {'S', 1, 50, 7}, 101: {'R', 100, 1234, 8}, 102: {'T', 100, 0, 8}}
	for _, test := range []struct {
		name   string
		starts map[int]uint64
		change func(stats map[int]stat)
		want   []int
	}{
		{"first poll", map[int]uint64{100: 7}, func(map[int]stat) {}, []int{100, 101, 102}},
		{"later poll", map[int]uint64{100: 7, 101: 8, 102: 8}, func(map[int]stat) {}, []int{100, 101, 102}},
		{"process ended", map[int]uint64{100: 7, 101: 8, 102: 8}, func(stats map[int]stat) { delete(stats, 102) }, []int{100, 101}},
		{"PID was reused by a child", map[int]uint64{100: 7, 101: 8, 102: 8}, func(stats map[int]stat) { stats[101] = stat{'R', 100, 1, 99} }, []int{100, 102}},
		{"PID was reused by another program", map[int]uint64{100: 7}, func(stats map[int]stat) { stats[101] = stat{'R', 1, 1, 99} }, []int{100, 102}},
		{"main process ended", map[int]uint64{100: 7, 101: 8}, func(stats map[int]stat) { delete(stats, 100) }, nil},
		{"PID of the main process was reused", map[int]uint64{100: 7, 101: 8}, func(stats map[int]stat) { stats[100] = stat{'R', 1, 1, 99} }, nil},
		{"main process has no children", map[int]uint64{100: 7}, func(stats map[int]stat) { delete(stats, 101); delete(stats, 102) }, nil},
	} {
		stats := maps.Clone(healthy)
		test.change(stats)
		id := identity{table: kamailio, main: 100, known: true, starts: test.starts}
		got, _ := id.judge(sight{stats: stats})
		var pids []int
		for _, process := range got {
			pids = append(pids, process.PID)
		}
		if !slices.Equal(pids, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, pids, test.want)
		}
	}
	id := identity{table: kamailio, main: 100, known: true, starts: map[int]uint64{100: 7}}
	got, _ := id.judge(sight{stats: healthy, statuses: map[int]status{101: {101, 1, 4096, 5, 6}}})
	want := ProcessReading{Process{1, 101, "udp receiver"}, Running, 12.34, 4096, 5, 6}
	if len(got) != 3 || got[1] != want || got[2].State != Stopped {
		t.Errorf("got %+v, want %+v and a stopped process", got, want)
	}
	id.known = false
	if got, _ := id.judge(sight{stats: healthy}); got != nil {
		t.Errorf("PIDs of another namespace: got %+v", got)
	}
}

func TestJudgeSockets(t *testing.T) {
	addr := netip.MustParseAddrPort
	lists := listing{
		udp: []row{
			{local: addr("127.0.0.1:5060"), queue: 4352, dropped: 2, inode: 1},
			{local: addr("127.0.0.1:5060"), inode: 9, connected: true},
			{local: addr("0.0.0.0:5062"), queue: 1, inode: 2},
			{local: addr("[fe80::1]:5060"), queue: 3, inode: 3},
			{local: addr("127.0.0.1:5066"), inode: 4}, {local: addr("127.0.0.1:5066"), inode: 5},
			{local: addr("127.0.0.1:5068"), queue: 1, inode: 6}, {local: addr("127.0.0.1:5068"), queue: 2, inode: 6},
		},
		tcp: []row{{local: addr("127.0.0.1:5060"), queue: 7, dropped: 1, inode: 7, listens: true}, {local: addr("[::]:5061"), inode: 8, listens: true}},
	}
	sockets := func(transport string, addrs ...string) (all []Socket) {
		for _, a := range addrs {
			all = append(all, Socket{transport, addr(a)})
		}
		return all
	}
	listed := slices.Concat(
		sockets("udp", "127.0.0.1:5060", "0.0.0.0:5062", "[fe80::1%eth0]:5060", "127.0.0.1:5066", "127.0.0.1:5068", "127.0.0.2:5060", "0.0.0.0:5060"),
		sockets("tcp", "127.0.0.1:5060", "127.0.0.1:5062"), sockets("tls", "[::]:5061"))
	want := []SocketReading{
		{listed[0], 4352, 2}, {listed[1], 1, 0}, {listed[2], 3, 0}, {listed[4], 2, 0}, {listed[7], 7, 0}, {listed[9], 0, 0},
	}
	stats := map[int]stat{100: {'S', 1, 50, 7}}
	id := identity{table: Table{Sockets: listed}, main: 100, starts: map[int]uint64{100: 7}}
	if _, got := id.judge(sight{listed: lists, stats: stats}); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, got := id.judge(sight{listed: lists}); got != nil {
		t.Errorf("the main process has ended: got %+v", got)
	}
	id.main = 0
	if _, got := id.judge(sight{listed: lists}); !slices.Equal(got, want) {
		t.Errorf("the main process is not visible: got %+v, want %+v", got, want)
	}
}

func TestStateOf(t *testing.T) {
	for letter, want := range map[byte]State{'R': Running, 'S': Sleeping, 'D': Uninterruptible, 'T': Stopped, 't': Stopped, 'Z': Other, 'X': Other, 0: Other} {
		if got := stateOf(letter); got != want || !slices.Contains(States, got) {
			t.Errorf("%q: got %s, want %s", letter, got, want)
		}
	}
}
