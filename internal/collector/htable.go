package collector

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/htable/htable.c;
// the same in 5.6 and 6.0.

// noTables is the fault of a Kamailio that has the module and no table.
const noTables = "No htables"

// htableMetric is a family with a series for each table.
func htableMetric(name, help string) *metric.Desc {
	return gauge("kamailio_htable_"+name, help, "table")
}

var htableStatsFields = []field{
	{name: "all", unsigned: true, desc: htableMetric("items",
		"Items in the table. Field all of htable.stats.")},
	{name: "slots", unsigned: true, desc: htableMetric("slots",
		"Slots of the table, over which its items are spread. Field slots of htable.stats.")},
	{name: "min", unsigned: true, desc: htableMetric("slot_items_min",
		"Items in that slot of the table that has the fewest. Field min of htable.stats.")},
	{name: "max", unsigned: true, desc: htableMetric("slot_items_max",
		"Items in that slot of the table that has the most. Field max of htable.stats.")},
}

// htable.stats reads a counter of each slot. The slots are configured and few;
// the items are not walked.
var htableStats = &Collector{
	Method:  "htable.stats",
	Module:  "htable",
	Help:    "number of items in hash tables, 4 series for each table",
	Auto:    true,
	Metrics: descsOf(htableStatsFields),
	noRows:  noTables,
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		for table := range reply.Value.Rows() {
			if name, ok := keys(out, table, "name"); ok {
				addNumbers(out, htableStatsFields, table, name)
			}
		}
	}),
}

var (
	htableInfo = gauge("kamailio_htable_info",
		"Always 1, for each table; the labels say how it is set up. Fields dbmode, dbtable, dmqreplicate, name and updateexpire of htable.listTables.",
		"dbmode", "dbtable", "dmqreplicate", "table", "updateexpire")
	htableExpire = htableMetric("expire_seconds",
		"How long an item stays in the table, 0 for ever. Field expire of htable.listTables.")
)

var htableListTables = &Collector{
	Method:  "htable.listTables",
	Module:  "htable",
	Help:    "settings of hash tables, 2 series for each table",
	Auto:    true,
	Metrics: []*metric.Desc{htableInfo, htableExpire},
	noRows:  noTables,
	collect: each(func(out *metric.Writer, reply rpc.Reply) {
		expire := []field{{name: "expire", unsigned: true, desc: htableExpire}}
		for table := range reply.Value.Rows() {
			name, ok := keys(out, table, "name")
			if !ok {
				continue
			}
			out.Add(htableInfo, 1, integer(table.Get("dbmode")), table.Get("dbtable").Text(),
				integer(table.Get("dmqreplicate")), name[0], integer(table.Get("updateexpire")))
			addNumbers(out, expire, table, name)
		}
	}),
}

// integer is a number as a label, "" for what is none.
func integer(v rpc.Value) string {
	i, ok := v.Int()
	if !ok {
		return ""
	}
	return strconv.FormatInt(i, 10)
}

// HtableKey is a value in a hash table.
type HtableKey struct{ Table, Key string }

// ParseHtableKey reads table=>key, as Kamailio's $sht(table=>key) has it, or
// table:key.
func ParseHtableKey(text string) (HtableKey, error) {
	table, key, found := strings.Cut(text, "=>")
	if !found {
		table, key, found = strings.Cut(text, ":")
	}
	if !found || table == "" || key == "" {
		return HtableKey{}, fmt.Errorf("%q names no key of a hash table, use table=>key or table:key", text)
	}
	return HtableKey{table, key}, nil
}

// String is the key as ParseHtableKey reads it.
func (k HtableKey) String() string { return k.Table + "=>" + k.Key }

var htableValue = gauge("kamailio_htable_value",
	"Value under the key, if it is a number or a text that is one. Field item.value of htable.get.", "key", "table")

var htableGet = &Collector{
	Method:  "htable.get",
	Module:  "htable",
	Help:    "values in hash tables, a series for each configured key",
	Auto:    true,
	Setting: "htable_keys",
	Metrics: []*metric.Desc{htableValue},
	noRows:  "Key name doesn't exist in htable.", // keys come and go
	calls: func(settings Settings) []rpc.Call {
		var calls []rpc.Call
		for _, k := range settings.HtableKeys {
			calls = append(calls, rpc.Call{Method: "htable.get", Args: []any{k.Table, k.Key}})
		}
		return calls
	},
	collect: func(out *metric.Writer, _ Settings, answers []Answer) {
		for _, answer := range answers {
			v := answer.Value.Get("item").Get("value")
			if !v.Exists() {
				continue
			}
			key := HtableKey{answer.argument(0), answer.argument(1)}
			value, ok := numberOrText(v)
			if !ok {
				out.Skip(metric.NotANumber, "$sht("+key.String()+")") // its value may be a secret
				continue
			}
			out.Add(htableValue, value, key.Key, key.Table)
		}
	},
}

// numberOrText is a number, or a text that is one: $sht(t=>k) = "17" makes a
// text.
func numberOrText(v rpc.Value) (float64, bool) {
	if value, ok := number(v, false); ok {
		return value, true
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(v.Text()), 64)
	return value, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}
