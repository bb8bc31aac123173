package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// entryWith returns a file with an entry in which a part is replaced.
func entryWith(old, replacement string) string {
	const content = `custom_metrics:
  calls:
    method: htable.get
    args: [calls, total]
    rows: '.[]'
    metrics:
    - name: lab_calls
      type: gauge
      help: Calls.
      labels: {key: .name}
      value: .value
modules: {default: {custom_metrics: [calls]}}
`
	if strings.Count(content, old) != 1 {
		panic(old + " is not once in the file")
	}
	return strings.Replace(content, old, replacement, 1)
}

func TestCustomMetrics(t *testing.T) {
	cfg, err := load(t, entryWith("htable.get", "htable.dump")+"targets: []\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "c.yml:3: htable.dump can be expensive for Kamailio: its reply has all keys of the table") {
		t.Errorf("warnings %q", cfg.Warnings)
	}
	entry := cfg.CustomMetrics["calls"]
	if entry.Call.String() != "htable.dump calls total" || entry.Rows == nil || entry.Metrics[0].Desc.Name != "lab_calls" || entry.Metrics[0].Desc.Labels[0] != "key" {
		t.Errorf("entry %+v", entry)
	}
}

// TestDefaultsOfCustomMetrics has a metric with type and help, and one without.
func TestDefaultsOfCustomMetrics(t *testing.T) {
	cfg, err := load(t, "custom_metrics: {a: {method: core.uptime, metrics: [{name: x_total, type: counter, help: X., value: '1'}, {name: y, value: '1'}]}}\n")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []metric.Desc{
		{Name: "x_total", Type: metric.Counter, Help: "X."},
		{Name: "y", Type: metric.Gauge, Help: "Reply of core.uptime, as custom_metrics a of the configuration file reads it."},
	} {
		if got := *cfg.CustomMetrics["a"].Metrics[i].Desc; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestArgumentsHaveTheTypeOfYAML checks the types, which Kamailio checks too.
func TestArgumentsHaveTheTypeOfYAML(t *testing.T) {
	cfg, err := load(t, entryWith("[calls, total]", "[a, 1, -1, 0x10, '5', 1.5, \"x y\", 2147483647, -2147483648]"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%#v", cfg.CustomMetrics["calls"].Call.Args), `[]interface {}{"a", 1, -1, 16, "5", 1.5, "x y", 2147483647, -2147483648}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCustomMetricsErrors has the errors of entries that are wrong.
func TestCustomMetricsErrors(t *testing.T) {
	for _, test := range []struct{ old, replacement, want string }{
		{"    method: htable.get\n", "", ":3: an entry of custom_metrics must have the keys method and metrics"},
		{"htable.get", "nosuch.method", ":3: nosuch.method is not in the table of known RPC methods: if you are sure that it only reads, add read_only: true"},
		{"htable.get", `"core.kill\0x"`, ":3: method: must be a text without control characters"}, // Kamailio would see core.kill
		{"htable.get", "HTABLE.GET", ":3: HTABLE.GET is not in the table of known RPC methods"},
		{"htable.get", "nosuch.method\n    read_only: true", ""},
		{"htable.get", "htable.seti", ":3: htable.seti must not be called, because it changes the state of Kamailio: it sets a key of a hash table"},
		{"htable.get", "htable.seti\n    read_only: true", ":3: htable.seti must not be called, because it changes the state of Kamailio"},
		{"htable.get", "core.kill\n    read_only: true", ":3: core.kill must not be called, because it is unsafe: it sends a signal"},
		{"htable.get", "xhttp_prom.metric_list_print", ":3: xhttp_prom.metric_list_print must not be called, because it is unsafe"},
		{"htable.get", "autheph.dump_secrets", ":3: autheph.dump_secrets must not be called, because it is unsafe: its reply has all shared secrets"},
		{"htable.get", "corex.debug", ":3: corex.debug must not be called, because it changes the state of Kamailio: it sets the log level of the core; without an argument it only reads"},
		{"htable.get\n    args: [calls, total]", "corex.debug", ""},
		{"htable.get", "pkg.stats", ":3: pkg.stats must not be called, because it is unsafe: it does not check the number after index"},
		{"htable.get\n    args: [calls, total]", "pkg.stats", ""},
		{"[calls, total]", "[true]", ":4: an argument must be a text or a number; put it in quotes to send it as text"},
		{"[calls, total]", "[[a]]", ":4: an argument must be a text or a number"},
		{"[calls, total]", "[4294967296]", ":4: an integer must be from -2147483648 to 2147483647; put others in quotes to send them as text"},
		{"[calls, total]", "[2147483648]", ":4: an integer must be from -2147483648 to 2147483647"},
		{"[calls, total]", "[-2147483649]", ":4: an integer must be from -2147483648 to 2147483647"},
		{"[calls, total]", "[.inf]", `:4: ".inf" is not a number`},
		{"[calls, total]", `["a\0b"]`, ":4: an argument must not contain a zero byte"},
		{"[calls, total]", "calls", ":4: args: must be a list"},
		{"'.[]'", "'" + strings.Repeat(" ", maxExpression-1) + ".'", ""},
		{"'.[]'", "'" + strings.Repeat(" ", maxExpression) + ".'", ":5: a jq expression must have at most 65536 bytes"},
		{"'.[]'", "'.['", `:5: the jq expression ".[" is not valid: unexpected EOF`},
		{"'.[]'", "'nosuch'", `:5: the jq expression "nosuch" does not compile: function not defined: nosuch/0`},
		{"'.[]'", "'env'", `:5: the jq expression "env" does not compile: env and $ENV are not available`},
		{"'.[]'", "'input'", `:5: the jq expression "input" does not compile`},
		{"value: .value", "value: '$x'", `:11: the jq expression "$x" does not compile: variable not defined: $x`},
		{"      value: .value\n", "", ":7: a metric must have the keys name and value"},
		{"- name: lab_calls\n      type", "- type", ":7: a metric must have the keys name and value"},
		{"type: gauge", "type: histogram", `:7: the type of a metric must be gauge or counter, not "histogram"`},
		{"lab_calls", "lab-calls", `:7: "lab-calls" is not the name of a metric: it must match [a-zA-Z_:][a-zA-Z0-9_:]*`},
		{"lab_calls", "kamailio_up", ":7: the exporter itself has a metric with the name kamailio_up, or one that differs only in its ending: choose another one"},
		{"lab_calls", "kamailio_core_uptime_uptime", ":7: the exporter itself has a metric with the name kamailio_core_uptime_uptime"},
		{"lab_calls", "kamailio_exporter_x", ":7: the exporter itself has a metric with the name kamailio_exporter_x"},
		{"lab_calls", "go_goroutines", ":7: the exporter itself has a metric with the name go_goroutines"},
		{"      value: .value\n", "      value: .value\n    - {name: lab_calls_total, value: '1'}\n", ":12: the name lab_calls_total is not unique: the metric in "},
		{"modules:", "  other: {method: core.uptime, metrics: [{name: lab_calls, value: '1'}]}\nmodules:", ":12: the name lab_calls is not unique: the metric in "},
		{"{key: .name}", "{key: .name, key: .x}", `:10: the key "key" is repeated`},
		{"{key: .name}", "{__name__: .x}", `:10: "__name__" is not the name of a label`},
		{"{key: .name}", "{a-b: .x}", `:10: "a-b" is not the name of a label`},
		{"[calls]}}", "[call]}}", `:12: there is no entry "call" in custom_metrics; the entries are calls`},
		{"[calls]}}", "[calls, calls]}}", `:12: the list has "calls" twice`},
		{"[calls]}}", "[calls], methods: []}}", ""},
	} {
		_, err := load(t, entryWith(test.old, test.replacement))
		if test.want == "" && err != nil || test.want != "" && !strings.Contains(fmt.Sprint(err), "c.yml"+test.want) {
			t.Errorf("%q: error %v, want %s", test.replacement, err, test.want)
		}
	}
}

// TestEqualCustomMetrics loads a file again: without a change, the targets are equal, so that a reload keeps their connections.
func TestEqualCustomMetrics(t *testing.T) {
	const targets = "targets: [{name: a, uri: 'unix:/x'}]\n"
	first, err := load(t, entryWith("htable.get", "htable.get")+targets)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		old, replacement string
		equal            bool
	}{
		{"custom_metrics:\n", "# a comment\ncustom_metrics:\n", true},
		{"htable.get", "htable.dump", false},
		{"[calls, total]", "[calls, other]", false},
		{"[calls, total]", "[calls, 5]", false},
		{"'.[]'", "'.[0]'", false},
		{"    rows: '.[]'\n", "", false},
		{"lab_calls", "lab_others", false},
		{"gauge", "counter", false},
		{"help: Calls.", "help: Other calls.", false},
		{"{key: .name}", "{key: .value}", false},
		{"{key: .name}", "{other: .name}", false},
		{"value: .value", "value: .name", false},
		{"  calls:\n    method", "  others: {method: core.uptime, metrics: [{name: x, value: '.[0].uptime'}]}\n  calls:\n    method", true}, // is in no module
	} {
		second, err := load(t, entryWith(change.old, change.replacement)+targets)
		if err != nil {
			t.Fatal(err)
		}
		if got := first.Targets[0].Equal(second.Targets[0]); got != change.equal {
			t.Errorf("%q becomes %q: equal is %t", change.old, change.replacement, got)
		}
	}
}
