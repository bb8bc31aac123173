//go:build linux

package docs_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// section returns the text of a section of troubleshooting.md.
func section(t *testing.T, title string) string {
	t.Helper()
	_, text, found := strings.Cut(readPage(t, "troubleshooting.md"), "\n## "+title+"\n")
	if !found {
		t.Fatalf("troubleshooting.md has no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

var errorHeading = regexp.MustCompile("(?m)^### `.+$")

// checkHeading checks that a heading of the section has words of the message. An ellipsis stands for any words.
func checkHeading(t *testing.T, title, message string) {
	t.Helper()
	for _, heading := range errorHeading.FindAllString(section(t, title), -1) {
		for _, words := range quoted(heading) {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(words), "…", ".*")
			if regexp.MustCompile(pattern).MatchString(strings.ReplaceAll(message, `\`, "")) {
				return
			}
		}
	}
	t.Errorf("%s: no heading has words of this message:\n%s", title, message)
}

// TestErrorsAtTheStart starts the exporter with flags that end it, and looks up each message in the page.
func TestErrorsAtTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	wrong := filepath.Join(t.TempDir(), "wrong.yml")
	writeFile(t, wrong, "no_such_field: 1\n")
	for _, args := range [][]string{
		{"-l", taken.Addr().String()},
		{"-l", "9494"},
		{"-m", "auto,"},
		{"-m", "core.kill"},
		{"-m", "auto", "core.uptime"},
		{"-m", "dlg.profile_get_size"},
		{"-m", "htable.get"},
		{"-m", "pv.shvGet"},
		{"-m", "kafka.stats_topic"},
		{"-t", "0s"},
		{"-t", "5"},
		{"-u", "/run/kamailio/kamailio_ctl"},
		{"-u", "http://127.0.0.1:5060/RPC", "-m", "ctl.connections"},
		{"-u", "http://user:password@127.0.0.1:5060/RPC"},
		{"--kamailio.dialog-profiles", "a:"},
		{"--kamailio.htable-keys", "a"},
		{"--kamailio.http-config.file", wrong},
		{"--kamailio.max-series=-1"},
		{"--kamailio.max-series=abc"},
		{"--kamailio.short", "tm.stats"},
		{"--kamailio.shv", "a\tb"},
		{"--kamailio.kafka-topics", "a b"},
		{"--kamailio.xhttp-prom-url", "/metrics"},
		{"--log.level=verbose"},
		{"--socketPath", "/run/kamailio/kamailio_ctl"},
		{"--web.config.file", "/no/such.yml"},
		{"--web.disable-exporter-metrics=true"},
		{"--web.systemd-socket"},
		{"--web.telemetry-path", "metrics"},
		{"--web.telemetry-path", "/-/healthy"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			message, err := exec.CommandContext(t.Context(), filepath.Join(programs, "kamailio_exporter"), args...).CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("the exporter ended with %v, not with status 1", err)
			}
			checkHeading(t, "Errors at start", string(message))
		})
	}
}

// TestErrorsOfTheConfigurationFile checks wrong files, and looks up each error in the page.
func TestErrorsOfTheConfigurationFile(t *testing.T) {
	const auth = "auths: {a: {hosts: [192.0.2.1], basic_auth: {username: a, password_file: %s}}}\n"
	file := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	for name, content := range map[string]string{
		"auth without its file":  fmt.Sprintf(auth, "missing"),
		"auth of another host":   fmt.Sprintf(auth, file) + "targets: [{name: a, uri: 'http://192.0.2.2/RPC', auth: a}]\n",
		"environment":            "auths: {a: {basic_auth: {username: a, password: $PASSWORD}}}\n",
		"list":                   "modules: {default: {methods: auto}}\n",
		"mapping":                "modules:\n  default:\n  timeout: 5s\n",
		"module twice":           "modules: {default: {methods: [core.uptime]}}\n",
		"name twice":             "targets: [{name: a, uri: 'unix:/a'}, {name: a, uri: 'unix:/b'}]\n",
		"unknown auth":           "targets: [{name: a, uri: 'unix:/a', auth: a}]\n",
		"unknown key":            "target: []\n",
		"unknown module":         "targets: [{name: a, uri: 'unix:/a', modules: [a]}]\n",
		"YAML with a tab":        "targets:\n  - name: a\n\turi: unix:/a\n",
		"YAML without a colon":   "targets:\n  - name: a\n    uri:unix:/a\n    labels: {}\n",
		"YAML without a column":  "targets:\n  - name: a\n   uri: unix:/a\n",
		"YAML with deeper lines": "targets:\n  - name: a\n      uri: unix:/a\n",
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, file, content)
			message, err := exec.CommandContext(t.Context(), filepath.Join(programs, "kamailio_exporter"), "--config.check", "--config.file", file, "-m", "auto").CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("the exporter ended with %v, not with status 1", err)
			}
			for line := range strings.Lines(string(message)) {
				checkHeading(t, "Errors of the configuration file", line)
			}
		})
	}
}

// checkScrape scrapes an exporter and looks up the error that it logs in the page.
func checkScrape(t *testing.T, e *exporter) {
	t.Helper()
	title := "Scraping Kamailio failed"
	if strings.Contains(e.scrape(), "\nkamailio_up 1\n") {
		title = "Scraping Kamailio partly failed"
	}
	checkHeading(t, title, e.problem())
}

// refuses is the configuration of a Kamailio that refuses every HTTP request.
const refuses = `
loadmodule "xhttp.so"
event_route[xhttp:request] { xhttp_reply("403", "Forbidden", "text/plain", "no\n"); }
`

// smallBuffers makes ctl refuse large replies.
const smallBuffers = `
modparam("ctl", "binrpc_struct_max_body_size", 1)
modparam("ctl", "binrpc_max_body_size", 2)
`

// TestErrorsOfScrapes provokes errors of scrapes, and looks up each in the page.
func TestErrorsOfScrapes(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Config: smallBuffers})
	unwilling := lab.StartTest(t, lab.Options{Minimal: true, Config: refuses})
	unix, http := k.URI("unix"), "http://"+k.SIPAddr()
	for name, args := range map[string][]string{
		"another path":           {"-u", http + "/nothing"},
		"another page":           {"-u", http + "/metrics"},
		"refused":                {"-u", unwilling.JSONRPCURL()},
		"unknown CA":             {"-u", "https://" + k.TLSAddr() + "/RPC"},
		"HTTP to the TLS port":   {"-u", "http://" + k.TLSAddr() + "/RPC"},
		"HTTPS to the SIP port":  {"-u", "https://" + k.SIPAddr() + "/RPC", "-t", "500ms"},
		"BINRPC to the SIP port": {"-u", "tcp://" + k.SIPAddr(), "-t", "500ms"},
		"BINRPC to SIP over UDP": {"-u", "udp://" + k.SIPAddr(), "-t", "500ms"},
		"another server":         {"-u", "tcp://" + start(t, "-u", unix).address},
		"no server":              {"-u", "tcp://" + freeAddress(t)},
		"no socket":              {"-u", "unix:/no/such/kamailio_ctl"},
		"datagram socket":        {"-u", "unix:" + strings.TrimPrefix(k.URI("unixd"), "unixd:")},
		"unknown profile":        {"-u", unix, "-m", "core.uptime", "--kamailio.dialog-profiles", "nobody"},
		"unknown hash table":     {"-u", unix, "-m", "core.uptime", "--kamailio.htable-keys", "nothing=>a"},
		"unknown statistic":      {"-u", http + "/RPC", "-m", "stats.fetch", "--kamailio.stats-groups", "script:nosuch"},
		"unknown method":         {"-u", unix, "-m", "peerstate.stats"},
		"small buffers":          {"-u", unix, "-m", "stats.fetch"},
		"no xhttp_prom page":     {"-u", unix, "-m", "core.uptime", "--kamailio.xhttp-prom-url", http + "/nothing"},
	} {
		t.Run(name, func(t *testing.T) { checkScrape(t, start(t, args...)) })
	}
}

// TestErrorsOfAHangingKamailio stops a Kamailio, and then fills the queue of its socket.
func TestErrorsOfAHangingKamailio(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	hangs := start(t, "-u", k.URI("unix"), "-t", "500ms")
	full := start(t, "-u", k.URI("unix"))
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	checkScrape(t, hangs)
	for {
		conn, err := net.Dial("unix", strings.TrimPrefix(k.URI("unix"), "unix:"))
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	checkScrape(t, full)
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestErrorsOfPermission runs the exporter as a user who may not connect: as nobody if the test runs as root.
func TestErrorsOfPermission(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	socket := strings.TrimPrefix(k.URI("unix"), "unix:")
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "kamailio_exporter"), "-l", "127.0.0.1:0", "-u", "unix:"+socket)
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
		chmod(t, programs, 0o755)
		chmod(t, k.Dir, 0o711)
	} else {
		chmod(t, socket, 0)
	}
	checkScrape(t, startExporter(t, cmd))
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
