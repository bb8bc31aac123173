package collector

import (
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/mtree/mtree_mod.c; source of their
// types, which are all unsigned: mtree.h; source of the counts: mt_add_to_tree in
// mtree.c. reload_count and reload_time are doubles since 6.0. Kamailio keeps the
// numbers and does not iterate over the trees.
var mtreeFields = []field{
	{name: "memsize", unsigned: true, desc: mtreeMetric("memory_bytes",
		"Bytes of shared memory used by the tree. Field item.memsize of mtree.summary.")},
	{name: "nrnodes", unsigned: true, desc: mtreeMetric("nodes",
		"Number of nodes of the tree. Field item.nrnodes of mtree.summary.")},
	{name: "reload_count", unsigned: true, desc: counter("kamailio_mtree_loads_total",
		"Number of times that the tree was loaded, including the first time. Field item.reload_count of mtree.summary.", "tree")},
	{name: "reload_time", unsigned: true, desc: mtreeMetric("last_load_timestamp_seconds",
		"Unix timestamp of the last load of the tree. Field item.reload_time of mtree.summary.")},
}

var mtreeItems = field{name: "nritems", unsigned: true, desc: mtreeMetric("items",
	"Number of values in the tree. Absent for a tree of integers. Field item.nritems of mtree.summary.")}

// mtreeIntegers is the type of trees of integers, whose values Kamailio does not
// count: it sends 0.
const mtreeIntegers = 2

// mtreeMetric returns a family with a series for each tree.
func mtreeMetric(name, help string) *metric.Desc {
	return gauge("kamailio_mtree_"+name, help, "tree")
}

var mtreeSummary = &Collector{
	Method:  "mtree.summary",
	Module:  "mtree",
	Help:    "size and load time of prefix trees, 5 series for each tree",
	Auto:    true,
	Metrics: append(descsOf(mtreeFields), mtreeItems.desc),
	noRows:  "Empty tree list",
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for tree := range reply.Value.Rows() {
			name, ok := keys(out, tree, "table")
			if !ok {
				continue
			}
			item := tree.Get("item")
			addNumbers(out, mtreeFields, item, name)
			if kind, ok := item.Get("ttype").Int(); ok && kind != mtreeIntegers {
				addNumbers(out, []field{mtreeItems}, item, name)
			}
		}
	}),
}
