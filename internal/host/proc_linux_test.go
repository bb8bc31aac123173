package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for an event that normally happens at once.
const patience = 10 * time.Second

// startChildren starts processes that sleep, and returns a table in which this process is the main process and they are the
// others.
func startChildren(tb testing.TB, n int) Table {
	tb.Helper()
	table := Table{Processes: []Process{{0, os.Getpid(), "main"}}}
	for i := range n {
		child := exec.CommandContext(tb.Context(), "sleep", "1000")
		if err := child.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = child.Wait() }) // the context has ended
		table.Processes = append(table.Processes, Process{i + 1, child.Process.Pid, "child"})
	}
	return table
}

// listen opens sockets at free ports.
func listen(tb testing.TB, network, address string) (Socket, *net.UDPConn) {
	tb.Helper()
	if network == "udp" {
		conn, err := net.ListenPacket("udp"+familyOf(address), address)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close() })
		udp, _ := conn.(*net.UDPConn)
		return Socket{"udp", netip.MustParseAddrPort(conn.LocalAddr().String())}, udp
	}
	listener, err := net.Listen("tcp"+familyOf(address), address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	return Socket{network, netip.MustParseAddrPort(listener.Addr().String())}, nil
}

func familyOf(address string) string {
	if strings.HasPrefix(address, "[") {
		return "6"
	}
	return "4"
}

// find returns the Kamailio of a table, whose main process is this one.
func find(t testing.TB, table Table) *Kamailio {
	t.Helper()
	k := Find("/no/such/socket", os.Getpid(), table, nil)
	if k.hidden != nil {
		t.Fatal(k.hidden)
	}
	return k
}

// TestReadProcesses reads this process and its children.
func TestReadProcesses(t *testing.T) {
	table := startChildren(t, 3)
	k := find(t, table)
	stopped, ended := table.Processes[1].PID, table.Processes[2].PID
	if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(ended, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	table.Processes = append(table.Processes, Process{4, 1, "not a child"}, Process{5, 1 << 22, "not a process"})
	k.table = table
	want := []State{Stopped, Other, Sleeping} // of the children; that of this process is the state of its first thread, which may do nothing
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := k.Read(true)
		if len(got.Problems) > 0 || len(got.Processes) != 4 {
			t.Fatalf("got %+v", got)
		}
		isDone := true
		for i, process := range got.Processes[1:] {
			isDone = isDone && process.State == want[i]
		}
		main := got.Processes[0]
		if isDone && main.Memory > 0 && main.Voluntary > 0 && got.Processes[3].Memory > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, want the states %v of the children", got, want)
		}
	}
	if got := k.Read(false).Processes[0]; got.Memory != 0 || got.Voluntary != 0 {
		t.Errorf("got %+v, want neither memory nor switches", got)
	}
	for deadline := time.Now().Add(patience); k.Read(false).Processes[0].CPU == 0; { // this loop uses it
		if time.Now().After(deadline) {
			t.Fatal("the CPU time of this process is 0")
		}
	}
}

