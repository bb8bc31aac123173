package scrape

import (
	"slices"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// The families of Kamailio's host. The labels of processes are those of kamailio_pkg_*, and the labels of sockets those of
// kamailio_sip_*.
var (
	processCPU = &metric.Desc{Name: "kamailio_process_cpu_seconds_total", Type: metric.Counter, Labels: []string{"process", "role"},
		Help: "Seconds of CPU time that the process has used. From /proc/PID/stat."}
	processStates = &metric.Desc{Name: "kamailio_process_states", Type: metric.Gauge, Labels: []string{"role", "state"},
		Help: "Number of processes of the role in the state: running uses a CPU or waits for one, sleeping waits for an event, uninterruptible waits for a device, stopped was stopped by a signal or a debugger, other is any other state. From /proc/PID/stat."}
	processMemory = &metric.Desc{Name: "kamailio_process_resident_anonymous_memory_bytes", Type: metric.Gauge, Labels: []string{"process", "role"},
		Help: "Bytes of memory of the process that are neither shared nor backed by files. From RssAnon of /proc/PID/status."}
	processSwitches = &metric.Desc{Name: "kamailio_process_context_switches_total", Type: metric.Counter, Labels: []string{"process", "role", "type"},
		Help: "Number of context switches of the process: voluntary if it waited, involuntary if another process got the CPU. From /proc/PID/status."}
	socketQueue = &metric.Desc{Name: "kamailio_socket_receive_queue_bytes", Type: metric.Gauge, Labels: []string{"socket", "transport"},
		Help: "Bytes of the kernel's memory with packets that Kamailio has not received yet. From /proc/net/udp and udp6."}
	socketDropped = &metric.Desc{Name: "kamailio_socket_dropped_packets_total", Type: metric.Counter, Labels: []string{"socket", "transport"},
		Help: "Number of packets that the kernel dropped because the receive queue was full. From /proc/net/udp and udp6."}
	socketAccept = &metric.Desc{Name: "kamailio_socket_accept_queue", Type: metric.Gauge, Labels: []string{"socket", "transport"},
		Help: "Number of TCP connections that Kamailio has not accepted yet. From the kernel's list of TCP sockets."}
)

// HostMetrics returns the families of Kamailio's host.
func HostMetrics() []*metric.Desc {
	return []*metric.Desc{processCPU, processStates, processMemory, processSwitches, socketQueue, socketDropped, socketAccept}
}

// hostResult is what was read in a poll.
type hostResult struct {
	reading   host.Reading
	processes []host.Process // that Kamailio listed
	asked     bool           // the user asked for the series
	full      bool           // memory and context switches were read
}

// AddTo implements Result. It does not affect kamailio_up, which is about RPC.
func (r hostResult) AddTo(set *metric.Set) summary {
	for _, process := range r.reading.Processes {
		index := strconv.Itoa(process.Index)
		set.Add(processCPU, process.CPU, index, process.Role)
		if r.full {
			set.Add(processMemory, float64(process.Memory), index, process.Role)
			set.Add(processSwitches, float64(process.Voluntary), index, process.Role, "voluntary")
			set.Add(processSwitches, float64(process.Involuntary), index, process.Role, "involuntary")
		}
	}
	r.addStates(set)
	for _, socket := range r.reading.Sockets {
		address := socket.Addr.String()
		if socket.Transport == "udp" {
			set.Add(socketQueue, float64(socket.Queue), address, socket.Transport)
			set.Add(socketDropped, float64(socket.Dropped), address, socket.Transport)
			continue
		}
		set.Add(socketAccept, float64(socket.Queue), address, socket.Transport)
	}
	var all summary
	for _, problem := range r.reading.Problems {
		all.notices = append(all.notices, notice{problem, hint.ForHost(problem), r.asked})
	}
	return all
}

// addStates adds the numbers of processes in each state. Each role that Kamailio listed has all states, unless nothing is known.
func (r hostResult) addStates(set *metric.Set) {
	if len(r.reading.Processes) == 0 {
		return
	}
	type key struct {
		role  string
		state host.State
	}
	count := map[key]int{}
	for _, process := range r.reading.Processes {
		count[key{process.Role, process.State}]++
	}
	var roles []string
	for _, process := range r.processes {
		if slices.Contains(roles, process.Role) {
			continue
		}
		roles = append(roles, process.Role)
		for _, state := range host.States {
			set.Add(processStates, float64(count[key{process.Role, state}]), process.Role, string(state))
		}
	}
}

// Describe implements Result.
func (r hostResult) Describe(s *story) {
	s.line("Host: %d of %d processes and the queues of %d sockets were read", len(r.reading.Processes), len(r.processes), len(r.reading.Sockets))
	for _, problem := range r.reading.Problems {
		s.problem(problem, hint.ForHost(problem))
	}
}

func (r hostResult) detail(d *Details) {
	d.Host = &HostDetails{Processes: len(r.reading.Processes), Listed: len(r.processes), Sockets: len(r.reading.Sockets), Asked: r.asked}
	for _, process := range r.reading.Processes {
		if process.State == host.Stopped {
			d.Host.Stopped = append(d.Host.Stopped, process.Role)
		}
	}
}
