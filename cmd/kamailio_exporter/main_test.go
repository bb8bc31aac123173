package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// noKamailio is the URI of a socket that does not exist.
const noKamailio = "unix:/no/such/kamailio_ctl"

// TestWrongFlagsEndTheProgram has combinations of flags that are not allowed, and unknown
// flags. TestWrongValuesEndTheProgram has the values of each flag.
func TestWrongFlagsEndTheProgram(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"-u", "http://user:secret@127.0.0.1/RPC"}, []string{"--kamailio.scrape-uri", "a URL must not contain a password"}},
		{[]string{"-u", "http://127.0.0.1/RPC", "-m", "ctl.connections"}, []string{"--kamailio.methods", "ctl.connections is not answered over JSON-RPC"}},
		{[]string{"-m", "htable.get"}, []string{"--kamailio.methods", "needs --kamailio.htable-keys"}},
		{[]string{"--web.telemetry-path", "/-/healthy"}, []string{"another page"}},
		{[]string{"--web.external-url", "https://u:secret@example.net/"}, []string{`--web.external-url: "…@example.net/": a URL must not contain a password`}},
		{[]string{"--web.external-url", "https://example.net/a%20b"}, []string{"--web.external-url", "must not have"}},
		{[]string{"--nosuch"}, []string{"unknown long flag '--nosuch'"}},
		{[]string{"stray"}, []string{`unexpected argument "stray": the commands are check and custom-metrics; see --help for the flags`}},
		{[]string{"-m", "tm.stats,", "sl.stats"}, []string{`unexpected argument "sl.stats": a list must not have spaces after its commas`}},
		{[]string{"-t", "5s", "check"}, []string{`unexpected argument "check": a command must be the first argument`}},
		{[]string{"-t", "5s", "custom-metrics", "test"}, []string{`"custom-metrics": a command must be the first argument`}},
		{[]string{"-t", "5s", "-t", "6s"}, []string{"flag 'kamailio.timeout' cannot be repeated"}},
		{[]string{"-t"}, []string{"expected argument for flag '-t'"}},
		{[]string{"-t", "-5"}, []string{`--kamailio.timeout: "-5" is not a time`}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			out, err := command(ctx, append([]string{"-l", "127.0.0.1:0"}, test.args...)...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit status 1", err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q is not in the output: %s", want, out)
				}
			}
			if strings.Contains(string(out), "Listening on") {
				t.Errorf("the exporter listened before it ended: %s", out)
			}
		})
	}
}

func TestListenErrorsNameTheFlag(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tests := map[string][]string{"--web.listen-address: listen tcp " + listener.Addr().String(): {"-l", listener.Addr().String()}}
	if runtime.GOOS == "linux" {
		tests["--web.systemd-socket: no socket activation"] = []string{"--web.systemd-socket"}
	}
	for want, args := range tests {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := command(ctx, args...).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, want %q in %s", args, err, want, out)
		}
	}
}

// TestErrorsOfFilesHaveNoValues has files whose errors must name the flag and the file, but
// no value of the file, which may be a password.
func TestErrorsOfFilesHaveNoValues(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "wrong.yml")
	if err := os.WriteFile(file, []byte("basic_auth: PW`PW\nbasic_auth_users: PW\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--web.config.file", "--kamailio.http-config.file"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := command(ctx, flag, file).CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); !ok || !strings.Contains(string(out), flag+": "+file+": yaml: ") || strings.Contains(string(out), "PW") {
			t.Errorf("%s: %v, output %s", flag, err, out)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"-h":             `(?s)-l, --web.listen-address=:9494.*-u, --kamailio.scrape-uri=unix:/var/run/kamailio/kamailio_ctl.*-m, --kamailio.methods=auto.*-t, --kamailio.timeout=5s`,
		"--help":         `(?s)\[no-\]help-methods .*see --help-methods\.`,
		"--help-methods": `(?m)^dispatcher\.list\s+yes\s.*\n(?s:.*)^dlg\.stats_active\s+no\s`,
		"--version":      `^kamailio_exporter, version `,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := command(ctx, flag)
		cmd.Env = append(cmd.Env, "COLUMNS=400")
		out, err := cmd.Output()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: %v, output %s", flag, err, out)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio)
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/-/healthy", http.StatusOK, "Healthy"},
		{"/", http.StatusOK, `href="./metrics"`},
		{"/metrics", http.StatusOK, "kamailio_up 0"},
		{"/nosuch", http.StatusNotFound, ""},
	}
	for _, test := range tests {
		response, body := e.get(test.path)
		if response.StatusCode != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s: %s, %s", test.path, response.Status, body)
		}
	}
	if response, _ := e.request(http.MethodPost, "/metrics"); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
}

func TestTelemetryPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/deep/metrics"} {
		e := start(t, "-u", noKamailio, "--web.telemetry-path", path)
		if _, body := e.get(path); !strings.Contains(string(body), "kamailio_up 0") {
			t.Errorf("%s: got %s", path, body)
		}
	}
}

