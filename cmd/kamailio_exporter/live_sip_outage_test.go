//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

var update = flag.Bool("update", false, "write the tables of docs/sip.md anew")

// TestLiveSIPOutages stops processes of a real Kamailio that serves calls of SIPp, has its routing script hang, and gives it
// certificates that are not valid. RPC still answers. The series must show each outage within one scrape, and its end in the next
// one. The tables of docs/sip.md are made of these scrapes.
func TestLiveSIPOutages(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		certificates := newCertificates(t)
		k := lab.StartTest(t, lab.Options{Suite: suite, Config: certificates.config() + hangs, Route: hangsRoute})
		e := start(t, "--config.file", certificates.exporterConfig(t, k))
		startGateway(t, k, "busy_gateway.xml")
		startSIPp(t, "refused_caller.xml", k.SIPAddr(), "-r", "100", "-l", "1000000", "-recv_timeout", "5000", "-timeout", "300s")
		o := &outages{t: t, k: k, e: e}
		documented(t, suite, "certificates", certificates.table(e))
		o.run()
		documented(t, suite, "outages", o.table())
		documented(t, suite, "example", o.example)
	})
}

// hangs is the configuration for hangsRoute.
const hangs = `
loadmodule "cfgutils.so"
max_while_loops=0
`

// hangsRoute hangs or drops OPTIONS as long as a key of a hash table says so.
const hangsRoute = `
  if (is_method("OPTIONS")) {
    if ($sht(a=>mode) == "drop") exit;
    while ($sht(a=>mode) == "wait") { usleep("50000"); }
    while ($sht(a=>mode) == "spin") { $var(spins) = 1; }
  }`

// outages makes outages and keeps what the series show.
type outages struct {
	t       *testing.T
	k       *lab.Kamailio
	e       *exporter
	healthy page     // the latest scrape without an outage
	rows    []string // of the table in docs/sip.md
	example string   // lines of a scrape in docs/sip.md
}

// run makes all outages.
func (o *outages) run() {
	o.healthy = o.e.probe("auto")
	o.record("none", o.healthy)
	o.checkTimes()
	o.during("one of two receivers of UDP hangs", "auto", o.signaller("udp receiver child=0"))
	o.example = o.lines(o.during("the receivers of UDP hang", "auto", o.signaller("udp receiver")))
	o.during("the receivers of TCP hang", "auto", o.signaller("tcp receiver"))
	// The receivers of TCP keep the connections of earlier scrapes for some seconds.
	o.during("the main process of TCP hangs", "auto&module=new", o.signaller("tcp main"))
	o.during("the routing script waits, as for a slow database", "auto", o.switcher("wait"))
	o.during("the routing script spins, as on a lock", "auto", o.switcher("spin"))
	o.during("the routing script drops OPTIONS", "auto", o.switcher("drop"))
	o.record("no process listens at the URI", o.e.probe("nowhere"))
	o.awaitInterval()
	if err := o.k.Stop(); err != nil {
		o.t.Fatal(err)
	}
	o.record("Kamailio is stopped", o.e.probe("auto"))
}

// during scrapes a target once during an outage, and Kamailio once after its end. change begins or ends the outage.
func (o *outages) during(outage, target string, change func(begin bool)) page {
	o.t.Helper()
	o.awaitInterval()
	change(true)
	p := o.e.probe(target)
	o.record(outage, p)
	change(false)
	o.awaitServed()
	o.checkHealthy(outage)
	return p
}

// signaller returns a function that stops the processes whose description has a prefix, or has them continue.
func (o *outages) signaller(prefix string) func(stop bool) {
	return func(stop bool) {
		o.t.Helper()
		signal := syscall.SIGCONT
		if stop {
			signal = syscall.SIGSTOP
		}
		out, err := o.k.Kamcmd(o.t.Context(), "core.psx")
		if err != nil {
			o.t.Fatal(err)
		}
		found := regexp.MustCompile(`PID: (\d+)\s+DSC: `+prefix).FindAllStringSubmatch(out, -1)
		if len(found) == 0 {
			o.t.Fatalf("no process %q in\n%s", prefix, out)
		}
		for _, match := range found {
			pid, err := strconv.Atoi(match[1])
			if err != nil {
				o.t.Fatal(err)
			}
			if err := syscall.Kill(pid, signal); err != nil {
				o.t.Fatal(err)
			}
		}
	}
}

