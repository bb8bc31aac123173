//go:build linux

package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// liveTarget returns a target of a Kamailio.
func liveTarget(t *testing.T, args ...string) *Target {
	t.Helper()
	cfg, err := config.Parse(append([]string{"-m", "core.uptime", "-t", "10s"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	target := NewTarget(cfg.Target, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

// signalProcesses sends a signal to the processes whose description has a prefix.
func signalProcesses(t *testing.T, k *lab.Kamailio, prefix string, signal syscall.Signal) {
	t.Helper()
	for _, pid := range pidsOf(t, k, prefix) {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		for signal == syscall.SIGSTOP && !hasStopped(t, pid) { // it stops when it runs next
			time.Sleep(time.Millisecond)
		}
	}
}

// hasStopped reports whether a process is stopped.
func hasStopped(t *testing.T, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), ") T ")
}

// hostPage returns the series of the host, and others with one of the prefixes.
func hostPage(ctx context.Context, target *Target, prefixes ...string) map[string]float64 {
	page := map[string]float64{}
	prefixes = append(prefixes, "kamailio_process_", "kamailio_socket_", "kamailio_up")
	for line := range strings.Lines(samples(scraped(ctx, target), prefixes...)) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), "] ")
		page[series+"]"], _ = strconv.ParseFloat(text, 64)
	}
	return page
}

// labels returns the labels of the series of a family, sorted.
func labels(page map[string]float64, family string) []string {
	var all []string
	for series := range page {
		if rest, ok := strings.CutPrefix(series, family+"["); ok {
			all = append(all, strings.TrimSuffix(rest, "]"))
		}
	}
	slices.Sort(all)
	return all
}

// awaitHost scrapes until a condition holds.
func awaitHost(t *testing.T, target *Target, what string, holds func(page map[string]float64) bool) {
	t.Helper()
	const patience = 30 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		page := hostPage(t.Context(), target)
		if page["up[]"] == 1 && holds(page) {
			return
		}
		if time.Now().After(deadline) {
			var lines []string
			for _, series := range slices.Sorted(maps.Keys(page)) {
				lines = append(lines, fmt.Sprint(series, " ", page[series]))
			}
			t.Fatalf("after %v, still waiting for %s:\n%s", patience, what, strings.Join(lines, "\n"))
		}
	}
}

// spins is a routing script in which a process that receives OPTIONS spins while a value of a hash table is 1.
const spins = `
  if (is_method("OPTIONS")) {
    while ($sht(a=>spin) == 1) { $var(spins) = $var(spins) + 1; }
  }`

// TestLiveHost stops and spins the processes of a real Kamailio, and restarts it. RPC still answers; the series of the host show
// what happens.
func TestLiveHost(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		ports := make([]int, 2)
		for i := range ports {
			var err error
			if ports[i], err = lab.FreePort(); err != nil {
				t.Fatal(err)
			}
		}
		wildcard, ipv6 := fmt.Sprintf("0.0.0.0:%d", ports[0]), fmt.Sprintf("[::1]:%d", ports[1])
		k := lab.StartTest(t, lab.Options{Suite: suite, Route: spins, Config: "max_while_loops=0\nlisten=udp:" + wildcard + "\nlisten=udp:" + ipv6 + "\nlisten=tcp:" + ipv6 + "\n"})
		target := liveTarget(t, "-u", k.URI("unix"), "--kamailio.host=full", "-m", "core.uptime,pkg.stats,core.psx")
		t.Run("labels", func(t *testing.T) { testHostLabels(t, k, target, wildcard, ipv6) })
		t.Run("stopped receivers", func(t *testing.T) { testStoppedReceivers(t, k, target) })
		t.Run("spinning script", func(t *testing.T) { testSpinningScript(t, k, target) })
		t.Run("dead RPC", func(t *testing.T) { testDeadRPC(t, k, target) })
		t.Run("restart", func(t *testing.T) { testRestartOfHost(t, k, target) })
	})
}