// TestWithoutKamailio checks the page and the log without a Kamailio.
func TestWithoutKamailio(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio)
	p := e.scrape()
	p.check(t, "kamailio_up", 0)
	p.check(t, "kamailio_exporter_total_scrapes", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 1)
	p.check(t, "promhttp_metric_handler_requests_in_flight", 1)
	p.check(t, `promhttp_metric_handler_requests_total{code="200"}`, 0)
	for _, prefix := range []string{"go_goroutines", "process_open_fds", `kamailio_exporter_build_info{branch="`} {
		if !p.has(prefix) {
			t.Errorf("the page has no series that starts with %s", prefix)
		}
	}
	e.awaitLog(`level=ERROR .*target=unix:/no/such/kamailio_ctl err="dial unix .*" hint="there is no such socket: check that Kamailio is running`)
}

// has reports whether the page has a series that starts with prefix.
func (p page) has(prefix string) bool {
	for series := range p {
		if strings.HasPrefix(series, prefix) {
			return true
		}
	}
	return false
}

func TestDisableExporterMetrics(t *testing.T) {
	t.Parallel()
	p := start(t, "-u", noKamailio, "--web.disable-exporter-metrics").scrape()
	for series := range p {
		if !strings.HasPrefix(series, "kamailio_") {
			t.Errorf("the page has %s", series)
		}
	}
	if !p.has("kamailio_exporter_build_info{") {
		t.Error("the page lacks kamailio_exporter_build_info")
	}
}

// TestFormats gets the page in each format that Prometheus accepts.
func TestFormats(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio)

	response, body := e.get("/metrics", "Accept", "application/openmetrics-text;version=1.0.0")
	if format := expfmt.ResponseFormat(response.Header); format.FormatType() != expfmt.TypeOpenMetrics {
		t.Errorf("got the format %s, want OpenMetrics", format)
	}
	if text := string(body); !strings.Contains(text, "# TYPE kamailio_exporter_total_scrapes unknown\n") || !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("OpenMetrics:\n%s", text)
	}

	found := e.getFamilies()
	if found["kamailio_up"] == nil || found["go_goroutines"] == nil {
		t.Errorf("protobuf has %v", found)
	}

	response, _ = e.get("/metrics", "Accept-Encoding", "gzip")
	if encoding := response.Header.Get("Content-Encoding"); encoding != "gzip" {
		t.Errorf("got the encoding %q, want gzip", encoding)
	}
}

// TestListensWithoutWaitingForKamailio starts the exporter without a Kamailio, and with one
// that hangs. The limit is long for slow machines; the log of the test has the time.
func TestListensWithoutWaitingForKamailio(t *testing.T) {
	t.Parallel()
	hanging := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", hanging) // accepts connections and never replies
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for name, uri := range map[string]string{"absent": noKamailio, "hangs": "unix:" + hanging} {
		before := time.Now()
		e := start(t, "-u", uri)
		e.get("/-/healthy")
		took := time.Since(before)
		t.Logf("Kamailio %s: the exporter responds after %v", name, took)
		if took > 5*time.Second {
			t.Errorf("Kamailio %s: the exporter responds after %v, want at most 5s", name, took)
		}
	}
}

// TestTimeouts has a server that never replies. Scrapes must end in their time.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	hanging := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", hanging)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	tests := []struct {
		name     string
		timeout  string
		header   string
		min, max time.Duration
		failed   float64
	}{
		{"no header", "1s", "", 900 * time.Millisecond, 10 * time.Second, 1},
		{"shorter flag", "1s", "60", 900 * time.Millisecond, 10 * time.Second, 1},
		{"shorter header", "60s", "1", 900 * time.Millisecond, 10 * time.Second, 0},
		{"negative header", "1s", "-5", 900 * time.Millisecond, 10 * time.Second, 1},
		{"header that is not a number", "1s", "NaN", 900 * time.Millisecond, 10 * time.Second, 1},
		{"short header", "60s", "0.05", 0, 10 * time.Second, 0},
		{"header below the minimum", "1s", "0.001", 900 * time.Millisecond, 10 * time.Second, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, "-u", "unix:"+hanging, "-t", test.timeout)
			before := time.Now()
			p := e.scrape("X-Prometheus-Scrape-Timeout-Seconds", test.header)
			if took := time.Since(before); took < test.min || took > test.max {
				t.Errorf("the scrape took %v, want %v to %v", took, test.min, test.max)
			}
			if test.failed == 0 { // the poll is running, and nothing has failed yet
				if p.has("kamailio_up") {
					t.Error("kamailio_up is on the page")
				}
			} else {
				p.check(t, "kamailio_up", 0)
			}
			p.check(t, "kamailio_exporter_failed_scrapes", test.failed)
		})
	}
}