// TestReadSockets fills the queues of sockets that nothing reads.
func TestReadSockets(t *testing.T) {
	var sockets []Socket
	add := func(network, address string) Socket {
		socket, conn := listen(t, network, address)
		if conn != nil {
			if err := conn.SetReadBuffer(1); err != nil { // the kernel's minimum
				t.Fatal(err)
			}
		}
		sockets = append(sockets, socket)
		return socket
	}
	full := []Socket{add("udp", "127.0.0.1:0"), add("udp", "[::1]:0"), add("udp", "0.0.0.0:0"), add("tcp", "127.0.0.1:0"), add("tls", "[::1]:0")}
	add("udp", "127.0.0.1:0")
	k := find(t, Table{Processes: []Process{{0, os.Getpid(), "main"}}, Sockets: sockets})
	for _, socket := range full {
		for range 20 {
			network := strings.Replace(socket.Transport, "tls", "tcp", 1)
			conn, err := net.Dial(network, strings.Replace(socket.Addr.String(), "0.0.0.0", "127.0.0.1", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if network == "udp" {
				if _, err := conn.Write(make([]byte, 500)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	got := k.Read(false)
	if len(got.Problems) > 0 || len(got.Sockets) != len(sockets) {
		t.Fatalf("got %+v", got)
	}
	for i, reading := range got.Sockets {
		switch {
		case i == len(full):
			if reading.Queue != 0 || reading.Dropped != 0 {
				t.Errorf("nothing was sent, got %+v", reading)
			}
		case reading.Transport == "udp":
			if reading.Queue < 500 || reading.Dropped < 1 || reading.Dropped >= 20 {
				t.Errorf("20 packets were sent, got %+v", reading)
			}
		case reading.Queue != 20 || reading.Dropped != 0:
			t.Errorf("20 connections were made, got %+v", reading)
		}
	}
}

// TestLargeLists reads lists that are larger than maxList.
func TestLargeLists(t *testing.T) {
	const listening = "   0: 0100007F:13C4 00000000:0000 0A 00000000:00000003 00:00000000 00000000  112        0 19 1 0000000000000000 100 0 0 10 0\n"
	const datagram = "   0: 0100007F:13C4 00000000:0000 07 00000000:00000003 00:00000000 00000000  112        0 19 1 0000000000000000 100\n"
	const connection = "   1: 0100007F:0001 0100007F:C001 01 00000000:00000000 00:00000000 00000000  112        0 20 1 0000000000000000 20 4 30 10 -1\n"
	long := strings.Repeat(connection, maxList/len(connection)+1)
	dir := t.TempDir() + "/"
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wanted := map[netip.AddrPort]bool{addrOf("127.0.0.1:5060"): true}
	k := find(t, Table{Processes: []Process{{0, os.Getpid(), "main"}}})
	write("tcp", listening+long)
	if rows, err := k.list(dir, "tcp", false, wanted); err != nil || len(rows) != 1 || rows[0].queue != 3 {
		t.Errorf("list of TCP: got %+v, %v", rows, err)
	}
	write("udp", datagram+long)
	if rows, err := k.list(dir, "udp", false, wanted); !errors.Is(err, ErrTooLarge) || len(rows) != 0 {
		t.Errorf("list of UDP: got %+v, %v", rows, err)
	}
	write("udp", datagram)
	if rows, err := k.list(dir, "udp", false, wanted); !errors.Is(err, ErrTooLarge) || len(rows) != 0 {
		t.Errorf("list of UDP, a moment later: got %+v, %v", rows, err)
	}
	k.large["udp"] = time.Now().Add(-2 * listPause)
	if rows, err := k.list(dir, "udp", false, wanted); err != nil || len(rows) != 1 {
		t.Errorf("list of UDP, later: got %+v, %v", rows, err)
	}
}

func addrOf(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// TestListeners compares the two ways to read TCP sockets that accept connections.
func TestListeners(t *testing.T) {
	wanted := map[netip.AddrPort]bool{}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		socket, _ := listen(t, "tcp", address)
		wanted[socket.Addr] = true
		conn, err := net.Dial("tcp", strings.Replace(socket.Addr.String(), "0.0.0.0", "127.0.0.1", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for name, family := range tcpFamilies {
		fromProc, complete := readRows("/proc/self/net/"+name, wanted)
		fromKernel, err := listeners(family)
		fromKernel = slices.DeleteFunc(fromKernel, func(r row) bool { return !wanted[r.local] })
		byPort := func(a, b row) int { return a.local.Compare(b.local) }
		slices.SortFunc(fromProc, byPort)
		slices.SortFunc(fromKernel, byPort)
		if err != nil || !complete || len(fromProc) != 2 || fromProc[0].queue != 1 || !slices.EqualFunc(fromProc, fromKernel, func(a, b row) bool {
			a.dropped = 0 // another field in lists of TCP
			return a == b
		}) {
			t.Errorf("%s: got %+v and %+v, %v", name, fromProc, fromKernel, err)
		}
	}
}

// TestListensHere looks for sockets of this program.
func TestListensHere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if !listensHere(path) || !listensHere(link) {
		t.Errorf("%s and %s: got %v and %v, want true", path, link, listensHere(path), listensHere(link))
	}
	unix, _ := listener.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	listener.Close()
	if listensHere(path) || listensHere("/no/such/socket") || listensHere("/dev/null") {
		t.Error("a path at which nothing listens: got true")
	}
}

// TestFindWithoutPeer finds a Kamailio whose processes are not in this PID namespace. Its sockets are read if it listens in this
// network namespace.
func TestFindWithoutPeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	socket, _ := listen(t, "udp", "127.0.0.1:0")
	table := startChildren(t, 1)
	table.Sockets = []Socket{socket}
	k := Find(path, 0, table, nil)
	got := k.Read(true)
	if len(got.Processes) != 0 || len(got.Sockets) != 1 || fmt.Sprint(got.Problems) != fmt.Sprint([]error{ErrOtherNamespace}) {
		t.Errorf("got %+v", got)
	}
	listener.Close()
	got = k.Read(true)
	if len(got.Processes) != 0 || len(got.Sockets) != 0 || fmt.Sprint(got.Problems) != fmt.Sprint([]error{ErrOtherNamespace, ErrOtherNetwork}) {
		t.Errorf("after the listener was closed: got %+v", got)
	}
}

// BenchmarkRead reads 100 processes and 20 sockets.
func BenchmarkRead(b *testing.B) {
	table := startChildren(b, 99)
	for i := range 20 {
		socket, _ := listen(b, []string{"udp", "tcp"}[i%2], []string{"127.0.0.1:0", "[::1]:0"}[i/2%2])
		table.Sockets = append(table.Sockets, socket)
	}
	k := find(b, table)
	for _, full := range []bool{false, true} {
		b.Run(fmt.Sprintf("full=%v", full), func(b *testing.B) {
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				if got := k.Read(full); len(got.Processes) != 100 || len(got.Sockets) != 20 {
					b.Fatalf("got %d processes and %d sockets", len(got.Processes), len(got.Sockets))
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu returns the CPU time of this process.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