// switcher returns a function that sets and unsets the mode of hangsRoute.
func (o *outages) switcher(mode string) func(set bool) {
	return func(set bool) {
		o.t.Helper()
		mode := mode
		if !set {
			mode = "none"
		}
		if out, err := o.k.Kamcmd(o.t.Context(), "htable.sets", "a", "mode", mode); err != nil {
			o.t.Fatalf("%v: %s", err, out)
		}
	}
}

// awaitInterval waits until a scrape probes again: within a second it shows the last probe.
func (o *outages) awaitInterval() { time.Sleep(time.Second) }

// probe gets the metrics of a target. More parameters may follow the name.
func (e *exporter) probe(target string) page {
	e.t.Helper()
	response, body := e.get("/probe?target=" + target)
	if response.StatusCode != http.StatusOK {
		e.t.Fatalf("status %s: %s", response.Status, body)
	}
	return parsePage(e.t, body)
}

// awaitServed waits until Kamailio responds, which it does when it has read the messages that arrived during an outage.
func (o *outages) awaitServed() {
	o.t.Helper()
	socket, err := sipprobe.ParseURI("sip:" + o.k.SIPAddr())
	if err != nil {
		o.t.Fatal(err)
	}
	prober := sipprobe.New(sipprobe.Options{UserAgent: "test"})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(o.t.Context(), time.Second)
		result := prober.Probe(ctx, socket)
		cancel()
		if result.Failure == "" {
			return
		}
	}
	o.t.Fatalf("Kamailio does not respond over UDP %v after the end of an outage", patience)
}

// checkTimes checks the series of a scrape whose values vary.
func (o *outages) checkTimes() {
	o.t.Helper()
	for _, s := range o.sockets() {
		for name, want := range map[string]bool{
			"response_seconds": true, "connect_seconds": s.transport != "udp", "handshake_seconds": s.transport == "tls",
		} {
			if got := o.healthy["kamailio_sip_"+name+s.labels()]; got > 0 != want {
				o.t.Errorf("%v: %s is %v", s, name, got)
			}
		}
	}
}

// checkHealthy scrapes once, which must show no trace of an outage that has ended.
func (o *outages) checkHealthy(outage string) {
	o.t.Helper()
	const calls = `kamailio_core_received_requests_total{method="INVITE"}`
	p := o.e.probe("auto")
	o.checkRPC(outage+", after the end", p)
	if p[calls] <= o.healthy[calls] {
		o.t.Errorf("%s: SIPp made no calls", outage)
	}
	for _, s := range o.sockets() {
		if got, want := s.cells(p), s.cells(o.healthy); got.up != "1" || got.code != want.code || got.failure != "" {
			o.t.Errorf("%s: one scrape after the end, %v is %v", outage, s, got)
		}
	}
	o.healthy = p
}

// checkRPC checks that RPC is not affected.
func (o *outages) checkRPC(outage string, p page) {
	o.t.Helper()
	p.check(o.t, "kamailio_up", 1)
	for series := range o.healthy {
		if strings.HasPrefix(series, "kamailio_exporter_collector_success{") && p[series] != 1 {
			o.t.Errorf("%s: %s is %v", outage, series, p[series])
		}
	}
}

// sockets returns the sockets of Kamailio whose series are shown.
func (o *outages) sockets() []sipSocket {
	return []sipSocket{{o.k.SIPAddr(), "udp"}, {o.k.SIPAddr(), "tcp"}, {o.k.TLSAddr(), "tls"}}
}

