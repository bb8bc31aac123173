//go:build linux

package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// customMetrics returns the example of custom-metrics.md.
func customMetrics(t *testing.T) string {
	t.Helper()
	for _, b := range blocks(t, "yaml") {
		if b.mark == "custom-metrics" {
			return b.text
		}
	}
	t.Fatal("no block is marked custom-metrics")
	return ""
}

// TestCustomMetrics runs the example against each Kamailio, over BINRPC and over JSON-RPC. Both must have the same series, while
// the hash table has no key, one key and several keys.
func TestCustomMetrics(t *testing.T) {
	example := customMetrics(t)
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Rows: map[string]string{"dialplan": "1:1:1:0:100:0:^1:2:a\n2:1:2:0:101:0:^1:2:a\n"}, Config: `
modparam("db_text", "db_mode", 1) # look at the files again
loadmodule "dialplan.so"
modparam("dialplan", "db_url", "text://LAB_DIR/dbtext")
`})
		file := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
		writeFile(t, file, example+fmt.Sprintf("targets:\n- {name: binrpc, uri: %q}\n- {name: jsonrpc, uri: %q}\n", k.URI("unix"), k.JSONRPCURL()))
		e := start(t, "--config.file", file)
		compare := func(name string, want ...string) {
			t.Helper()
			binrpc, jsonrpc := e.custom("binrpc"), e.custom("jsonrpc")
			if !slices.Equal(binrpc, jsonrpc) {
				t.Errorf("over BINRPC\n%s\nover JSON-RPC\n%s", strings.Join(binrpc, "\n"), strings.Join(jsonrpc, "\n"))
			}
			var got []string
			for _, line := range binrpc {
				if strings.HasPrefix(line, name) {
					got = append(got, line)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		compare("lab_htable_calls")
		kamcmd(t, k, "htable.seti", "calls", "one", "5")
		compare("lab_htable_calls", `lab_htable_calls{key="one"} 5`)
		kamcmd(t, k, "htable.seti", "calls", "two", "7")
		kamcmd(t, k, "htable.sets", "calls", "three", "x")
		compare("lab_htable_calls", `lab_htable_calls{key="one"} 5`, `lab_htable_calls{key="two"} 7`)
		compare("lab_trunk_dialogs", "lab_trunk_dialogs 0")
		compare("lab_location_aors", `lab_location_aors{domain="location"} 0`)
		compare("lab_dialplan_rules", `lab_dialplan_rules{dpid="1"} 2`)
		compare("lab_registration", `lab_registration_expires_seconds{domain="remote.example",user="alice"} 3600`)
		if classes := len(strings.Split(strings.Join(e.custom("binrpc"), "\n"), "lab_received_replies_total{")) - 1; classes != 6 {
			t.Errorf("%d classes of replies, want 6", classes)
		}
		if page := get(t, "http://"+e.address+"/probe?target=binrpc"); strings.Contains(page, "secret") || !strings.Contains(page, "kamailio_exporter_skipped_total{collector=\"custom:calls\",reason=\"not_a_number\"}") {
			t.Errorf("the page has a password, or does not count a value that is not a number:\n%s", page)
		}
		emptyDialplan(t, k)
		failed := "kamailio_exporter_collector_success{collector=\"custom:dialplan\"} 0\n"
		if page := get(t, "http://"+e.address+"/probe?target=binrpc"); strings.Contains(page, "lab_dialplan_rules") || !strings.Contains(page, failed) {
			t.Errorf("the page has rules of an empty dialplan, or does not say that the entry failed:\n%s", page)
		}
	})
}

// emptyDialplan removes all rules of the lab's dialplans.
func emptyDialplan(t *testing.T, k *lab.Kamailio) {
	t.Helper()
	file := filepath.Join(k.Dir, "dbtext", "dialplan")
	table, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	columns, _, _ := strings.Cut(string(table), "\n")
	writeFile(t, file, columns+"\n")
	newer := time.Now().Add(2 * time.Second) // Kamailio reads a file again if it is a second newer
	if err := os.Chtimes(file, newer, newer); err != nil {
		t.Fatal(err)
	}
	kamcmd(t, k, "dialplan.reload")
}

// custom returns the series of the example, without the counters of Kamailio's own requests, which each scrape changes.
func (e *exporter) custom(target string) []string {
	e.t.Helper()
	var lines []string
	page := get(e.t, "http://"+e.address+"/probe?target="+target)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "lab_") && !strings.HasPrefix(line, "lab_received_requests_total") {
			lines = append(lines, strings.TrimSpace(line))
		}
		if strings.HasPrefix(line, `kamailio_exporter_collector_success{collector="custom:`) && strings.HasSuffix(line, " 0\n") {
			e.t.Errorf("%s: %s", target, line)
		}
	}
	slices.Sort(lines)
	return lines
}

func kamcmd(t *testing.T, k *lab.Kamailio, args ...string) {
	t.Helper()
	if out, err := k.Kamcmd(t.Context(), args...); err != nil {
		t.Fatalf("kamcmd %v: %v: %s", args, err, out)
	}
}