// testHostLabels compares the labels with those of the families that they should join.
func testHostLabels(t *testing.T, k *lab.Kamailio, target *Target, others ...string) {
	page := hostPage(t.Context(), target, "kamailio_pkg_used_bytes", "kamailio_core_processes")
	cpu := labels(page, "process_cpu_seconds_total")
	for _, process := range labels(page, "pkg_used_bytes") {
		if !slices.Contains(cpu, process) {
			t.Errorf("process %s of pkg.stats has no CPU time", process)
		}
	}
	processes := 0.0
	for _, role := range labels(page, "core_processes") {
		processes += page["core_processes["+role+"]"]
		if sum, want := countStates(page, role), page["core_processes["+role+"]"]; sum != want {
			t.Errorf("%v processes of the role %s have a state, want %v", sum, role, want)
		}
	}
	if len(cpu) != int(processes) || processes < 10 {
		t.Errorf("%d processes have CPU time, and core.psx lists %v", len(cpu), processes)
	}
	if memory := labels(page, "process_resident_anonymous_memory_bytes"); !slices.Equal(memory, cpu) || page["process_resident_anonymous_memory_bytes[0 main process - attendant]"] < 1<<10 {
		t.Errorf("memory of %q", memory)
	}
	if switches := labels(page, "process_context_switches_total"); len(switches) != 2*len(cpu) {
		t.Errorf("context switches %q", switches)
	}
	udp, tcp, tls := k.SIPAddr()+" udp", k.SIPAddr()+" tcp", k.TLSAddr()+" tls"
	wantUDP, wantTCP := []string{udp, others[0] + " udp", others[1] + " udp"}, []string{tcp, tls, others[1] + " tcp"}
	slices.Sort(wantUDP)
	slices.Sort(wantTCP)
	queues, dropped, accept := labels(page, "socket_receive_queue_bytes"), labels(page, "socket_dropped_packets_total"), labels(page, "socket_accept_queue")
	if !slices.Equal(queues, wantUDP) || !slices.Equal(dropped, wantUDP) || !slices.Equal(accept, wantTCP) {
		t.Errorf("queues of %q, %q and %q, want %q and %q", queues, dropped, accept, wantUDP, wantTCP)
	}
	sip := labels(hostPage(t.Context(), liveTarget(t, "-u", k.URI("unix"), "--kamailio.sip-probe=auto"), "kamailio_sip_up"), "sip_up")
	if all := slices.Concat(queues, accept); slices.ContainsFunc(sip, func(s string) bool { return !slices.Contains(all, s) }) || len(sip) < 3 {
		t.Errorf("kamailio_sip_up has %q, want some of %q", sip, all)
	}
}

// countStates returns the number of processes of a role in all states.
func countStates(page map[string]float64, role string) (sum float64) {
	for _, state := range host.States {
		sum += page["process_states["+role+" "+string(state)+"]"]
	}
	return sum
}