// record adds the rows of an outage. Sockets whose cells are equal share a row.
func (o *outages) record(outage string, p page) {
	o.t.Helper()
	sockets := o.sockets()
	switch outage {
	case "Kamailio is stopped":
	case "no process listens at the URI":
		sockets = []sipSocket{{nowhere, "udp"}, {nowhere, "tcp"}, {nowhere, "tls"}}
		fallthrough
	default:
		o.checkRPC(outage, p)
	}
	var transports []string
	for i, s := range sockets {
		transports = append(transports, s.transport)
		if i+1 < len(sockets) && sockets[i+1].cells(p) == s.cells(p) {
			continue
		}
		c := s.cells(p)
		o.rows = append(o.rows, fmt.Sprintf("| %s | %v | %s | %s | %s | %s | %s |",
			outage, p["kamailio_up"], strings.Join(transports, ", "), c.up, c.code, c.retransmissions, c.failure))
		transports = nil
	}
}

// table returns the table of docs/sip.md.
func (o *outages) table() string {
	return "| outage | `kamailio_up` | `transport` | `kamailio_sip_up` | `kamailio_sip_response_code` | `kamailio_sip_retransmissions` | `kamailio_sip_failure` |\n" +
		"|---|---|---|---|---|---|---|\n" + strings.Join(o.rows, "\n") + "\n"
}

// lines returns series of a scrape as docs/sip.md shows them, with the ports of SIP.
func (o *outages) lines(p page) string {
	ports := strings.NewReplacer(o.k.SIPAddr(), "127.0.0.1:5060", o.k.TLSAddr(), "127.0.0.1:5061")
	shown := regexp.MustCompile(`^kamailio_(up|sip_(up|response_code|retransmissions|failure))({.*socket="127.0.0.1:506[01]".*)?$`)
	var lines []string
	for series, value := range p {
		series = ports.Replace(series)
		if shown.MatchString(series) && !(strings.HasPrefix(series, "kamailio_sip_failure") && value == 0) {
			lines = append(lines, fmt.Sprintf("%s %v\n", series, value))
		}
	}
	slices.Sort(lines)
	return "```text\n" + strings.Join(lines, "") + "```\n"
}

// sipSocket is a socket as in the labels of kamailio_sip_up.
type sipSocket struct{ address, transport string }

// sipCells are values of the series of a socket, "" for those that are not on the page.
type sipCells struct{ up, code, retransmissions, failure string }

// labels returns the labels of the series of the socket.
func (s sipSocket) labels() string {
	return fmt.Sprintf("{socket=%q,transport=%q}", s.address, s.transport)
}

// cells returns the values of the series of the socket.
func (s sipSocket) cells(p page) (c sipCells) {
	labels := s.labels()
	c.up, c.code, c.retransmissions = p.text("kamailio_sip_up"+labels), p.text("kamailio_sip_response_code"+labels), p.text("kamailio_sip_retransmissions"+labels)
	for _, reason := range sipprobe.Failures {
		if p[fmt.Sprintf("kamailio_sip_failure{reason=%q,%s", reason, labels[1:])] == 1 {
			c.failure += "`" + string(reason) + "`"
		}
	}
	if c.failure == "" && c.retransmissions != "" {
		c.retransmissions = "0" // a loaded machine may need some
	}
	return c
}

// text returns the value of a series, "" if it is not on the page.
func (p page) text(series string) string {
	if value, ok := p[series]; ok {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return ""
}

// documented compares the part of docs/sip.md between two marks. With -update, it writes that part.
func documented(t *testing.T, suite, mark, want string) {
	t.Helper()
	const file = "../../docs/sip.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "<!-- "+mark+" -->\n")
	got, after, ended := strings.Cut(rest, "<!-- /"+mark+" -->")
	switch {
	case !found || !ended:
		t.Errorf("docs/sip.md has no marks %q", mark)
	case got == want:
	case *update && suite == lab.Bookworm:
		if err := os.WriteFile(file, []byte(before+"<!-- "+mark+" -->\n"+want+"<!-- /"+mark+" -->"+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/sip.md differs from what Kamailio of %s shows: run go test ./cmd/kamailio_exporter -run TestLiveSIPOutages -update, and look at what it changed. Want\n%s", suite, want)
	}
}
