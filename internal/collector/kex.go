package collector

import (
	"maps"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/kex/pkg_stats.c. They are
// unsigned long there and sent as 32-bit integers, so that values of 4 GiB or more
// appear modulo 2³². A process updates its values when it allocates memory. The
// label process is its index in Kamailio's process table, since PIDs change at
// each restart.

// pkgMetric returns a family with the labels of a process.
func pkgMetric(name, help string) *metric.Desc {
	return gauge("kamailio_pkg_"+name, help, "process", "role")
}

var pkgFields = []field{
	{name: "used", unsigned: true, desc: pkgMetric("used_bytes",
		"Bytes of private memory in use by the process, without the allocator's overhead. Field used of pkg.stats.")},
	{name: memoryFree, unsigned: true, desc: pkgMetric("free_bytes",
		"Bytes of free private memory of the process, 0 if Kamailio's number is negative because the memory is full. Field free of pkg.stats.")},
	{name: memoryRealUsed, unsigned: true, desc: pkgMetric("real_used_bytes",
		"Bytes of private memory in use by the process, with the allocator's overhead. Field real_used of pkg.stats.")},
	{name: "total_size", unsigned: true, desc: pkgMetric("size_bytes",
		"Bytes of private memory of the process. Field total_size of pkg.stats.")},
	{name: "total_frags", unsigned: true, desc: pkgMetric("fragments",
		"Number of fragments of free private memory of the process. Field total_frags of pkg.stats.")},
}

// pkgRoleField combines a field of all processes of a role, either to the sum or to
// the worst value, since a single process can run out of memory.
type pkgRoleField struct {
	field
	combine func(a, b float64) float64
}

func sum(a, b float64) float64 { return a + b }

func pkgRoleMetric(name, help string) *metric.Desc {
	return gauge("kamailio_pkg_role_"+name, help, "role")
}

var pkgRoleFields = []pkgRoleField{
	{combine: sum, field: field{name: "used", desc: pkgRoleMetric("used_bytes",
		"Bytes of private memory in use by all processes of the role, without the allocator's overhead. Field used of pkg.stats.")}},
	{combine: sum, field: field{name: memoryFree, desc: pkgRoleMetric("free_bytes",
		"Bytes of free private memory of all processes of the role. Field free of pkg.stats.")}},
	{combine: sum, field: field{name: memoryRealUsed, desc: pkgRoleMetric("real_used_bytes",
		"Bytes of private memory in use by all processes of the role, with the allocator's overhead. Field real_used of pkg.stats.")}},
	{combine: sum, field: field{name: "total_size", desc: pkgRoleMetric("size_bytes",
		"Bytes of private memory of all processes of the role. Field total_size of pkg.stats.")}},
	{combine: lower, field: field{name: memoryFree, desc: pkgRoleMetric("free_min_bytes",
		"Bytes of free private memory of the process of the role with the least free memory. Field free of pkg.stats.")}},
	{combine: higher, field: field{name: "total_frags", desc: pkgRoleMetric("fragments_max",
		"Number of fragments of free private memory of the process of the role with the most fragments. Field total_frags of pkg.stats.")}},
}

func lower(a, b float64) float64  { return min(a, b) }
func higher(a, b float64) float64 { return max(a, b) }

var pkgStats = &Collector{
	Method:  "pkg.stats",
	Module:  "kex",
	Help:    "private memory, 5 series for each process. The short form has 6 series for each role",
	Auto:    true,
	Short:   true,
	Metrics: append(descsOf(pkgFields), pkgRoleDescs()...),
	collect: func(out *metric.Writer, settings Settings, replies []Reply) {
		for _, reply := range replies {
			if slices.Contains(settings.Short, "pkg.stats") {
				collectRoles(out, reply.Value)
				continue
			}
			collectProcesses(out, reply.Value)
		}
	},
}

func pkgRoleDescs() []*metric.Desc {
	var descs []*metric.Desc
	for _, f := range pkgRoleFields {
		descs = append(descs, f.desc)
	}
	return descs
}

func collectProcesses(out *metric.Writer, processes rpc.Value) {
	for process := range processes.Rows() {
		if !hasPkg(process) {
			continue
		}
		entry, ok := numberKey(out, process, "entry")
		if !ok {
			continue
		}
		if role, ok := roleOf(out, process, "desc"); ok {
			addProcess(out, process, entry, role)
		}
	}
}

func addProcess(out *metric.Writer, process rpc.Value, entry, role string) {
	labels := out.Labels(pkgFields[0].desc.Labels, entry, role)
	for i := range pkgFields {
		if value, ok := pkgNumber(out, process, pkgFields[i].name); ok {
			out.AddTo(labels, pkgFields[i].desc, value)
		}
	}
}

// pkgNumber returns a field of a process. If it is not a valid number, pkgNumber counts it as dropped and returns false.
func pkgNumber(out *metric.Writer, process rpc.Value, name string) (float64, bool) {
	v := process.Get(name)
	if !v.Exists() {
		return 0, false
	}
	if name == memoryFree && isFull(v, process.Get(memoryRealUsed), process.Get("total_size")) {
		return 0, true
	}
	value, ok := number(v, true)
	if !ok {
		skipNumber(out, name, v)
	}
	return value, ok
}

// hasPkg reports whether a process has values. Kamailio also lists processes that
// do not report them, and unused entries of its process table, with zeros.
func hasPkg(process rpc.Value) bool {
	for _, name := range []string{"used", memoryFree, memoryRealUsed} {
		if v := process.Get(name); v.Exists() && !isZero(v) {
			return true
		}
	}
	return false
}

func isZero(v rpc.Value) bool {
	n, ok := v.Int()
	return ok && n == 0
}

func collectRoles(out *metric.Writer, processes rpc.Value) {
	roles := map[string]map[*pkgRoleField]float64{}
	for process := range processes.Rows() {
		if !hasPkg(process) {
			continue
		}
		r, ok := roleOf(out, process, "desc")
		if !ok {
			continue
		}
		if roles[r] == nil {
			roles[r] = map[*pkgRoleField]float64{}
		}
		combineProcess(out, roles[r], process)
	}
	for _, r := range slices.Sorted(maps.Keys(roles)) {
		for i := range pkgRoleFields {
			if value, ok := roles[r][&pkgRoleFields[i]]; ok {
				out.Add(pkgRoleFields[i].desc, value, r)
			}
		}
	}
}

// combineProcess adds the values of a process to those of its role.
func combineProcess(out *metric.Writer, combined map[*pkgRoleField]float64, process rpc.Value) {
	for i := range pkgRoleFields {
		f := &pkgRoleFields[i]
		value, ok := pkgNumber(out, process, f.name)
		if !ok {
			continue
		}
		if before, ok := combined[f]; ok {
			value = f.combine(before, value)
		}
		combined[f] = value
	}
}