func TestServerThatDoesNotSpeakBINRPC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			defer conn.Close()
		}
	}()
	e := start(t, "-u", "tcp://"+listener.Addr().String())
	e.scrape().check(t, "kamailio_up", 0)
	e.awaitLog(`does not speak BINRPC as Kamailio does`)
}

// TestWebConfig sets a password in the file of the exporter-toolkit.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "web.yml")
	// The password is "secret".
	config := "basic_auth_users:\n  prometheus: " + secretHash + "\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, "-u", noKamailio, "--web.config.file", file)
	if response, _ := e.get("/metrics"); response.StatusCode != http.StatusUnauthorized || response.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("without a password: %s, headers %v", response.Status, response.Header)
	}
	e.url = strings.Replace(e.url, "http://", "http://prometheus:secret@", 1)
	if response, _ := e.get("/metrics"); response.StatusCode != http.StatusOK {
		t.Errorf("with the password: %s", response.Status)
	}
}

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestConfigCheck checks the output and the exit status for valid and for wrong configurations. Nothing listens.
func TestConfigCheck(t *testing.T) {
	valid := writeConfig(t, "modules: {slow: {methods: [core.uptime]}}\ntargets: [{name: a, uri: 'unix:/no/such/a'}]\n")
	wrong := writeConfig(t, "targets:\n- {name: a, uri: ftp, color: red}\n- {name: b}\n")
	for _, test := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{[]string{"--config.file", valid}, 0, valid + " is valid: 1 target.\n", ""},
		{[]string{"-u", noKamailio}, 0, "The flags are valid.\n", ""},
		{[]string{"--config.file", wrong}, 1, "", "kamailio_exporter: error: " + wrong + ":2: unknown key \"color\", allowed are auth, labels, modules, name, sip, uri, xhttp_prom_auth, xhttp_prom_url\n" +
			"kamailio_exporter: error: " + wrong + ":3: the target must have the key uri\n"},
		{[]string{"--config.file", valid, "-t", "0"}, 1, "", "kamailio_exporter: error: --kamailio.timeout: \"0\" is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms; see --help\n"},
	} {
		cmd := command(t.Context(), append([]string{"--config.check", "-l", "127.0.0.1:0"}, test.args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if status := cmd.ProcessState.ExitCode(); status != test.status || stdout.String() != test.stdout || stderr.String() != test.stderr {
			t.Errorf("%q: %v, status %d, output %q, errors\n%swant\n%s", test.args, err, status, stdout.String(), stderr.String(), test.stderr)
		}
	}
}

// TestRuntimeSettings checks the metrics go_* of the runtime's settings, with and without
// environment variables.
func TestRuntimeSettings(t *testing.T) {
	file := writeConfig(t, "targets: [{name: a, uri: 'unix:/no/such/a'}, {name: b, uri: 'unix:/no/such/b'}]\n")
	defaults := []string{"GOMAXPROCS=", "GOGC=", "GOMEMLIMIT="}
	for _, test := range []struct {
		args, env     []string
		cpus, garbage float64
		memory        float64
	}{
		{[]string{"-u", noKamailio}, defaults, 1, 50, 112 << 20},
		{[]string{"-u", noKamailio}, []string{"GOMAXPROCS=2", "GOGC=80", "GOMEMLIMIT=256MiB"}, 2, 80, 256 << 20},
		{[]string{"--config.file", file}, defaults, float64(min(4, runtime.GOMAXPROCS(0))), 50, 112<<20 + 2*128<<10},
		{[]string{"--config.file", file}, []string{"GOMAXPROCS=1", "GOGC=", "GOMEMLIMIT=64MiB"}, 1, 50, 64 << 20},
	} {
		cmd := command(context.WithoutCancel(t.Context()), append([]string{"-l", "127.0.0.1:0"}, test.args...)...)
		cmd.Env = append(cmd.Env, test.env...)
		page := startCommand(t, cmd).scrape()
		page.check(t, "go_sched_gomaxprocs_threads", test.cpus)
		page.check(t, "go_gc_gogc_percent", test.garbage)
		page.check(t, "go_gc_gomemlimit_bytes", test.memory)
	}
}

// TestServerThatDoesNotSpeakJSONRPC has an HTTP server that is not a Kamailio.
func TestServerThatDoesNotSpeakJSONRPC(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer server.Close()
	for _, args := range [][]string{{}, {"-m", "core.uptime"}} {
		e := start(t, append(args, "-u", server.URL)...)
		e.scrape().check(t, "kamailio_up", 0)
		e.awaitLog(`the server there does not speak JSON-RPC`)
	}
}

// TestSummaryIsPrintable has a file whose name could clear a terminal.
func TestSummaryIsPrintable(t *testing.T) {
	if got := summary(&config.Config{File: "a\x1b[2J.yml"}); got != `a\x1b[2J.yml is valid: 0 targets.` {
		t.Errorf("got %q", got)
	}
}
