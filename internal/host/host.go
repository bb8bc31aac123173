// Package host reads what Linux knows about the processes and sockets of a Kamailio on
// the same host. It works without Kamailio's help, so that it shows an outage in which
// Kamailio does not reply.
//
// A number of a process (PID) and the address of a socket mean something else in each
// namespace of a container. The package therefore shows only what it can prove to be
// Kamailio's.
package host

import (
	"errors"
	"net/netip"
)

// Table is what Kamailio reports about itself.
type Table struct {
	// Processes are those of Kamailio's process table. The one with Index 0 is the main process, which started all others.
	Processes []Process
	// Sockets are those that Kamailio receives SIP from.
	Sockets []Socket
}

// Process is a process of Kamailio's process table.
type Process struct {
	Index int    // in the process table
	PID   int    // in the PID namespace of Kamailio
	Role  string // what the process does
}

// Socket is a SIP socket of Kamailio. Several may have the same Addr and different transports.
type Socket struct {
	Transport string // "udp", "tcp" or "tls"
	Addr      netip.AddrPort
}

// State is what a process does.
type State string

// The states of processes.
const (
	Running         State = "running"         // uses a CPU, or waits for one
	Sleeping        State = "sleeping"        // waits for an event, for example a message
	Uninterruptible State = "uninterruptible" // waits for a device, for example a disk
	Stopped         State = "stopped"         // by a signal or a debugger
	Other           State = "other"           // any other, for example that of a process that has ended
)

// States are all states.
var States = []State{Running, Sleeping, Uninterruptible, Stopped, Other}

// stateOf returns the state for a letter of /proc/PID/stat.
func stateOf(letter byte) State {
	switch letter {
	case 'R':
		return Running
	case 'S':
		return Sleeping
	case 'D':
		return Uninterruptible
	case 'T', 't':
		return Stopped
	default:
		return Other
	}
}

// Reading is what was read at one time.
type Reading struct {
	Processes []ProcessReading
	Sockets   []SocketReading
	// Problems are the reasons why something is missing; they wrap the errors of this package.
	Problems []error
}

// ProcessReading is what was read about a process.
type ProcessReading struct {
	Process
	State State
	CPU   float64 // seconds of CPU time since the start of the process, in steps of 0.01
	// Memory is the resident anonymous memory in bytes. Memory, Voluntary and Involuntary are 0 unless they were asked for.
	Memory uint64
	// Voluntary and Involuntary count context switches since the start of the process.
	Voluntary, Involuntary uint64
}

// SocketReading is what was read about a socket.
type SocketReading struct {
	Socket
	// Queue has the bytes of memory of the packets that wait to be received, over UDP; otherwise the number of connections
	// that wait to be accepted.
	Queue uint64
	// Dropped counts packets that were dropped since the start because the queue was full. It is 0 unless Transport is "udp".
	Dropped uint64
}

// Errors in [Reading.Problems].
var (
	// ErrOtherNamespace means that Kamailio's numbers of its processes are not those of this program's PID namespace.
	ErrOtherNamespace = errors.New("the processes of Kamailio cannot be identified: it runs in another PID namespace")
	// ErrHidden means that /proc does not show the processes of other users.
	ErrHidden = errors.New("the processes of Kamailio are not visible: /proc does not show them")
	// ErrOtherNetwork means that it is not proven that Kamailio is in the network namespace of this program.
	ErrOtherNetwork = errors.New("the queues of Kamailio's sockets are not visible: it runs in another network namespace")
	// ErrTooLarge means that a list of sockets is too large to be read in each poll.
	ErrTooLarge = errors.New("has more than 2 MB, and is not read")
)

// evidence is what was read to decide which processes are Kamailio's.
type evidence struct {
	own    int    // PID of this program
	self   status // of this program; zero if it was not read
	peer   int    // PID of the process that listens at Kamailio's socket, 0 if it is not known
	stat   stat   // of peer
	status status // of peer
	ok     bool   // stat and status were read
}

// identity says which processes are Kamailio's.
type identity struct {
	table  Table
	main   int            // PID of the main process, 0 if it cannot be read
	known  bool           // the PIDs of the table are those of this program's namespace
	starts map[int]uint64 // start times of processes by PID, when they were first seen
}

