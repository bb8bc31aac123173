package host

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// The parsers accept any input: /proc has names that users choose. Source of the formats: proc(5) and
// Documentation/networking/proc_net_tcp.rst of Linux.

// stat is a part of /proc/PID/stat.
type stat struct {
	state  byte
	parent int    // PID
	ticks  uint64 // of CPU time, in user and kernel mode
	start  uint64 // ticks from the start of the system to that of the process
}

// parseStat parses /proc/PID/stat. Its second field is the name of the program in parentheses, which may have spaces and
// parentheses.
func parseStat(text []byte) (stat, bool) {
	const state, parent, user, kernel, start = 0, 1, 11, 12, 19 // indices of the fields after the name
	name := bytes.LastIndexByte(text, ')')
	if name < 0 {
		return stat{}, false
	}
	var s stat
	i, valid := 0, true
	for field := range bytes.FieldsSeq(text[name+1:]) {
		switch i {
		case state:
			s.state, valid = field[0], len(field) == 1 && isLetter(field[0])
		case parent:
			var pid uint64
			pid, valid = decimal(field, pidBits)
			s.parent = int(pid)
		case user, kernel:
			var ticks uint64
			ticks, valid = decimal(field, 53)
			s.ticks += ticks
		case start:
			s.start, valid = decimal(field, 64)
		}
		if !valid {
			return stat{}, false
		}
		if i == start {
			return s, true
		}
		i++
	}
	return stat{}, false
}

// isLetter reports whether c is an ASCII letter.
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// pidBits are the bits of a PID.
const pidBits = 31

// decimal parses a number that has at most this number of bits.
func decimal(text []byte, bits int) (number uint64, ok bool) {
	number, err := strconv.ParseUint(string(text), 10, bits)
	if err != nil {
		return 0, false
	}
	return number, true
}

// status is a part of /proc/PID/status.
type status struct {
	pid        int
	namespaces int    // number of PID namespaces with the process, from that of /proc on
	memory     uint64 // resident anonymous bytes
	voluntary  uint64 // context switches
	forced     uint64 // involuntary context switches
}

// parseStatus parses /proc/PID/status. Fields that are missing or invalid are 0.
func parseStatus(text []byte) status {
	var s status
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "Pid":
			pid, _ := decimal(value, pidBits)
			s.pid = int(pid)
		case "NSpid":
			s.namespaces = len(bytes.Fields(value))
		case "RssAnon":
			kib, _ := decimal(bytes.TrimSuffix(value, []byte(" kB")), 43)
			s.memory = kib * 1024
		case "voluntary_ctxt_switches":
			s.voluntary, _ = decimal(value, 64)
		case "nonvoluntary_ctxt_switches":
			s.forced, _ = decimal(value, 64)
		}
	}
	return s
}

// row is a line of /proc/net/udp, udp6, tcp or tcp6.
type row struct {
	local     netip.AddrPort
	connected bool   // there is a remote address
	listens   bool   // a TCP socket accepts connections
	queue     uint64 // bytes that wait to be read; of a socket that listens, connections that wait to be accepted
	inode     uint64 // 0 for a connection that no program has open
	dropped   uint64 // packets, in the lists of UDP
}

// parseRow parses a line. The line with the titles is not valid.
func parseRow(line []byte) (row, bool) {
	const local, remote, state, queues, inode, drops = 1, 2, 3, 4, 9, 12
	const listen = "0A"
	var r row
	i := 0
	for field := range bytes.FieldsSeq(line) {
		ok := true
		switch i {
		case local:
			r.local, ok = parseAddr(field)
		case remote:
			var addr netip.AddrPort
			addr, ok = parseAddr(field)
			r.connected = addr.Port() != 0
		case state:
			r.listens = string(field) == listen
		case queues:
			r.queue, ok = parseQueue(field)
		case inode:
			r.inode, ok = decimal(field, 64)
		case drops:
			r.dropped, _ = decimal(field, 64)
		}
		if !ok {
			return row{}, false
		}
		i++
	}
	if i <= inode {
		return row{}, false
	}
	return r, true
}

// parseQueue parses TX:RX and returns RX.
func parseQueue(text []byte) (uint64, bool) {
	_, received, ok := bytes.Cut(text, []byte(":"))
	number, err := strconv.ParseUint(string(received), 16, 32)
	return number, ok && err == nil
}

// parseAddr parses ADDRESS:PORT, in hexadecimal digits. The address consists of words of 32 bits in the order of the machine.
func parseAddr(text []byte) (netip.AddrPort, bool) {
	digits, port, ok := bytes.Cut(text, []byte(":"))
	number, err := strconv.ParseUint(string(port), 16, 16)
	if !ok || err != nil || len(digits) != 8 && len(digits) != 32 {
		return netip.AddrPort{}, false
	}
	var words [16]byte
	size, err := hex.Decode(words[:], digits)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for word := words[:size]; len(word) > 0; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, ok := netip.AddrFromSlice(words[:size])
	return netip.AddrPortFrom(addr, uint16(number)), ok
}
