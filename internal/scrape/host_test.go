package scrape

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestWhichTargetsHaveAHost(t *testing.T) {
	if !host.Supported {
		t.Skip("the system is not Linux")
	}
	for args, want := range map[string]bool{
		"": true, "-m auto,dlg.stats_active": true, "-m core.uptime": false, "-m tm.stats,sl.stats,core.shmmem,core.uptime,core.tcp_info": false,
		"--kamailio.host=on -m core.uptime": true, "--kamailio.host=full": true, "--kamailio.host=off": false,
		"-u unix:/x": true, "-u unixd:/x": false, "-u tcp://127.0.0.1:2046": false, "-u http://127.0.0.1/RPC": false, "-u jsonrpc+unixgram:/x": false,
		"-u tcp://127.0.0.1:2046 --kamailio.host=on": true,
	} {
		cfg, err := config.Parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := newHostSource(&script{}, cfg.Target, cfg.Target.Modules[0]) != nil; got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
}

// hostScript returns a client of a Kamailio with one process, which is not visible.
func hostScript() *script {
	return &script{connection: 1, answers: map[string]answer{
		"core.uptime":       uptimeAnswer,
		"core.psx":          {records: []any{rpc.Members{{Name: "IDX", Value: 0}, {Name: "PID", Value: 7}, {Name: "DSC", Value: "main process"}}}},
		"core.sockets_list": {records: []any{rpc.Members{}}},
	}}
}

// TestHostAsksTwiceForEachConnection counts the polls that ask Kamailio for its processes. It may have started others before the
// second one.
func TestHostAsksTwiceForEachConnection(t *testing.T) {
	if !host.Supported {
		t.Skip("the system is not Linux")
	}
	client := hostScript()
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime"), Host: config.HostOn})
	for i, poll := range []struct {
		connection uint64
		pid        int
		asks       bool
	}{
		{1, 7, true}, {1, 7, true}, {1, 7, false}, {1, 7, false},
		{2, 8, true}, {2, 9, true}, {2, 9, true}, {2, 9, false},
		{0, 9, true}, {0, 9, true}, {3, 9, true}, {3, 9, true}, {3, 9, false},
	} {
		client.mu.Lock()
		client.batches, client.connection = nil, poll.connection
		client.mu.Unlock()
		client.answers["core.psx"].records[0].(rpc.Members)[1].Value = poll.pid //nolint:errcheck,forcetypeassert // as in hostScript
		scraped(t.Context(), target)
		got := slices.ContainsFunc(client.asked(), func(batch []string) bool { return batch[0] == "core.psx" })
		if got != poll.asks {
			t.Errorf("poll %d: asked %v, want %v", i, got, poll.asks)
		}
	}
}

// TestNoticesAreLoggedOnce polls a Kamailio whose processes are not visible.
func TestNoticesAreLoggedOnce(t *testing.T) {
	if !host.Supported {
		t.Skip("the system is not Linux")
	}
	for _, test := range []struct {
		options testOptions
		want    []string
	}{
		{testOptions{Host: config.HostOn}, []string{"level=WARN", host.ErrOtherNamespace.Error(), "shareProcessNamespace", "SETTING host"}},
		{testOptions{Host: config.HostAuto, Auto: true}, []string{"level=INFO", host.ErrOtherNamespace.Error()}},
		{testOptions{Host: config.HostOn, URI: "tcp://127.0.0.1:2046"}, []string{"level=WARN", hint.ErrNoUnixSocket.Error(), "SETTING uri"}},
	} {
		client := hostScript()
		client.methods = []string{"core.uptime"}
		test.options.Named = named(t, "core.uptime")
		target, log := newTestTarget(t, client, test.options)
		target.modules[0].log.setting = func(key string) string { return "SETTING " + key }
		for range 3 {
			page := samples(scraped(t.Context(), target), "kamailio_up", "kamailio_process", "kamailio_exporter_failed")
			if page != "exporter_failed_scrapes[] 0\nup[] 1\n" {
				t.Errorf("%+v: got\n%s", test.options, page)
			}
		}
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%+v: logged\n%s", test.options, log)
		}
		for _, want := range test.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%+v: logged\n%swant %s", test.options, log, want)
			}
		}
	}
}

