//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"net"
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
		startSIPp(t, "refused_caller.xml", k.SIPAddr(), "-r", "50", "-l", "1000000", "-recv_timeout", "5000", "-timeout", "300s")
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

// hangsRoute hangs, or drops OPTIONS, as long as a key of a hash table says so.
const hangsRoute = `
  if (is_method("OPTIONS") && $sht(a=>mode) == "drop") exit;
  while ($sht(a=>mode) == "wait") { usleep("3000000"); }
  while ($sht(a=>mode) == "spin") {
    $var(spins) = 0;
    while ($var(spins) < 100000) { $var(spins) = $var(spins) + 1; }
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

// outage is an outage of SIP.
type outage struct {
	what   string
	target string // to scrape
	silent string // the transports over which Kamailio does not respond
	hang   bool   // reports whether the processes of these transports hang
	change func(begin bool)
	before page // the latest scrape before it
	down   bool // Kamailio does not reply to RPC either
}

// run makes all outages.
func (o *outages) run() {
	o.healthy = o.e.probe("auto")
	o.record(outage{what: "none"}, o.healthy)
	o.checkTimes()
	for _, each := range []outage{
		{what: "one of two receivers of UDP hangs", target: "auto", hang: true, change: o.signaller("udp receiver child=0")},
		{what: "the receivers of UDP hang", target: "auto", silent: "udp", hang: true, change: func(begin bool) {
			o.signaller("udp receiver")(begin)
			if begin {
				o.flood()
			}
		}},
		{what: "the receivers of TCP hang", target: "auto", silent: "tcp tls", hang: true, change: o.signaller("tcp receiver")},
		// The receivers of TCP keep the connections of earlier scrapes for some seconds.
		{what: "the main process of TCP hangs", target: "auto&module=new", silent: "tcp tls", hang: true, change: func(begin bool) {
			o.signaller("tcp main")(begin)
			if begin {
				o.connect()
			}
		}},
		{what: "the routing script waits, as for a slow database", target: "auto", silent: "udp tcp tls", hang: true, change: o.switcher("wait")},
		{what: "the routing script spins, as on a lock", target: "auto", silent: "udp tcp tls", hang: true, change: o.switcher("spin")},
		{what: "the routing script drops OPTIONS", target: "auto", silent: "udp tcp tls", change: o.switcher("drop")},
	} {
		each.before = o.healthy
		each.change(true)
		o.awaitInterval()
		p := o.scrape(each.target, each.silent)
		o.record(each, p)
		if each.silent == "udp" {
			o.example = o.lines(p)
		}
		each.change(false)
		o.awaitServed()
		o.checkHealthy(each.what)
	}
	o.record(outage{what: "no process listens at the URI", target: "nowhere"}, o.e.probe("nowhere"))
	o.awaitInterval()
	if err := o.k.Stop(); err != nil {
		o.t.Fatal(err)
	}
	o.record(outage{what: "Kamailio is stopped", down: true}, o.e.probe("auto"))
}

// scrape scrapes a target once, or again if this machine is too busy for two seconds: Kamailio does not respond over UDP although that
// is not silent, or not all retransmissions are sent.
func (o *outages) scrape(target, silent string) (p page) {
	o.t.Helper()
	for range 5 {
		p = o.e.probe(target)
		udp := sipSocket{o.k.SIPAddr(), "udp"}.cells(p, outage{})
		if strings.Contains(silent, "udp") && udp.retransmissions == "2" || !strings.Contains(silent, "udp") && udp.up == "1" {
			break
		}
	}
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

// flood sends packets to Kamailio until the queue of its UDP socket is full.
func (o *outages) flood() {
	o.t.Helper()
	conn, err := net.Dial("udp", o.k.SIPAddr())
	if err != nil {
		o.t.Fatal(err)
	}
	defer conn.Close()
	for range 2000 { // more than two megabytes, with what the kernel adds
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			o.t.Fatal(err)
		}
	}
}

// connect makes connections to Kamailio that are closed at the end of the test.
func (o *outages) connect() {
	o.t.Helper()
	for _, address := range slices.Repeat([]string{o.k.SIPAddr(), o.k.TLSAddr()}, longAcceptQueue) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			o.t.Fatal(err)
		}
		o.t.Cleanup(func() { _ = conn.Close() })
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
		if result.Failure == "" && result.Retransmissions == 0 {
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
func (o *outages) checkHealthy(after string) {
	o.t.Helper()
	const calls = `kamailio_core_received_requests_total{method="INVITE"}`
	p := o.scrape("auto", "")
	o.checkRPC(after+", after the end", p)
	if p[calls] <= o.healthy[calls] {
		o.t.Errorf("%s: SIPp made no calls", after)
	}
	for _, s := range o.sockets() {
		if got, want := s.cells(p, outage{}), s.cells(o.healthy, outage{}); got.up != "1" || got.code != want.code || got.failure != "" {
			o.t.Errorf("%s: one scrape after the end, %v is %v", after, s, got)
		}
	}
	o.healthy = p
}

// checkRPC checks that RPC is not affected.
func (o *outages) checkRPC(during string, p page) {
	o.t.Helper()
	p.check(o.t, "kamailio_up", 1)
	for series := range o.healthy {
		if strings.HasPrefix(series, "kamailio_exporter_collector_success{") && p[series] != 1 {
			o.t.Errorf("%s: %s is %v", during, series, p[series])
		}
	}
}

// sockets returns the sockets of Kamailio whose series are shown.
func (o *outages) sockets() []sipSocket {
	return []sipSocket{{o.k.SIPAddr(), "udp"}, {o.k.SIPAddr(), "tcp"}, {o.k.TLSAddr(), "tls"}}
}

// record adds the rows of an outage. Sockets whose cells are equal share a row.
func (o *outages) record(during outage, p page) {
	o.t.Helper()
	if !during.down {
		o.checkRPC(during.what, p)
	}
	sockets := o.sockets()
	if during.target == "nowhere" {
		sockets = []sipSocket{{nowhere, "udp"}, {nowhere, "tcp"}, {nowhere, "tls"}}
	}
	var transports []string
	for i, s := range sockets {
		transports = append(transports, s.transport)
		c := s.cells(p, during)
		if i+1 < len(sockets) && sockets[i+1].cells(p, during) == c {
			continue
		}
		o.rows = append(o.rows, fmt.Sprintf("| %s | %v | %s | %s | %s | %s | %s | %s | %s | %s | %s |",
			during.what, p["kamailio_up"], strings.Join(transports, ", "), c.up, c.code, c.retransmissions, c.failure, c.processes, c.receiveQueue, c.dropped, c.acceptQueue))
		transports = nil
	}
}

// table returns the table of docs/sip.md.
func (o *outages) table() string {
	return "| outage | `kamailio_up` | `transport` | `kamailio_sip_up` | `kamailio_sip_response_code` | `kamailio_sip_retransmissions` | `kamailio_sip_failure` | " +
		"`kamailio_process_states` | `kamailio_socket_receive_queue_bytes` | `kamailio_socket_dropped_packets_total` | `kamailio_socket_accept_queue` |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|\n" + strings.Join(o.rows, "\n") + "\n"
}

// lines returns series of a scrape as docs/sip.md shows them, with the ports of SIP.
func (o *outages) lines(p page) string {
	ports := strings.NewReplacer(o.k.SIPAddr(), "127.0.0.1:5060", o.k.TLSAddr(), "127.0.0.1:5061")
	shown := regexp.MustCompile(`^kamailio_(up|sip_(up|response_code|retransmissions|failure)({.*socket="127.0.0.1:506[01]".*)|process_states{role="udp receiver".*)$`)
	var lines []string
	for series, value := range p {
		series = ports.Replace(series)
		if shown.MatchString(series) && (value != 0 || strings.Contains(series, "_up")) {
			lines = append(lines, fmt.Sprintf("%s %v\n", series, value))
		}
	}
	slices.Sort(lines)
	return "```text\n" + strings.Join(lines, "") + "```\n"
}

// sipSocket is a socket as in the labels of kamailio_sip_up.
type sipSocket struct{ address, transport string }

// sipCells are values of the series of a socket, "" for those that are not on the page or not shown.
type sipCells struct{ up, code, retransmissions, failure, processes, receiveQueue, dropped, acceptQueue string }

const (
	// longReceiveQueue is the size in bytes of 16 calls.
	longReceiveQueue = 20000
	// longAcceptQueue is a number of connections that are not accepted if Kamailio accepts none.
	longAcceptQueue = 3
)

// labels returns the labels of the series of the socket.
func (s sipSocket) labels() string {
	return fmt.Sprintf("{socket=%q,transport=%q}", s.address, s.transport)
}

// cells returns the values of the series of the socket during an outage. Processes that do not hang run and sleep in turn, and read
// their queue sooner or later.
func (s sipSocket) cells(p page, during outage) (c sipCells) {
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
	hangs := during.hang && strings.Contains(during.silent, s.transport)
	if hangs && p["kamailio_socket_receive_queue_bytes"+labels] > longReceiveQueue {
		c.receiveQueue = fmt.Sprintf("above %d", longReceiveQueue)
	}
	const dropped = "kamailio_socket_dropped_packets_total"
	if hangs && p[dropped+labels] > during.before[dropped+labels] {
		c.dropped = "grows"
	}
	if p["kamailio_socket_accept_queue"+labels] >= longAcceptQueue {
		c.acceptQueue = fmt.Sprintf("%d or more", longAcceptQueue)
	}
	c.processes = s.processes(p, hangs && s.transport == "udp") // there are no calls over TCP that hang
	return c
}

// processes returns the number of processes that serve the socket and are stopped. If there is none and hang is true, it returns
// whether processes are running or all are sleeping.
func (s sipSocket) processes(p page, hang bool) string {
	roles := []string{"udp receiver"}
	if s.transport != "udp" {
		roles = []string{"tcp receiver", "tcp main process"}
	}
	for _, role := range roles {
		for _, state := range []string{"stopped", "running", "sleeping"} {
			number := p[fmt.Sprintf("kamailio_process_states{role=%q,state=%q}", role, state)]
			switch {
			case number == 0:
			case state == "stopped":
				return fmt.Sprintf("`%s`: %v `%s`", role, number, state)
			case hang:
				return fmt.Sprintf("`%s`: `%s`", role, state)
			}
		}
	}
	return ""
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
		for line := range strings.Lines(want) {
			if !strings.Contains(got, line) {
				t.Errorf("docs/sip.md does not have what Kamailio of %s shows: %s", suite, line)
			}
		}
		t.Error("run go test ./cmd/kamailio_exporter -run TestLiveSIPOutages -update, and look at what it changed")
	}
}
