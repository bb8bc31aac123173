package web

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

// processCollector gives the metrics that client_golang's process collector gives,
// at a fraction of its cost, which was most of that of a small scrape: it reads when
// the machine started once, asks the kernel for the limits instead of reading a page
// about them, and takes apart only what it needs. See proc(5) and proc_pid_stat(5).
type processCollector struct {
	proc     string                            // the directory of the process
	bootTime func() (seconds float64, _ error) // since 1970
}

func newProcessCollector() prometheus.Collector {
	return processCollector{"/proc/self", sync.OnceValues(readBootTime)}
}

// processMetric describes a metric as client_golang does.
type processMetric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
}

func newProcessMetric(typ prometheus.ValueType, name, help string) processMetric {
	return processMetric{prometheus.NewDesc(name, help, nil, nil), typ}
}

var (
	processCPU = newProcessMetric(prometheus.CounterValue, "process_cpu_seconds_total",
		"Total user and system CPU time spent in seconds.")
	processOpenFDs = newProcessMetric(prometheus.GaugeValue, "process_open_fds",
		"Number of open file descriptors.")
	processMaxFDs = newProcessMetric(prometheus.GaugeValue, "process_max_fds",
		"Maximum number of open file descriptors.")
	processVirtual = newProcessMetric(prometheus.GaugeValue, "process_virtual_memory_bytes",
		"Virtual memory size in bytes.")
	processMaxVirtual = newProcessMetric(prometheus.GaugeValue, "process_virtual_memory_max_bytes",
		"Maximum amount of virtual memory available in bytes.")
	processResident = newProcessMetric(prometheus.GaugeValue, "process_resident_memory_bytes",
		"Resident memory size in bytes.")
	processStartTime = newProcessMetric(prometheus.GaugeValue, "process_start_time_seconds",
		"Start time of the process since unix epoch in seconds.")
	processReceived = newProcessMetric(prometheus.CounterValue, "process_network_receive_bytes_total",
		"Number of bytes received by the process over the network.")
	processSent = newProcessMetric(prometheus.CounterValue, "process_network_transmit_bytes_total",
		"Number of bytes sent by the process over the network.")
)

// Describe implements prometheus.Collector.
func (processCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range []processMetric{
		processCPU, processOpenFDs, processMaxFDs, processVirtual, processMaxVirtual,
		processResident, processStartTime, processReceived, processSent,
	} {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out, as
// client_golang does.
func (c processCollector) Collect(metrics chan<- prometheus.Metric) {
	add := func(m processMetric, value float64) { metrics <- prometheus.MustNewConstMetric(m.desc, m.typ, value) }
	if stat, ok := c.readStat(); ok {
		add(processCPU, (stat.userTicks+stat.systemTicks)/ticksPerSecond)
		add(processVirtual, stat.virtualBytes)
		add(processResident, stat.residentPages*float64(os.Getpagesize()))
		if boot, err := c.bootTime(); err == nil {
			add(processStartTime, boot+stat.startTicks/ticksPerSecond)
		}
	}
	if open, err := os.ReadDir(c.proc + "/fd"); err == nil {
		add(processOpenFDs, float64(len(open)))
	}
	if most, err := softLimit(syscall.RLIMIT_NOFILE); err == nil {
		add(processMaxFDs, most)
	}
	if most, err := softLimit(syscall.RLIMIT_AS); err == nil {
		add(processMaxVirtual, most)
	}
	if netstat, err := readShort(c.proc + "/net/netstat"); err == nil {
		octets := ipExtensions(netstat, "InOctets", "OutOctets")
		add(processReceived, octets[0])
		add(processSent, octets[1])
	}
}

// ticksPerSecond is USER_HZ, the same on all of Linux.
const ticksPerSecond = 100

// processStat is what is needed of a process's stat.
type processStat struct {
	userTicks, systemTicks, startTicks, virtualBytes, residentPages float64
}

func (c processCollector) readStat() (processStat, bool) {
	content, err := readShort(c.proc + "/stat")
	if err != nil {
		return processStat{}, false
	}
	// The second field is the program's name in parentheses, in which anything may be.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 22 {
		return processStat{}, false
	}
	field := func(number int) float64 {
		value, _ := strconv.ParseFloat(fields[number-3], 64) // the kernel's are numbers
		return value
	}
	return processStat{field(14), field(15), field(22), field(23), field(24)}, true
}

// readBootTime is when the machine started.
func readBootTime() (float64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	stat, err := fs.Stat()
	return float64(stat.BootTime), err
}

// softLimit is the limit of a resource that holds now (setrlimit(2)).
func softLimit(resource int) (float64, error) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(resource, &limit)
	return float64(limit.Cur), err
}

// readShort reads a file of at most eight kilobytes. os.ReadFile takes many steps
// where a file does not say how large it is, and for each of them the kernel may
// make all of it.
func readShort(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the kernel's, or a test's
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content := make([]byte, 8<<10)
	n, err := io.ReadFull(file, content)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // it is shorter, as expected
	}
	return content[:n], err
}

// ipExtensions are the counters of these names in the lines IpExt of a netstat, of
// which the first has the names and the second the values; 0 for one that is not
// there.
func ipExtensions(netstat []byte, names ...string) []float64 {
	values := make([]float64, len(names))
	var header [][]byte
	for line := range bytes.Lines(netstat) {
		rest, ok := bytes.CutPrefix(line, []byte("IpExt:"))
		if !ok {
			continue
		}
		if header == nil {
			header = bytes.Fields(rest)
			continue
		}
		for i, field := range bytes.Fields(rest) {
			for k, name := range names {
				if i < len(header) && string(header[i]) == name {
					values[k], _ = strconv.ParseFloat(string(field), 64) // the kernel's are numbers
				}
			}
		}
	}
	return values
}