func TestHostProcessesAndSockets(t *testing.T) {
	var rows []any
	add := func(index, pid any, description string) {
		rows = append(rows, rpc.Members{{Name: "IDX", Value: index}, {Name: "PID", Value: pid}, {Name: "DSC", Value: description}})
	}
	add(0, 100, "main process - attendant")
	add(1, 101, "udp receiver child=0 sock=[::1]:5060")
	add(-1, 102, "a")
	add(2, 0, "a")
	add("x", 103, "a")
	add(3, "x", "a")
	add(4, 104, strings.Repeat("x", maxDescription+1))
	add(6, 101, "timer")
	for i := range maxHostProcesses {
		add(5+i, 105+i, "timer")
	}
	list, err := rpc.ValueOf(rows...)
	if err != nil {
		t.Fatal(err)
	}
	want := []host.Process{{Index: 0, PID: 100, Role: "main process - attendant"}, {Index: 1, PID: 101, Role: "udp receiver"}, {Index: 5, PID: 105, Role: "timer"}}
	if got := hostProcesses(list); len(got) != maxHostProcesses || !slices.Equal(got[:3], want) {
		t.Errorf("got %d processes, the first ones %v, want %v", len(got), got[:3], want)
	}

	sockets := hostSockets(listed(t, "udp 127.0.0.1 5060", "TCP [::1] 5060", "tls 0.0.0.0 5061", "sctp 127.0.0.1 5060", "ws 127.0.0.1 80", "udp sip.example.net 5060",
		"udp 127.0.0.1 65536", "udp 127.0.0.1 x", "udp fe80::1%"+strings.Repeat("x", maxAddress)+" 5060"))
	var texts []string
	for _, socket := range sockets {
		texts = append(texts, socket.Transport+" "+socket.Addr.String())
	}
	if want := []string{"udp 127.0.0.1:5060", "tcp [::1]:5060", "tls 0.0.0.0:5061"}; !slices.Equal(texts, want) {
		t.Errorf("got %q, want %q", texts, want)
	}
	byName, err := rpc.ValueOf(rpc.Members{{Name: "proto", Value: "udp"}, {Name: "address", Value: "sip.example.net"}, {Name: "ipaddress", Value: "192.0.2.1"}, {Name: "port", Value: "5060"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := hostSocket(byName); !ok || got.Addr != netip.MustParseAddrPort("192.0.2.1:5060") {
		t.Errorf("a socket with a host name: got %v, %v", got, ok)
	}
}

func TestHostResult(t *testing.T) {
	process := func(index int, role string) host.Process {
		return host.Process{Index: index, PID: 100 + index, Role: role}
	}
	socket := func(transport string) host.Socket {
		return host.Socket{Transport: transport, Addr: netip.MustParseAddrPort("127.0.0.1:5060")}
	}
	r := hostResult{
		reading: host.Reading{
			Processes: []host.ProcessReading{
				{Process: process(0, "main"), State: host.Sleeping, CPU: 0.5, Memory: 4096, Voluntary: 3, Involuntary: 4},
				{Process: process(1, "udp receiver"), State: host.Stopped, CPU: 2},
				{Process: process(2, "udp receiver"), State: host.Running, CPU: 3},
			},
			Sockets:  []host.SocketReading{{Socket: socket("udp"), Queue: 9, Dropped: 8}, {Socket: socket("tcp"), Queue: 7}},
			Problems: []error{host.ErrHidden},
		},
		processes: []host.Process{process(0, "main"), process(1, "udp receiver"), process(2, "udp receiver"), process(3, "timer")},
		asked:     true,
	}
	page := func(r hostResult) (string, summary) {
		set := metric.NewSet()
		all := r.AddTo(set)
		return samples(set, "kamailio_"), all
	}
	got, all := page(r)
	var want strings.Builder
	want.WriteString("process_cpu_seconds_total[0 main] 0.5\nprocess_cpu_seconds_total[1 udp receiver] 2\nprocess_cpu_seconds_total[2 udp receiver] 3\n")
	for _, role := range []string{"main", "timer", "udp receiver"} {
		for _, state := range []host.State{host.Other, host.Running, host.Sleeping, host.Stopped, host.Uninterruptible} {
			isSet := role == "main" && state == host.Sleeping || role == "udp receiver" && (state == host.Stopped || state == host.Running)
			fmt.Fprintf(&want, "process_states[%s %s] %v\n", role, state, value(isSet))
		}
	}
	sockets := "socket_accept_queue[127.0.0.1:5060 tcp] 7\nsocket_dropped_packets_total[127.0.0.1:5060 udp] 8\nsocket_receive_queue_bytes[127.0.0.1:5060 udp] 9\n"
	if got != want.String()+sockets {
		t.Errorf("got\n%swant\n%s", got, want.String()+sockets)
	}
	if all.answered || len(all.problems) > 0 || !slices.Equal(all.notices, []notice{{host.ErrHidden, hint.ForHost(host.ErrHidden), true}}) {
		t.Errorf("got the summary %+v", all)
	}
	var details Details
	r.detail(&details)
	if !slices.Equal(details.Host.Stopped, []string{"udp receiver"}) {
		t.Errorf("got the details %+v", details.Host)
	}
	r.full = true
	got, _ = page(r)
	for _, want := range []string{"process_resident_anonymous_memory_bytes[0 main] 4096\n", "process_context_switches_total[0 main voluntary] 3\n", "process_context_switches_total[0 main involuntary] 4\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant %s", got, want)
		}
	}
	r.reading.Processes = nil
	if got, _ := page(r); got != sockets {
		t.Errorf("no process is visible: got\n%s", got)
	}
	s := &story{setting: func(key string) string { return key }}
	r.Describe(s)
	if text := s.String(); !strings.Contains(text, "0 of 4 processes") || !strings.Contains(text, "2 sockets") || !strings.Contains(text, "ProtectProc=default") {
		t.Errorf("described as\n%s", text)
	}
}

func TestNoticeWithoutHint(t *testing.T) {
	if got := hint.ForHost(errors.New("odd")); got != "" {
		t.Errorf("got the hint %q", got)
	}
}
