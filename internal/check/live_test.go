//go:build linux

package check

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// alice runs the checks of these tests.
var alice = User{Name: "alice", UID: os.Geteuid(), Groups: []int{os.Getegid()}}

// checked returns the report of a check, and whether kamailio_up would be 1.
func checked(t *testing.T, users Users, args ...string) (report string, up bool) {
	t.Helper()
	cfg, targets := parse(t, args...)
	var out strings.Builder
	up, err := Run(t.Context(), &out, cfg, targets, users)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), up
}

var (
	continued = regexp.MustCompile(`\n {10}(\S)`)
	variable  = []struct {
		pattern *regexp.Regexp
		with    string
	}{
		{regexp.MustCompile(`(?m)(^   \S+ +(\d+\.\d\d ms|-) +\d+ +\d+\n)+`), "   METHODS\n"},
		{regexp.MustCompile(`(?m)  +(\d+\.\d\d ms|-) +\d+ +\d+$`), " N"},
		{regexp.MustCompile(`(?m)(^   note   \S+ is not called: it needs .*\n)+`), "   METHODS THAT NEED A SETTING\n"},
		{regexp.MustCompile(`(?m)(^   note   \S+ is not called: .*\n)+`), "   METHODS THAT AUTO DOES NOT CALL\n"},
		{regexp.MustCompile(`(can call|such methods.*): .*`), "$1: MODULES"},
		{regexp.MustCompile(`(?m)^ {12,}time +bytes +series$`), "   time bytes series"},
		{regexp.MustCompile(`\d+\.\d\d ms`), "N ms"},
		{regexp.MustCompile(`user \S+, group \S+?([.,])`), "user U, group G$1"},
		{regexp.MustCompile(`started \S+ ago`), "started N ago"},
		{regexp.MustCompile(`\d+ of \d+ processes`), "N of N processes"},
		{regexp.MustCompile(`kamailio \d+\.\d+\.\d+\S* \(\S+\)`), "kamailio V"},
		{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	}
)

// withoutVariables returns a report with placeholders for all that differs between runs or depends on the list of collectors,
// and without the breaks of long lines.
func withoutVariables(text, dir string) string {
	text = continued.ReplaceAllString(text, " $1")
	text = strings.ReplaceAll(text, dir, "/lab")
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	return text
}

// contains checks the outcome of a check: whether kamailio_up would be 1, and parts of the report, whose line breaks are ignored.
func contains(t *testing.T, report string, up, wantUp bool, parts ...string) {
	t.Helper()
	text := continued.ReplaceAllString(report, " $1")
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the report:\n%s", part, report)
		}
	}
	if up != wantUp {
		t.Errorf("up is %v:\n%s", up, report)
	}
	for line := range strings.Lines(report) {
		if len(line) > 140 {
			t.Errorf("a line has %d bytes: %s", len(line), line)
		}
	}
}

// TestLive checks a Kamailio of each version over several transports.
func TestLive(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		report, up := checked(t, Users{Current: alice, Service: &alice}, "-u", k.URI("unix"))
		contains(t, report, up, true, ", dialog, dispatcher, ", "without such methods, but stats.fetch has the statistics of some: ", ", textops, ", "\n   core.uptime  ", "\n   stats.fetch  ",
			"note   htable.get is not called: it needs --kamailio.htable-keys, which names what to read.",
			"note   dlg.stats_active is not called: it visits each dialog with a lock of the table.")
		wantGolden(t, "healthy.txt", withoutVariables(report, k.Dir))

		report, up = checked(t, Users{Current: alice}, "-u", k.JSONRPCURL(), "--kamailio.sip-probe=auto", "--kamailio.htable-keys=calls=>x")
		contains(t, report, up, true,
			"Kamailio replies by JSON-RPC over HTTP.",
			"Not called, because Kamailio does not answer them over JSON-RPC, or only in part: ",
			"ok     tcp:"+k.SIPAddr()+" responded to OPTIONS with 200 after ", "ok     tls:"+k.TLSAddr()+" responded",
			"note   Processes and sockets of Kamailio can be shown if it runs on this host and --kamailio.scrape-uri is a unix: socket of ctl")

		report, up = checked(t, Users{Current: alice}, "-u", k.URI("tcp"), "-m", "tm.stats,sca.subscription_count", "--kamailio.sip-probe=sip:127.0.0.1:1", "--kamailio.host=on")
		contains(t, report, up, true,
			"failed sca.subscription_count: Kamailio replied with fault 500: command sca.subscription_count not found",
			"change This Kamailio does not have the method: load the Kamailio module that it belongs to, or remove the method from --kamailio.methods",
			"Not called, because --kamailio.methods does not have them: core.uptime, ",
			"failed udp:127.0.0.1:1 did not respond to OPTIONS: refused",
			"failed Only a connection to a unix: socket proves which processes and sockets are Kamailio's.",
			"change Name a unix: socket of ctl on this host with --kamailio.scrape-uri")

		for name, test := range map[string]struct {
			uri   string
			parts []string
		}{
			"the SIP port over TCP": {"tcp://" + k.SIPAddr(), []string{"BINRPC over TCP", "check that this is the port of a socket of ctl", "and not one for SIP", "The reason is timeout"}},
			"the SIP port over UDP": {"udp://" + k.SIPAddr(), []string{"BINRPC over UDP", "and not one for SIP", "The reason is timeout"}},
			"another path":          {"http://" + k.SIPAddr() + "/nothing", []string{"answered 404", "calls jsonrpc_dispatch() for the path of this URL", "The reason is not_json_rpc"}},
			"a FIFO":                {"unix:" + k.Dir, []string{"is not a socket", "is a directory and not a socket: name a socket", "The reason is no_socket"}},
		} {
			report, up := checked(t, Users{Current: alice}, "-u", test.uri, "-t", "2s")
			contains(t, report, up, false, append(test.parts, "The other steps of the check need a reply.", "failed kamailio_up would be 0.")...)
			if strings.Contains(report, "Prometheus") {
				t.Errorf("%s: the report has a configuration of Prometheus:\n%s", name, report)
			}
		}
	})
}

