//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveRefusedEntriesCallNothing starts the exporter with entries that would change Kamailio, or end it. The exporter must end
// before it calls anything, even if the entry claims that the method only reads.
func TestLiveRefusedEntriesCallNothing(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	if out, err := k.Kamcmd(t.Context(), "htable.seti", "calls", "kept", "1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for method, want := range map[string]string{
		"{method: htable.seti, args: [calls, kept, 2]":                  "htable.seti must not be called, because it changes the state of Kamailio",
		"{method: htable.seti, args: [calls, kept, 2], read_only: true": "htable.seti must not be called, because it changes the state of Kamailio",
		"{method: htable.delete, args: [calls, kept], read_only: true":  "htable.delete must not be called",
		"{method: core.kill, args: [15], read_only: true":               "core.kill must not be called, because it is unsafe",
		"{method: stats.reset_statistics, args: [all], read_only: true": "stats.reset_statistics must not be called",
		"{method: my.method": "my.method is not in the table of known RPC methods",
	} {
		file := writeConfig(t, "custom_metrics:\n  e: "+method+", metrics: [{name: lab_x, value: '1'}]}\nmodules: {default: {custom_metrics: [e]}}\n"+
			"targets: [{name: a, uri: '"+k.URI("unix")+"'}]\n")
		for _, args := range [][]string{{"-l", "127.0.0.1:0"}, {"--once", "--target", "a"}, {"--config.check"}} {
			out, err := command(t.Context(), append(args, "--config.file", file)...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), file+":2: "+want) || strings.Contains(string(out), "Listening") {
				t.Errorf("%s %q: %v: %s", method, args, err, out)
			}
		}
	}
	if out, err := k.Kamcmd(t.Context(), "htable.get", "calls", "kept"); err != nil || !strings.Contains(out, "value: 1") {
		t.Errorf("the value was changed: %v: %s", err, out)
	}
}

// TestCustomMetricsCommand tries entries on saved replies.
func TestCustomMetricsCommand(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, `
custom_metrics:
  calls:
    method: htable.dump
    rows: '.[].slot[]'
    metrics: [{name: lab_calls, help: Calls., labels: {key: .name}, value: .value}]
  endless: {method: core.uptime, rows: 'def f: f; f', metrics: [{name: lab_endless, value: '1'}]}
`)
	dir := t.TempDir()
	reply := func(text string) string {
		path := filepath.Join(dir, "reply.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		name, reply    string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"calls", `{"slot":[{"name":"a","value":3}]}`, nil, 0, "# HELP lab_calls Calls.\n# TYPE lab_calls gauge\nlab_calls{key=\"a\"} 3\n", ""},
		{"calls", `[]`, nil, 0, "", "The reply has no samples.\n"},
		{"calls", `{"slot":[{"name":"a","value":"x"}]}`, nil, 0, "", "Values dropped or shortened as not_a_number: 1, for example lab_calls: \"x\" is not a number\nThe reply has no samples.\n"},
		{"calls", `{"slot":1}`, nil, 1, "", "rows of custom metrics calls: cannot iterate over: number (1)"},
		{"calls", `{"slot":`, nil, 1, "", "the reply is not valid"},
		{"calls", `{}}, "x":{`, nil, 1, "", "the reply is not valid"},
		{"endless", `[]`, []string{"--timeout=100ms"}, 1, "", "the jq expressions did not end in time"},
		{"nosuch", `[]`, nil, 1, "", `has no entry "nosuch" in custom_metrics`},
	} {
		args := append([]string{"custom-metrics", "test", "--config.file", file, "--reply", reply(test.reply)}, append(test.args, test.name)...)
		cmd := command(t.Context(), args...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit status is checked
		if cmd.ProcessState.ExitCode() != test.status || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
			t.Errorf("%s of %s: status %d, output\n%s\nerrors\n%s", test.name, test.reply, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String())
		}
	}
}
