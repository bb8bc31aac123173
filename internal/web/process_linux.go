package web

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

// processCollector gives the metrics that client_golang's process collector gives,
// at a quarter of its cost, which was most of that of a scrape: it does not read
// when the machine started and what the limits are in files made for everything
// else, nor take all counters of the network apart for two.
type processCollector struct {
	proc      procfs.Proc
	startTime func() (float64, error) // in seconds since 1970
}

func newProcessCollector() prometheus.Collector {
	proc, err := procfs.Self()
	if err != nil { // no /proc, and nothing to tell then
		return processCollector{}
	}
	return processCollector{proc, sync.OnceValues(func() (float64, error) {
		stat, err := proc.Stat()
		if err != nil {
			return 0, err
		}
		return stat.StartTime()
	})}
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
	if c.startTime == nil {
		return
	}
	if stat, err := c.proc.Stat(); err == nil {
		add(processCPU, stat.CPUTime())
		add(processVirtual, float64(stat.VirtualMemory()))
		add(processResident, float64(stat.ResidentMemory()))
	}
	if started, err := c.startTime(); err == nil {
		add(processStartTime, started)
	}
	if open, err := c.proc.FileDescriptorsLen(); err == nil {
		add(processOpenFDs, float64(open))
	}
	if most, err := softLimit(syscall.RLIMIT_NOFILE); err == nil {
		add(processMaxFDs, most)
	}
	if most, err := softLimit(syscall.RLIMIT_AS); err == nil {
		add(processMaxVirtual, most)
	}
	if netstat, err := readNetstat(); err == nil {
		octets := ipExtensions(netstat, "InOctets", "OutOctets")
		add(processReceived, octets[0])
		add(processSent, octets[1])
	}
}

// softLimit is the limit of a resource that holds now (setrlimit(2)).
func softLimit(resource int) (float64, error) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(resource, &limit)
	return float64(limit.Cur), err
}

// readNetstat reads the counters of the network, some three kilobytes. os.ReadFile
// takes many steps where a file does not say how large it is, and for each of them
// the kernel makes all of it.
func readNetstat() ([]byte, error) {
	file, err := os.Open("/proc/self/net/netstat")
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content := make([]byte, 16<<10)
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
