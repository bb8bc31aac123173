package scrape

import (
	"context"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// hostSource reads what this host knows about the processes and sockets of a target.
type hostSource struct {
	client Client
	path   string // of the target's unix socket, "" for another kind of target
	full   bool
	asked  bool // the user asked for the series

	// Used by the running Fetch only.
	kamailio   *host.Kamailio // nil before Kamailio's first reply
	connection uint64         // over which the reply arrived
	settled    bool           // Kamailio's next reply over the connection would be the same
}

// newHostSource returns the source for a module of a target, nil if nothing is to be read.
func newHostSource(client Client, cfg *config.Target, module *config.Module) *hostSource {
	if !host.Supported || !module.ReadsHost(cfg.URI) {
		return nil
	}
	s := &hostSource{client: client, full: module.Host == config.HostFull, asked: module.Host != config.HostAuto}
	if cfg.URI.Network == "unix" {
		s.path = cfg.URI.Address
	}
	return s
}

// Begin implements Source.
func (s *hostSource) Begin(only []string) Fetch {
	if len(only) > 0 {
		return nil
	}
	return &hostFetch{hostSource: s}
}

// Close implements Source. The client is closed by the source of RPC.
func (s *hostSource) Close() error { return nil }

// hostFetch reads processes and sockets once.
type hostFetch struct {
	*hostSource

	mu      sync.Mutex
	result  hostResult
	changes int
}

// Run implements Fetch. It does not wait for Kamailio: processes and sockets of its last reply are read first. If Kamailio may have
// others now, it is asked, and they are read instead.
func (f *hostFetch) Run(ctx context.Context) {
	if f.path == "" {
		f.set(host.Reading{Problems: []error{hint.ErrNoUnixSocket}})
		return
	}
	if f.kamailio != nil {
		f.set(f.kamailio.Read(f.full))
	}
	if !f.isKnown() && f.ask(ctx) {
		f.set(f.kamailio.Read(f.full))
	}
}

// set sets the result.
func (f *hostFetch) set(reading host.Reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result = hostResult{reading: reading, asked: f.asked, full: f.full}
	if f.kamailio != nil {
		f.result.processes = f.kamailio.Table().Processes
	}
	f.changes++
}

// Result implements Fetch.
func (f *hostFetch) Result() (result Result, changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result, f.changes
}

// isKnown reports whether Kamailio has not restarted, and has started all its processes. It does not change them later.
func (s *hostSource) isKnown() bool {
	return s.settled && s.connection != 0 && s.client.Connection() == s.connection
}

// ask asks Kamailio for its processes and sockets, and reports whether it replied. It is asked twice over each connection, because
// it may reply before it has started all processes. It takes at most half of the time, so that other sources can call, too.
func (s *hostSource) ask(ctx context.Context) bool {
	ctx, cancel := withPart(ctx, 2)
	defer cancel()
	calls := []rpc.Call{{Method: "core.psx", Idempotent: true}, {Method: "core.sockets_list", Idempotent: true}}
	values := make([]rpc.Value, len(calls))
	for i, reply := range s.client.Stream(ctx, calls...) {
		if reply.Err != nil || !reply.Value.Exists() {
			return false
		}
		values[i] = reply.Value
	}
	table := host.Table{Processes: hostProcesses(values[0]), Sockets: hostSockets(values[1])}
	connection, peer := s.client.Connection(), s.client.PeerPID()
	found := host.Find(s.path, peer, table, s.kamailio)
	if connection == 0 || connection != s.client.Connection() { // closed, so that the peer may have ended before it was looked up
		return false
	}
	s.settled = connection == s.connection && reflect.DeepEqual(table, s.kamailio.Table())
	s.kamailio, s.connection = found, connection
	return true
}

const (
	// maxHostProcesses is the maximum number of processes of a target that are read.
	maxHostProcesses = 4096
	// maxHostSockets is the maximum number of sockets of a target that are read.
	maxHostSockets = 1024
	// maxDescription is the maximum length of the description of a process, in bytes. Kamailio's are shorter than 128.
	maxDescription = 256
	// maxAddress is the maximum length of an IP address with a zone, in bytes.
	maxAddress = 64
)

// hostProcesses returns the processes of core.psx, each of them once. They do not share memory with the reply.
func hostProcesses(list rpc.Value) []host.Process {
	var processes []host.Process
	known := map[int64]bool{} // PIDs
	for listed := range list.Rows() {
		index, ok := listed.Get("IDX").Int()
		pid, isPID := listed.Get("PID").Int()
		description := listed.Get("DSC").Text()
		if ok && isPID && index >= 0 && pid > 0 && !known[pid] && len(description) <= maxDescription && len(processes) < maxHostProcesses {
			known[pid] = true
			role := strings.Clone(collector.Role(description))
			processes = append(processes, host.Process{Index: int(index), PID: int(pid), Role: role})
		}
	}
	return processes
}

// hostSockets returns the UDP, TCP and TLS sockets of core.sockets_list.
func hostSockets(list rpc.Value) []host.Socket {
	var sockets []host.Socket
	for listed := range list.Named("socket") {
		socket, ok := hostSocket(listed)
		if ok && len(sockets) < maxHostSockets {
			sockets = append(sockets, socket)
		}
	}
	return sockets
}

// hostSocket returns a socket. If its address is a host name, Kamailio sends the IP address in another field.
func hostSocket(listed rpc.Value) (host.Socket, bool) {
	transport := strings.ToLower(listed.Get("proto").Text())
	if transport != "udp" && transport != "tcp" && transport != "tls" {
		return host.Socket{}, false
	}
	port, err := strconv.ParseUint(listed.Get("port").Text(), 10, 16)
	for _, field := range []string{"ipaddress", "address"} {
		text := listed.Get(field).Text()
		addr, addrErr := netip.ParseAddr(strings.Trim(text, "[]"))
		if err == nil && addrErr == nil && len(text) <= maxAddress {
			return host.Socket{Transport: transport, Addr: netip.AddrPortFrom(addr, uint16(port))}, true
		}
	}
	return host.Socket{}, false
}