// TestLiveFleet checks the targets of a file: one with two modules, one that only the check's user may reach, and one that is down.
func TestLiveFleet(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	file := writeFile(t, "fleet.yml", `
modules: {default: {methods: [auto]}, slow: {methods: [dlg.stats_active], sip: {sockets: auto}}}
targets:
  - {name: a, uri: '`+k.URI("unix")+`', modules: [default, slow]}
  - {name: b, uri: 'unix:/no/such/b'}
  - {name: c, uri: '`+k.URI("tcp")+`', xhttp_prom_url: 'http://`+k.SIPAddr()+`/metrics'}
`)
	service := &User{Name: "kamailio_exporter", UID: 12345, Groups: []int{12345}}
	report, up := checked(t, Users{Current: alice, Service: service}, "--config.file", file)
	contains(t, report, up, false,
		"Target a: "+k.URI("unix")+" ("+file+":4)", "Methods of module default", "Methods of module slow", "dlg.stats_active", "udp:"+k.SIPAddr()+" responded",
		"kamailio_exporter, the user of the packaged service, may not connect to it", `modparam("ctl", "mode", 0660)`,
		"failed /no/such/b: no such file or directory.", "If its socket is elsewhere, name it with uri of target b",
		"With sip: {sockets: auto} in module default", "ok     The page of xhttp_prom_url of target c was read.",
		"http_sd_configs:", "failed kamailio_up would be 0 for 1 of 3 targets: b", "failed The user of the packaged service may not connect, see step 1: a")
	report, up = checked(t, Users{Current: alice}, "--config.file", file, "--target", "a")
	contains(t, report, up, true, "http_sd_configs:", "ok     kamailio_up would be 1.")
	if strings.Contains(report, "Target b") {
		t.Errorf("--target a checks b:\n%s", report)
	}
}

// TestSocketWithoutServer has a socket that nothing listens on, in a directory with another one.
func TestSocketWithoutServer(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "check")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "dead"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	report, up := checked(t, Users{Current: alice}, "-u", "unix:"+filepath.Join(dir, "dead"))
	contains(t, report, up, false, dir+"/dead is a socket with mode", "connection refused", "Nothing listens there", "The reason is refused")
	report, up = checked(t, Users{Current: alice}, "-u", "unix:"+filepath.Join(dir, "nosuch"))
	contains(t, report, up, false, "There are other sockets: "+dir+"/dead", "The reason is no_socket")
}

// slow is the method that the server of TestHangingServer never answers.
const slow = "tm.stats"

// TestHangingServer has a server that never replies, and one that replies to all calls except one. A check takes at most three times
// the timeout, here with much more for a machine under load.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers bool
		parts   []string
	}{
		"no reply":     {false, []string{"The calls failed: ", "The reason is timeout", "The other steps of the check need a reply."}},
		"some replies": {true, []string{"ok     Kamailio replies by BINRPC over TCP.", "core.uptime", "failed tm.stats: ", "If Kamailio is only slow, raise --kamailio.timeout"}},
	} {
		server := binrpctest.NewServer(func(ctx context.Context, call rpc.Call) ([]any, error) {
			if !test.answers || call.Method == slow {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []any{rpc.Members{{Name: "uptime", Value: 5}}}, nil
		})
		defer server.Close()
		begin := time.Now()
		report, up := checked(t, Users{Current: alice}, "-u", server.URI, "-t", "1s", "-m", "core.uptime,"+slow)
		contains(t, report, up, test.answers, test.parts...)
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s: the check took %v", name, took)
		}
	}
}

// TestOrderOfTargets has servers that wait until as many are asked as can be. They must be those of the first targets.
func TestOrderOfTargets(t *testing.T) {
	t.Parallel()
	asked, release := make(chan int, 3*maxConcurrent), make(chan struct{})
	var text strings.Builder
	text.WriteString("targets:\n")
	for i := range 3 * maxConcurrent {
		var first sync.Once
		server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) {
			first.Do(func() { asked <- i })
			<-release
			return nil, nil
		})
		defer server.Close()
		fmt.Fprintf(&text, "- {name: t%d, uri: '%s'}\n", i, server.URI)
	}
	_, targets := parse(t, "--config.file", writeFile(t, "fleet.yml", text.String()), "-t", "1m", "-m", "core.uptime")
	reports := examineAll(t.Context(), targets, Users{Current: alice})
	for range maxConcurrent {
		if i := <-asked; i >= maxConcurrent {
			t.Errorf("target %d is among the first %d", i, maxConcurrent)
		}
	}
	close(release)
	for _, report := range reports {
		<-report
	}
}

// TestTimeIsOver has a server that replies to each method once. The check cannot measure them all.
func TestTimeIsOver(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	called := map[string]bool{}
	server := binrpctest.NewServer(func(ctx context.Context, call rpc.Call) ([]any, error) {
		mu.Lock()
		again := called[call.Method]
		called[call.Method] = true
		mu.Unlock()
		if again {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return []any{rpc.Members{{Name: "uptime", Value: 5}, {Name: "total", Value: 5}}}, nil
	})
	defer server.Close()
	report, up := checked(t, Users{Current: alice}, "-u", server.URI, "-t", "2s", "-m", "core.uptime,sl.stats,tm.stats,mqueue.get_sizes")
	contains(t, report, up, true, "Not measured, because the time was over: ", "tm.stats")
}