// identify returns the identity, and the reason why processes cannot be read. before is an earlier identity, whose start times
// remain valid for the same main process.
func identify(table Table, found evidence, before identity) (identity, error) {
	id := identity{table: table, starts: map[int]uint64{}}
	isOwnProc := found.self.pid == found.own && found.self.namespaces == 1 // otherwise /proc is that of another PID namespace
	switch {
	case found.peer == 0:
		return id, ErrOtherNamespace
	case !isOwnProc || !found.ok:
		return id, ErrHidden
	}
	id.main = found.peer // as the kernel says
	if start, seen := before.starts[id.main]; seen && start == found.stat.start {
		id.starts = before.starts
	}
	id.starts[id.main] = found.stat.start
	// A process of a namespace below this program's has another PID there. Equal PIDs are an accident.
	if found.status.namespaces != 1 || table.main() != id.main {
		return id, ErrOtherNamespace
	}
	id.known = true
	return id, nil
}

// main returns the PID of the main process, 0 if there is none.
func (t Table) main() int {
	for _, process := range t.Processes {
		if process.Index == 0 {
			return process.PID
		}
	}
	return 0
}

// sight is what was read at one time. The first fields were read before the last one.
type sight struct {
	listed   listing
	statuses map[int]status // by PID
	stats    map[int]stat   // by PID
}

// listing has the rows of /proc/net that may be those of Kamailio's sockets.
type listing struct{ udp, tcp []row }

// judge returns what is Kamailio's of what was read: nothing if the main process has ended. A process that has the same start
// time as before is the same, so that what was read of it earlier is about the same process, too.
func (id *identity) judge(seen sight) (processes []ProcessReading, sockets []SocketReading) {
	if id.main != 0 && !id.isMember(id.main, seen.stats) {
		return nil, nil
	}
	return id.processes(seen), queues(id.table.Sockets, seen.listed)
}

// processes returns the readings of the main process and its children. A main process without children is another process with
// its PID.
func (id *identity) processes(seen sight) []ProcessReading {
	if !id.known {
		return nil
	}
	var readings []ProcessReading
	children := 0
	for _, process := range id.table.Processes {
		if !id.isMember(process.PID, seen.stats) {
			continue
		}
		if process.PID != id.main {
			children++
		}
		stat, status := seen.stats[process.PID], seen.statuses[process.PID]
		readings = append(readings, ProcessReading{
			Process:     process,
			State:       stateOf(stat.state),
			CPU:         float64(stat.ticks) / ticksPerSecond,
			Memory:      status.memory,
			Voluntary:   status.voluntary,
			Involuntary: status.forced,
		})
	}
	if children == 0 {
		return nil
	}
	return readings
}

// isMember reports whether a process is the main process or a child of it, and has the start time that it had when it was first
// seen.
func (id *identity) isMember(pid int, stats map[int]stat) bool {
	stat, ok := stats[pid]
	if !ok || pid != id.main && stat.parent != id.main {
		return false
	}
	start, seen := id.starts[pid]
	if !seen {
		id.starts[pid] = stat.start
	}
	return !seen || start == stat.start
}

// ticksPerSecond is the unit of times in /proc, USER_HZ, which is 100 on all systems that Go supports.
const ticksPerSecond = 100

// queues returns the readings of the sockets. A socket is left out if it is not listed, or if several sockets share its
// address: there may be one of another program among them.
func queues(sockets []Socket, listed listing) []SocketReading {
	var readings []SocketReading
	for _, socket := range sockets {
		rows := listed.tcp
		if socket.Transport == "udp" {
			rows = listed.udp
		}
		if found, ok := only(rows, socket.Addr); ok {
			reading := SocketReading{Socket: socket, Queue: found.queue}
			if socket.Transport == "udp" {
				reading.Dropped = found.dropped
			}
			readings = append(readings, reading)
		}
	}
	return readings
}

// only returns the row with an address. It returns false unless there is exactly one. A row may be there twice if the list
// changed while it was read.
func only(rows []row, addr netip.AddrPort) (row, bool) {
	addr = withoutZone(addr)
	var found row
	for _, r := range rows {
		switch {
		case r.local != addr || r.connected || r.inode == 0:
		case found.inode != 0 && found.inode != r.inode:
			return row{}, false
		default:
			found = r
		}
	}
	return found, found.inode != 0
}

// withoutZone returns the address as /proc/net has it.
func withoutZone(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port())
}
