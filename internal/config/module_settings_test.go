package config

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// parseModule parses a file that has the module "default" with the given lines, of which the first is line 3.
func parseModule(t *testing.T, lines ...string) (*Module, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "exporter.yml")
	content := "modules:\n  default:\n    " + strings.Join(lines, "\n    ") + "\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Parse([]string{"--config.file", file})
	if err != nil {
		return nil, err
	}
	return cfg.Target.Modules[0], nil
}

// checkModuleError checks that a file with the lines in its module is an error at line 4.
func checkModuleError(t *testing.T, want string, lines ...string) {
	t.Helper()
	_, err := parseModule(t, lines...)
	if err == nil || !strings.Contains(err.Error(), "exporter.yml:4: "+want) {
		t.Errorf("%q: error %v, want one at line 4 with %q", lines, err, want)
	}
}

func TestSharedVariablesOfAModule(t *testing.T) {
	module, err := parseModule(t, "methods: [core.uptime]", `shv: [maintenance, "7"]`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := module.Settings.SharedVariables, []string{"maintenance", "7"}; !slices.Equal(got, want) {
		t.Errorf("shared variables %q, want %q", got, want)
	}
	if got, want := methodsOf(module.Named), []string{"core.uptime", "pv.shvGet"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	checkModuleError(t, `"a\tb" names no shared variable, use name for $shv(name)`, "shv:", `- "a\tb"`)
	checkModuleError(t, "shv: must be a text, which must not be empty", "shv:", `- ""`)
	checkModuleError(t, `shv: the list has "a" twice`, "timeout: 1s", `shv: [a, a]`)
	checkModuleError(t, "shv: must be a list", "timeout: 1s", `shv: maintenance`)
}

func TestKafkaTopicsOfAModule(t *testing.T) {
	module, err := parseModule(t, "methods: [core.uptime]", `kafka_topics: [cdr, "7"]`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := module.Settings.KafkaTopics, []string{"cdr", "7"}; !slices.Equal(got, want) {
		t.Errorf("topics %q, want %q", got, want)
	}
	if got, want := methodsOf(module.Named), []string{"core.uptime", "kafka.stats_topic"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	checkModuleError(t, `"a b" names no topic of Kafka, use letters, digits, dots, underscores and hyphens`, "kafka_topics:", `- "a b"`)
	checkModuleError(t, `kafka_topics: the list has "a" twice`, "timeout: 1s", `kafka_topics: [a, a]`)
}

func TestDispatcherSetsOfAModule(t *testing.T) {
	module, err := parseModule(t, `dispatcher_sets: {0: carriers, 1: "media servers", "2147483647": 7}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"0": "carriers", "1": "media servers", "2147483647": "7"}
	if got := module.Settings.DispatcherSets; !maps.Equal(got, want) {
		t.Errorf("dispatcher sets %q, want %q", got, want)
	}
	if got := parse(t).Target.Modules[0].Settings.DispatcherSets; len(got) > 0 {
		t.Errorf("a module of flags has the dispatcher sets %q", got)
	}
	for _, id := range []string{"carriers", "-1", "+1", "01", "0x1", "1.0", "1_0", "2147483648", "99999999999999999999", `""`, "~", `" 1"`} {
		checkModuleError(t, strconv.Quote(strings.Trim(id, `"`))+" is not the id of a dispatcher set, use a whole number from 0 to 2147483647", "dispatcher_sets:", "  "+id+": carriers")
	}
	for _, name := range []string{"", `""`, "~", "[a]", "{a: b}"} {
		checkModuleError(t, "must be a text, which must not be empty", "dispatcher_sets:", "  1: "+name)
	}
	checkModuleError(t, "dispatcher_sets: must be a mapping of ids of dispatcher sets to names, for example {1: carriers}", "timeout: 1s", "dispatcher_sets: [carriers]")
	checkModuleError(t, `the key "1" is repeated`, "dispatcher_sets: {1: a,", "  1: b}")
}

// TestModulesTakeNoValuesFromOthers has modules without the key timeout beside one with it, with and without the flag.
func TestModulesTakeNoValuesFromOthers(t *testing.T) {
	const targets = "targets: [{name: a, uri: 'unix:/a'}, {name: b, uri: 'unix:/a', modules: [slow]}, {name: c, uri: 'unix:/a', modules: [empty]}]\n"
	for _, test := range []struct {
		modules string
		args    []string
		want    []time.Duration // of the modules of the targets
	}{
		{"modules: {default: {timeout: 7s}, slow: {timeout: 9s}, empty: {}}\n", nil, []time.Duration{7 * time.Second, 9 * time.Second, 5 * time.Second}},
		{"modules: {slow: {timeout: 9s}, empty: {}}\n", []string{"-t", "3s"}, []time.Duration{3 * time.Second, 9 * time.Second, 5 * time.Second}},
	} {
		cfg, err := load(t, test.modules+targets, test.args...)
		if err != nil {
			t.Fatal(err)
		}
		for i, target := range cfg.Targets {
			if got := target.Module("").Timeout; got != test.want[i] {
				t.Errorf("%s%q: the timeout of target %s is %v, want %v", test.modules, test.args, target.Name, got, test.want[i])
			}
		}
	}
}

// TestSIPOfAModule has values of the key sip, and the settings that they mean.
func TestSIPOfAModule(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(writeFiles(t, map[string]string{"ca.pem": ca}), "ca.pem")
	sockets := make([]sipprobe.Socket, MaxSIPSockets)
	uris := make([]string, MaxSIPSockets)
	for i := range sockets {
		sockets[i] = sipprobe.Socket{Transport: "udp", Host: "h", Port: i + 1}
		uris[i] = fmt.Sprintf("'sip:h:%d'", i+1)
	}
	most := strings.Join(uris, ",")
	for value, want := range map[string]*SIP{
		"{sockets: off}": nil,
		"{sockets: auto, timeout: 3s, server_name: x}":        {Auto: true, Timeout: 3 * time.Second, ServerName: "x"},
		"{sockets: ['sips:h:5061'], ca_file: '" + file + "'}": {Sockets: []sipprobe.Socket{{Transport: "tls", Host: "h", Port: 5061}}, Timeout: 2 * time.Second, CA: ca},
		"{sockets: [" + most + "]}":                           {Sockets: sockets, Timeout: 2 * time.Second},
	} {
		module, err := parseModule(t, "sip: "+value)
		if err != nil || !reflect.DeepEqual(module.SIP, want) {
			t.Errorf("%s: got %+v, error %v, want %+v", value, module, err, want)
		}
	}
	checkModuleError(t, "must have at most 32 URIs", "sip:", "  sockets: ["+most+",'sip:i']")
}

func TestBooleansOfAModule(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false} {
		module, err := parseModule(t, "legacy_series: "+value)
		if err != nil {
			t.Fatal(err)
		}
		if got := !module.Settings.NoLegacySeries; got != want {
			t.Errorf("%s is %t", value, got)
		}
	}
}
