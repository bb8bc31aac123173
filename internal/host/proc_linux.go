package host

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Supported reports whether the system is Linux.
const Supported = true

// maxList is the maximum size of a list of /proc/net, in bytes. Reading one takes some 20 ms.
const maxList = 2 << 20

// listPause is the time during which a list is not read again that was larger than maxList.
const listPause = 5 * time.Minute

// Kamailio reads the processes and sockets of one Kamailio. It must not be used concurrently.
type Kamailio struct {
	identity
	path   string               // of Kamailio's socket
	hidden error                // why processes cannot be read; nil if they can
	large  map[string]time.Time // lists that were too large, and when they were read
	buffer []byte
}

// Find returns the Kamailio that listens at a unix socket, given the path of the socket, the PID of the process that listens
// there, 0 if it is not known, and what Kamailio replied there. before is the result of an earlier call for the same socket, or
// nil.
func Find(path string, peer int, table Table, before *Kamailio) *Kamailio {
	k := &Kamailio{path: path, large: map[string]time.Time{}, buffer: make([]byte, 4096)}
	var earlier identity
	if before != nil {
		k.large, earlier = before.large, before.identity
	}
	found := evidence{own: os.Getpid(), peer: peer}
	found.self, _ = k.status("self")
	if peer != 0 {
		var readStat, readStatus bool
		found.stat, readStat = k.stat(peer)
		found.status, readStatus = k.status(strconv.Itoa(peer))
		found.ok = readStat && readStatus
	}
	k.identity, k.hidden = identify(table, found, earlier)
	return k
}

// Table returns what Kamailio replied.
func (k *Kamailio) Table() Table { return k.table }

// Read reads the processes and sockets. full asks for memory and context switches, too.
func (k *Kamailio) Read(full bool) Reading {
	seen := sight{statuses: map[int]status{}, stats: map[int]stat{}}
	var reading Reading
	if k.hidden != nil {
		reading.Problems = append(reading.Problems, k.hidden)
	}
	listed, problems := k.lists()
	seen.listed = listed
	reading.Problems = append(reading.Problems, problems...)
	pids := k.pids()
	if full {
		for _, pid := range pids {
			seen.statuses[pid], _ = k.status(strconv.Itoa(pid)) // stat fails, too, if the process has ended
		}
	}
	for _, pid := range pids {
		if stat, ok := k.stat(pid); ok {
			seen.stats[pid] = stat
		}
	}
	reading.Processes, reading.Sockets = k.judge(seen)
	return reading
}

// pids returns the PIDs of the processes that can be read.
func (k *Kamailio) pids() []int {
	var pids []int
	switch {
	case k.known:
		for _, process := range k.table.Processes {
			pids = append(pids, process.PID)
		}
	case k.main != 0:
		pids = append(pids, k.main)
	}
	return pids
}

// stat reads /proc/PID/stat.
func (k *Kamailio) stat(pid int) (stat, bool) {
	text, err := k.read("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	return parseStat(text)
}

// status reads /proc/PID/status, where PID may be self.
func (k *Kamailio) status(pid string) (status, bool) {
	text, err := k.read("/proc/" + pid + "/status")
	if err != nil {
		return status{}, false
	}
	return parseStatus(text), true
}

// read reads a file of a process, which has all of its text ready at once. The text is valid until the next call. Package os
// takes more than twice the time, and open files save a quarter of it.
func (k *Kamailio) read(name string) ([]byte, error) {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd) //nolint:errcheck // it was only read
	for length := 0; ; {
		n, err := syscall.Read(fd, k.buffer[length:])
		if err != nil {
			return nil, err
		}
		if length += n; length < len(k.buffer) {
			return k.buffer[:length], nil
		}
		k.buffer = append(k.buffer, make([]byte, length)...)
	}
}

// lists reads the rows of Kamailio's sockets in the lists that may have them. It returns the reasons why some are not read.
func (k *Kamailio) lists() (all listing, problems []error) {
	wanted := map[string]map[netip.AddrPort]bool{}
	for _, socket := range k.table.Sockets {
		name := listOf(socket)
		if wanted[name] == nil {
			wanted[name] = map[netip.AddrPort]bool{}
		}
		wanted[name][withoutZone(socket.Addr)] = true
	}
	if len(wanted) == 0 {
		return all, nil
	}
	dir, isOwn := k.network()
	if dir == "" {
		return all, []error{ErrOtherNetwork}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		rows, err := k.list(dir, name, isOwn, wanted[name])
		if err != nil {
			problems = append(problems, err)
		}
		if strings.HasPrefix(name, "udp") {
			all.udp = append(all.udp, rows...)
		} else {
			all.tcp = append(all.tcp, rows...)
		}
	}
	return all, problems
}

// network returns the directory with the lists of Kamailio's network namespace, "" if there is none, and whether the namespace
// is that of this program.
func (k *Kamailio) network() (dir string, isOwn bool) {
	const own = "/proc/self/net/"
	if k.main == 0 {
		if listensHere(k.path) {
			return own, true
		}
		return "", false
	}
	dir = "/proc/" + strconv.Itoa(k.main) + "/net/"
	mine, err := os.Stat(own + "udp")
	if err != nil {
		return dir, false
	}
	kamailios, err := os.Stat(dir + "udp")
	return dir, err == nil && os.SameFile(mine, kamailios) // each namespace has a file of its own
}

// list reads the wanted rows of a list. There are none if Kamailio has ended.
func (k *Kamailio) list(dir, name string, isOwn bool, wanted map[netip.AddrPort]bool) ([]row, error) {
	if family, isTCP := tcpFamilies[name]; isTCP && isOwn {
		if rows, err := listeners(family); err == nil {
			return rows, nil
		}
	}
	read, wasLarge := k.large[name]
	if !wasLarge || time.Since(read) > listPause {
		delete(k.large, name)
		rows, complete := readRows(dir+name, wanted)
		if complete && len(rows) < len(wanted) { // the kernel may leave rows out if other sockets are closed meanwhile
			rows, complete = readRows(dir+name, wanted)
		}
		if complete {
			return rows, nil
		}
		k.large[name] = time.Now()
	}
	return nil, fmt.Errorf("/proc/net/%s %w", name, ErrTooLarge)
}

// tcpFamilies has the address families of the lists of TCP.
var tcpFamilies = map[string]byte{"tcp": syscall.AF_INET, "tcp6": syscall.AF_INET6}

// listOf returns the name of the list that has a socket.
func listOf(socket Socket) string {
	name := "tcp"
	if socket.Transport == "udp" {
		name = "udp"
	}
	if socket.Addr.Addr().Is6() {
		name += "6"
	}
	return name
}

// readRows returns the rows with a wanted address of a list that receive packets or accept connections. complete is false if
// the list is larger than maxList. The lists of TCP begin with the sockets that accept connections, and are not read further.
func readRows(name string, wanted map[netip.AddrPort]bool) (rows []row, complete bool) {
	file, err := os.Open(name) //nolint:gosec // a file of /proc
	if err != nil {
		return nil, true
	}
	defer file.Close() //nolint:errcheck // it was only read
	left := &io.LimitedReader{R: file, N: maxList}
	isTCP := strings.Contains(name, "/tcp")
	lines := bufio.NewScanner(left)
	for lines.Scan() {
		r, ok := parseRow(lines.Bytes())
		if ok && isTCP && !r.listens {
			return rows, true
		}
		if ok && wanted[r.local] {
			rows = append(rows, r)
		}
	}
	return rows, left.N > 0
}
