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

// noTables is the fault of a Kamailio that has loaded htable without a table.
const noTables = "No htables"

// htableMetric returns a family with a series for each table.
func htableMetric(name, help string) *metric.Desc {
	return gauge("kamailio_htable_"+name, help, "table")
}

var htableStatsFields = []field{
	{name: "all", unsigned: true, desc: htableMetric("items",
		"Number of items in the table. Field all of htable.stats.")},
	{name: "slots", unsigned: true, desc: htableMetric("slots",
		"Number of slots of the table. Field slots of htable.stats.")},
	{name: "min", unsigned: true, desc: htableMetric("slot_items_min",
		"Number of items in the slot with the fewest items. Field min of htable.stats.")},
	{name: "max", unsigned: true, desc: htableMetric("slot_items_max",
		"Number of items in the slot with the most items. Field max of htable.stats.")},
}

// For htable.stats Kamailio reads a counter of each slot. The number of slots is
// configured and small; Kamailio does not iterate over the items.
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
		"Always 1. The labels describe the settings of the table. Fields dbmode, dbtable, dmqreplicate, name and updateexpire of htable.listTables.",
		"dbmode", "dbtable", "dmqreplicate", "table", "updateexpire")
	htableExpire = htableMetric("expire_seconds",
		"Time after which an item expires, 0 for never. Field expire of htable.listTables.")
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

// integer returns an integer as the value of a label, "" if v is not an integer.
func integer(v rpc.Value) string {
	i, ok := v.Int()
	if !ok {
		return ""
	}
	return strconv.FormatInt(i, 10)
}

// HtableKey names a value in a hash table.
type HtableKey struct{ Table, Key string }

// ParseHtableKey parses "table=>key", as in Kamailio's $sht(table=>key), or
// "table:key".
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

// String returns the key in the format that ParseHtableKey parses.
func (k HtableKey) String() string { return k.Table + "=>" + k.Key }

var htableValue = gauge("kamailio_htable_value",
	"Value of the key, if it is a number or a string that contains one. Field item.value of htable.get.", "key", "table")

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
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			v := reply.Value.Get("item").Get("value")
			if !v.Exists() {
				continue
			}
			key := HtableKey{reply.argument(0), reply.argument(1)}
			value, ok := numberOrText(v)
			if !ok {
				out.Skip(metric.NotANumber, "$sht("+key.String()+")") // its value may be a secret
				continue
			}
			out.Add(htableValue, value, key.Key, key.Table)
		}
	},
}

// numberOrText returns a number, or the number in a string: $sht(t=>k) = "17"
// makes a string.
func numberOrText(v rpc.Value) (float64, bool) {
	if value, ok := number(v, false); ok {
		return value, true
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(v.Text()), 64)
	return value, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}