// testStoppedReceivers fills the queue of a socket whose processes are stopped.
func testStoppedReceivers(t *testing.T, k *lab.Kamailio, target *Target) {
	queue, dropped := "socket_receive_queue_bytes["+k.SIPAddr()+" udp]", "socket_dropped_packets_total["+k.SIPAddr()+" udp]"
	receivers := countStates(hostPage(t.Context(), target), "udp receiver")
	signalProcesses(t, k, "udp receiver", syscall.SIGSTOP)
	conn, err := net.Dial("udp", k.SIPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2000 {
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	page := hostPage(t.Context(), target)
	if page["process_states[udp receiver stopped]"] != receivers || receivers < 2 || page[queue] < 100_000 || page[dropped] < 100 || page["up[]"] != 1 {
		t.Errorf("%v of %v receivers are stopped, queue %v bytes, %v packets dropped, up %v",
			page["process_states[udp receiver stopped]"], receivers, page[queue], page[dropped], page["up[]"])
	}
	if other := page["process_states[tcp receiver stopped]"]; other != 0 {
		t.Errorf("%v receivers of TCP are stopped", other)
	}
	signalProcesses(t, k, "udp receiver", syscall.SIGCONT)
	awaitHost(t, target, "the queue to be empty", func(page map[string]float64) bool {
		return page[queue] == 0 && page[dropped] >= 100 && page["process_states[udp receiver stopped]"] == 0
	})
}

// testSpinningScript has one process that receives UDP spin.
func testSpinningScript(t *testing.T, k *lab.Kamailio, target *Target) {
	spin := func(value string) {
		if out, err := k.Kamcmd(t.Context(), "htable.seti", "a", "spin", value); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	spin("1")
	defer spin("0")
	conn, err := net.Dial("udp", k.SIPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	uri := "sip:" + k.SIPAddr()
	if _, err := fmt.Fprintf(conn, "OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKspin\r\nFrom: <%s>;tag=a\r\nTo: <%s>\r\nCall-ID: spin\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\nContent-Length: 0\r\n\r\n",
		uri, conn.LocalAddr(), uri, uri); err != nil {
		t.Fatal(err)
	}
	before := hostPage(t.Context(), target)
	awaitHost(t, target, "one process to spin", func(page map[string]float64) bool {
		spinning := 0
		for _, process := range labels(page, "process_cpu_seconds_total") {
			series := "process_cpu_seconds_total[" + process + "]"
			if page[series]-before[series] > 0.3 && strings.HasSuffix(process, " udp receiver") {
				spinning++
			}
		}
		return spinning == 1 && page["process_states[udp receiver running]"] >= 1
	})
}

// testDeadRPC stops the process that answers RPC.
func testDeadRPC(t *testing.T, k *lab.Kamailio, target *Target) {
	before := hostPage(t.Context(), target)
	pids := pidsOf(t, k, "ctl handler")
	signalProcesses(t, k, "ctl handler", syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	page := hostPage(ctx, target)
	if err := syscall.Kill(pids[0], syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if page["process_states[ctl handler stopped]"] != 1 || page["up[]"] != 0 || len(page) < len(before)-1 {
		t.Errorf("ctl handler: %v stopped, %d of %d series", page["process_states[ctl handler stopped]"], len(page), len(before))
	}
	awaitHost(t, target, "RPC to work again", func(page map[string]float64) bool { return page["process_states[ctl handler stopped]"] == 0 })
}

// pidsOf returns the PIDs of the processes whose description has a prefix.
func pidsOf(t *testing.T, k *lab.Kamailio, prefix string) []int {
	t.Helper()
	out, err := k.Kamcmd(t.Context(), "core.psx")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, match := range regexp.MustCompile(`PID: (\d+)\s+DSC: `+prefix).FindAllStringSubmatch(out, -1) {
		pid, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		t.Fatalf("no process %q in\n%s", prefix, out)
	}
	return pids
}

// testRestartOfHost checks that only the new processes are shown, which have used less CPU time.
func testRestartOfHost(t *testing.T, k *lab.Kamailio, target *Target) {
	before := hostPage(t.Context(), target)
	if err := k.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	page := hostPage(t.Context(), target)
	if got, want := labels(page, "process_cpu_seconds_total"), labels(before, "process_cpu_seconds_total"); !slices.Equal(got, want) {
		t.Errorf("processes %q, want %q", got, want)
	}
	if got, want := labels(page, "socket_receive_queue_bytes"), labels(before, "socket_receive_queue_bytes"); !slices.Equal(got, want) {
		t.Errorf("sockets %q, want %q", got, want)
	}
	var pids []int
	sources := target.modules[0].sources
	source, _ := sources[len(sources)-1].(*hostSource)
	for _, process := range source.kamailio.Table().Processes {
		pids = append(pids, process.PID)
	}
	if want := pidsOf(t, k, ""); !slices.Equal(pids, want) {
		t.Errorf("PIDs %v, want %v", pids, want)
	}
	if page["socket_dropped_packets_total["+k.SIPAddr()+" udp]"] != 0 {
		t.Error("the socket has dropped packets before it was opened")
	}
}
