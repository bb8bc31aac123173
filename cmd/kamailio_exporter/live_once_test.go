//go:build linux

package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// onceCommand returns the command of docs/once.md that is marked, with the test program as kamailio_exporter, a Kamailio, and
// the replacements.
func onceCommand(t *testing.T, mark, uri string, replacements ...string) *exec.Cmd {
	t.Helper()
	page, err := os.ReadFile("../../docs/once.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("<!-- " + mark + " -->\n```text\n(?:[* ]+root )?(.*)\n```").FindStringSubmatch(string(page))
	if block == nil {
		t.Fatalf("no block of once.md is marked %s", mark)
	}
	exporter := command(t.Context())
	replacements = append(replacements, "kamailio_exporter --once", exporter.Path+" --once -u "+uri)
	shell := exec.CommandContext(t.Context(), "sh", "-c", strings.NewReplacer(replacements...).Replace(block[1]))
	shell.Env = exporter.Env
	return shell
}

// pageOf gets a page.
func pageOf(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url) //nolint:noctx // the server ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestLiveOnceWithNodeExporter runs the cron job of once.md with a Kamailio and without one. A real node_exporter shows the series.
func TestLiveOnceWithNodeExporter(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	dir := t.TempDir()
	url, log := startNodeExporter(t, dir)
	for uri, want := range map[string]string{k.URI("unix"): "\nkamailio_up 1\n", noKamailio: "\nkamailio_up 0\n"} {
		if out, err := onceCommand(t, "cron", uri, "/var/lib/prometheus/node-exporter", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if page := pageOf(t, url); !strings.Contains(page, want) || !strings.Contains(page, "\nnode_textfile_scrape_error 0\n") {
			t.Errorf("want %q; the log of node_exporter:\n%s\nits page:\n%s", want, log, page)
		}
	}
	if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 1 {
		t.Errorf("the directory has %v, want one file", names)
	}
}

// TestLiveOnceWithPushgateway runs the command of once.md with a real Pushgateway.
func TestLiveOnceWithPushgateway(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: the command needs curl")
	}
	k := lab.StartTest(t, lab.Options{})
	address, _ := startTool(t, "prometheus-pushgateway", "--web.listen-address=127.0.0.1:0")
	if out, err := onceCommand(t, "push", k.URI("unix"), "localhost:9091", address).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	page := pageOf(t, "http://"+address+"/metrics")
	for _, want := range []string{`kamailio_up{instance="sbc1",job="kamailio"} 1`, `kamailio_core_uptime_uptime_total{instance="sbc1",job="kamailio"} `, `push_failure_time_seconds{instance="sbc1",job="kamailio"} 0`} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("%s is not in the page of the Pushgateway:\n%s", want, page)
		}
	}
}

// TestOnce checks the output and the exit status, with flags and with a file.
func TestOnce(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	file := writeConfig(t, "targets: [{name: a, uri: '"+k.URI("unix")+"'}, {name: b, uri: 'unix:/no/such/b'}]\n")
	for _, test := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{[]string{"-u", k.URI("unix"), "-m", "core.uptime"}, 0, "\nkamailio_up 1\n", ""},
		{[]string{"-u", noKamailio}, 1, "\nkamailio_up 0\n", "there is no such socket"},
		{[]string{"--config.file", file, "--target", "a"}, 0, "\nkamailio_up 1\n", ""},
		{[]string{"--config.file", file, "--target", "b"}, 1, "\nkamailio_up 0\n", "target=b"},
		{[]string{"--config.file", file, "-u", k.URI("unix")}, 0, "\nkamailio_up 1\n", ""},
		{[]string{"--config.file", file}, 1, "", "--once: --target is needed too"},
		{[]string{"--config.file", file, "--target", "c"}, 1, "", `--target: there is no target \"c\" in --config.file`},
	} {
		cmd := command(t.Context(), append([]string{"--once"}, test.args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit status is checked
		text := strings.ReplaceAll(stderr.String(), `\`, "")
		if cmd.ProcessState.ExitCode() != test.status || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(text, strings.ReplaceAll(test.stderr, `\`, "")) {
			t.Errorf("%q: status %d, want %d; output\n%s\nerrors\n%s", test.args, cmd.ProcessState.ExitCode(), test.status, stdout.String(), stderr.String())
		}
		if strings.Contains(stdout.String(), "go_goroutines") || test.status == 0 && text != "" || strings.Contains(text, "Listening") {
			t.Errorf("%q: output\n%s\nerrors\n%s", test.args, stdout.String(), text)
		}
	}
	if out, err := command(t.Context(), "--target", "a", "--config.file", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "--target: the flag is for --once and for the command check only") {
		t.Errorf("--target without --once: %v: %s", err, out)
	}
}
