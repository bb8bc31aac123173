//go:build linux

package mixin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// fault is something that breaks, and the alerts that it causes. Alerts are named by their instance and their name.
type fault struct {
	name       string
	begin, end func()
	alerts     []string            // these arrive
	inhibited  map[string][]string // these do not arrive, because the one of the key explains them
}

// TestLive makes faults in real Kamailios, and checks that alerts arrive at the receiver of a real Alertmanager, that those which
// other alerts explain do not, and that all are resolved after the fault. It takes the files as they are, except that their durations are
// divided by 60, and the interval of Prometheus is 1 s. The environment variable PROMETHEUS names another Prometheus than Debian's.
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real Kamailios, Prometheus and Alertmanager; run without -short")
	}
	t.Parallel()
	l := startLive(t)
	faults := l.faults()
	checkTable(t, "live", tableOf(faults))
	for _, f := range faults {
		t.Logf("%s %s: begins", time.Now().Format(time.TimeOnly), f.name)
		f.begin()
	}
	for _, f := range faults {
		l.await(t, "firing", f.alerts...)
		for by, keys := range f.inhibited {
			for _, key := range keys {
				l.awaitInhibited(t, key, by)
			}
		}
		t.Logf("%s %s: alerts %q, inhibited %v", time.Now().Format(time.TimeOnly), f.name, f.alerts, f.inhibited)
	}
	l.checkNotices(faults)
	for _, f := range faults {
		f.end()
	}
	for _, f := range faults {
		l.await(t, "resolved", f.alerts...)
		t.Logf("%s %s: resolved", time.Now().Format(time.TimeOnly), f.name)
	}
}

// tableOf returns a table of the faults and their alerts.
func tableOf(faults []fault) string {
	var table strings.Builder
	table.WriteString("| fault | alerts that arrive | alerts that are inhibited |\n|---|---|---|\n")
	for _, f := range faults {
		var inhibited []string
		for _, keys := range f.inhibited {
			inhibited = append(inhibited, keys...)
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", f.name, alertsOf(f.alerts), alertsOf(inhibited))
	}
	return table.String()
}

// alertsOf returns the names of alerts without their instances, for a cell of a table.
func alertsOf(keys []string) string {
	var names []string
	for _, key := range keys {
		_, name, _ := strings.Cut(key, " ")
		names = append(names, "`"+name+"`")
	}
	return strings.Join(names, ", ")
}

// live has the Kamailios that break.
type live struct {
	*stack
	t *testing.T

	// edge and core are DMQ peers. Each has a gateway. carrier is where core registers, and where phones register.
	edge, core, carrier, edgeGateway, coreGateway *lab.Kamailio
	// sip and memory break by themselves.
	sip, memory *lab.Kamailio

	authority authority
	other     string // the address of a second exporter, which is stopped
	stopOther func()
	killed    int // the number of notices before edge was killed
}

func startLive(t *testing.T) *live {
	t.Helper()
	l := &live{t: t, authority: newAuthority(t)}
	start := func(options lab.Options) *lab.Kamailio { return lab.StartTest(t, options) }
	l.edgeGateway, l.coreGateway = start(lab.Options{Minimal: true}), start(lab.Options{Minimal: true})
	l.sip = start(lab.Options{Minimal: true, Config: "tcp_max_connections=16\n"})
	l.carrier = start(lab.Options{NoDestinations: true, Config: `
modparam("registrar", "max_contacts", 1)
modparam("registrar", "min_expires", 1)
modparam("tls", "config", "` + l.authority.file("tls.cfg") + `")
loadmodule "tcpops.so"
`, Route: `
  # The exporter keeps a connection over TLS for ten minutes, and sees a new certificate after that.
  if (proto == TLS) { sl_send_reply("200", "OK"); tcp_close_connection(); exit; }
  if (is_method("REGISTER") && $fU == "trunk" && $shv(refuse) == 1) { sl_send_reply("403", "Forbidden"); exit; }`})
	edge, core := freePort(t), freePort(t)
	l.edge = start(lab.Options{SIPPort: edge, Config: l.peer(core, fmt.Sprintf("1 sip:%s\n1 sip:127.0.0.1:%d\n", l.edgeGateway.SIPAddr(), core))})
	l.core = start(lab.Options{
		SIPPort: core, Config: l.peer(edge, "2 sip:"+l.coreGateway.SIPAddr()+"\n") + `modparam("uac", "reg_timer_interval", 1)`,
		Rows: map[string]string{"uacreg": fmt.Sprintf("3:trunk:trunk:local.example:trunk:carrier.example:carrier.example:trunk:secret:"+
			"0123456789abcdef0123456789abcdef:sip\\:%s:6:0:0:127.0.0.1\\:%d:udp\\:127.0.0.1\\:%[2]d\n",
			strings.Replace(l.carrier.SIPAddr(), ":", "\\:", 1), core)},
	})
	l.memory = start(lab.Options{NoDestinations: true, SharedMemory: 32, Config: `
modparam("htable", "htable", "fill=>size=8;")
`})
	for _, k := range []*lab.Kamailio{l.carrier, l.edge, l.core, l.memory} {
		l.rpc(k, "uac.reg_disable", "l_uuid", "u1") // its server does not exist
		if k != l.memory {
			l.rpc(k, "rtpengine.enable", "all", "0") // nor do these
		}
	}
	l.other = "127.0.0.1:" + strconv.Itoa(freePort(t))
	l.stack = startStack(t, l.config(), fmt.Sprintf(`- {job_name: kamailio-other, static_configs: [{targets: [%q], labels: {instance: other}}]}`, l.other))
	l.startOther()
	l.awaitSeries(t, `count(kamailio_up == 1) == 6 and on () kamailio_uac_registration_up{l_uuid="trunk"} == 1`)
	l.awaitSeries(t, `count(kamailio_dispatcher_destination_state{state="active"} == 1) == 3`)
	l.awaitSeries(t, `count(kamailio_dmq_node_state{state="active",instance=~"edge|core"} == 1) == 4`)
	return l
}

// config returns the configuration of the exporter.
func (l *live) config() string {
	return fmt.Sprintf(`
modules:
  default: {methods: [auto]}
  probed: {methods: [auto], sip: {sockets: auto, timeout: 400ms, ca_file: %q}}
targets:
- {name: sip, uri: %q, modules: [probed], sip: ["sip:%s"]}
- {name: carrier, uri: %q, modules: [probed], sip: ["sips:%s"]}
- {name: edge, uri: %q}
- {name: core, uri: %q}
- {name: memory, uri: %q}
`, l.authority.file("ca.pem"), l.sip.URI("unix"), l.sip.SIPAddr(), l.carrier.URI("unix"), l.carrier.TLSAddr(),
		l.edge.URI("unix"), l.core.URI("unix"), l.memory.URI("unix"))
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// peer returns the configuration of a Kamailio with a DMQ peer and destinations. It notices within seconds that they do not reply.
func (l *live) peer(port int, destinations string) string {
	list := filepath.Join(l.t.TempDir(), "dispatcher.list")
	writeFile(l.t, list, destinations)
	return fmt.Sprintf(`
modparam("tm", "fr_timer", 1000)
modparam("dispatcher", "list_file", %q)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dmq", "notification_address", "sip:127.0.0.1:%d")
modparam("dmq", "ping_interval", 5)
`, list, port)
}

// faults returns all faults. Kamailio is killed last, when its gateway has gone down and up.
func (l *live) faults() []fault {
	phones, pinger := l.storm("phone.xml", l.carrier), l.storm("pinger.xml", l.sip)
	connections := &connections{t: l.t, address: l.sip.SIPAddr()}
	return []fault{
		{
			name:      "RTP proxies are down",
			begin:     func() {}, // they have never run
			end:       func() { l.rpc(l.memory, "rtpengine.enable", "all", "0") },
			alerts:    []string{"memory KamailioRTPProxiesDown"},
			inhibited: map[string][]string{"KamailioRTPProxiesDown": {"memory KamailioRTPProxyDown"}},
		},
		{
			name:      "shared memory is filled",
			begin:     l.fill,
			end:       func() { l.rpc(l.memory, "htable.flush", "fill") },
			alerts:    []string{"memory KamailioSharedMemoryShort"},
			inhibited: map[string][]string{"KamailioSharedMemoryShort": {"memory KamailioSharedMemoryFillsUp"}},
		},
		{
			name:      "a TLS certificate ends in a day",
			begin:     func() { l.renew(24 * time.Hour) },
			end:       func() { l.renew(365 * 24 * time.Hour) },
			alerts:    []string{"carrier KamailioCertificateEnds"},
			inhibited: map[string][]string{"KamailioCertificateEnds": {"carrier KamailioCertificateEndsSoon"}},
		},
		{
			name:      "the only gateway of a set is killed",
			begin:     func() { l.check(l.coreGateway.Kill()) },
			end:       func() { l.check(l.coreGateway.Restart(l.t.Context())) },
			alerts:    []string{"core KamailioDispatcherSetDown"},
			inhibited: map[string][]string{"KamailioDispatcherSetDown": {"core KamailioDestinationDown"}},
		},
		{
			name:  "the carrier refuses the registration",
			begin: func() { l.rpc(l.carrier, "pv.shvSet", "refuse", "int", "1") },
			end: func() {
				l.rpc(l.carrier, "pv.shvSet", "refuse", "int", "0")
				l.rpc(l.core, "uac.reg_enable", "l_uuid", "trunk")
			},
			alerts: []string{"core KamailioUpstreamRegistrationLost"},
		},
		{
			name: "a storm of registrations with too many contacts", begin: phones.start, end: func() { phones.stop() },
			alerts: []string{"carrier KamailioRegistrationsRejected", "carrier KamailioStatelessErrorsHigh"},
		},
		{
			name:   "the UDP receivers are stopped in a storm of requests",
			begin:  func() { l.signalReceivers(syscall.SIGSTOP); pinger.start() },
			end:    func() { pinger.stop(); l.signalReceivers(syscall.SIGCONT) },
			alerts: []string{"sip KamailioSIPDead"},
			inhibited: map[string][]string{
				"KamailioSIPDead": {"sip KamailioReceiveQueueGrowing", "sip KamailioPacketsDropped"},
			},
		},
		{
			name: "too many TCP connections", begin: connections.start, end: func() { connections.stop() },
			alerts:    []string{"sip KamailioTCPConnectionsRejected"},
			inhibited: map[string][]string{"KamailioTCPConnectionsRejected": {"sip KamailioTCPConnectionsNearLimit"}},
		},
		{
			name:  "the exporter's configuration is wrong",
			begin: func() { l.reload("targets: [{name: sip}]\n", http.StatusInternalServerError) },
			end:   func() { l.reload(l.config(), http.StatusOK) }, alerts: []string{"exporter KamailioExporterReloadFailed"},
		},
		{
			name: "an exporter is stopped", begin: func() { l.stopOther() }, end: l.startOther,
			alerts: []string{"other KamailioNotScraped"},
		},
		{
			name: "a gateway goes down and up twice", begin: l.flap, end: func() {},
			alerts: []string{"edge KamailioDestinationFlapping"},
		},
		{
			name:      "Kamailio is killed",
			begin:     l.kill,
			end:       func() { l.check(l.edge.Restart(l.t.Context())) },
			alerts:    []string{"edge KamailioDown", "core KamailioDMQNodeGone"},
			inhibited: map[string][]string{"KamailioDown": {"edge KamailioDestinationFlapping"}},
		},
	}
}

func (l *live) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// rpc calls a method of a Kamailio with kamcmd.
func (l *live) rpc(k *lab.Kamailio, args ...string) string {
	l.t.Helper()
	out, err := k.Kamcmd(l.t.Context(), args...)
	if err != nil || strings.HasPrefix(out, "error:") {
		l.t.Fatalf("kamcmd %v: %v\n%s", args, err, out)
	}
	return out
}

// checkNotices checks that no inhibited alert has arrived, and that only KamailioDown has arrived of the killed Kamailio. Those of edge
// may have arrived before.
func (l *live) checkNotices(faults []fault) {
	l.t.Helper()
	explained := map[string]string{}
	for _, f := range faults {
		for by, keys := range f.inhibited {
			for _, key := range keys {
				explained[key] = by
			}
		}
	}
	notices, _ := l.all()
	for i, n := range notices {
		ofEdge := strings.HasPrefix(n.key, "edge ")
		if n.status != "firing" || ofEdge && i < l.killed {
			continue
		}
		if by := explained[n.key]; by != "" {
			l.t.Errorf("%s arrived, although %s explains it", n.key, by)
		}
		if ofEdge && n.key != "edge KamailioDown" {
			l.t.Errorf("%s arrived after Kamailio was killed", n.key)
		}
	}
}

// fill fills shared memory with values of a hash table, until less than 8% is free.
func (l *live) fill() {
	l.t.Helper()
	client, err := dial.New(l.memory.URI("unix"))
	l.check(err)
	defer client.Close()
	value := strings.Repeat("x", 30000)
	for i := 0; ; i++ {
		memory, err := rpc.One(l.t.Context(), client, "core.shmmem")
		l.check(err)
		free, _ := memory.Get("free").Float()
		total, _ := memory.Get("total").Float()
		if free < 0.08*total {
			return
		}
		_, err = rpc.One(l.t.Context(), client, "htable.sets", "fill", strconv.Itoa(i), value)
		l.check(err)
	}
}

// renew makes Kamailio use a new certificate, as a program that renews certificates does.
//
// Kamailio 5.6 cannot load a certificate while another of its processes, here for a probe of the exporter, makes a connection over TLS.
func (l *live) renew(validity time.Duration) {
	l.t.Helper()
	l.authority.issue(l.t, validity)
	awaitTrue(l.t, "tls.reload", func() bool {
		out, err := l.carrier.Kamcmd(l.t.Context(), "tls.reload")
		return err == nil && !strings.HasPrefix(out, "error:")
	})
}

// signalReceivers sends a signal to the processes of sip that receive over UDP.
func (l *live) signalReceivers(signal syscall.Signal) {
	l.t.Helper()
	found := regexp.MustCompile(`PID: (\d+)\s+DSC: udp receiver`).FindAllStringSubmatch(l.rpc(l.sip, "core.psx"), -1)
	if len(found) == 0 {
		l.t.Fatal("no receivers")
	}
	for _, match := range found {
		pid, err := strconv.Atoi(match[1])
		l.check(err)
		l.check(syscall.Kill(pid, signal))
	}
}

// reload reloads the configuration of the exporter, which has a status.
func (l *live) reload(config string, status int) {
	l.t.Helper()
	writeFile(l.t, l.configFile(), config)
	if got := request(l.t, http.MethodPost, l.exporter.URL+"/-/reload", nil); got != status {
		l.t.Fatalf("reload has status %d, want %d", got, status)
	}
}

// startOther starts the second exporter.
func (l *live) startOther() {
	l.t.Helper()
	l.stopOther = startServer(l.t, l.program, "--web.listen-address="+l.other, "-u", l.carrier.URI("unix"), "-m", "core.uptime").Stop
}

// flap has a gateway of edge go down and up twice. The other one stays up.
func (l *live) flap() {
	l.t.Helper()
	const series = `kamailio_dispatcher_destination_state{instance="edge",uri="sip:%s",state=%q} == 1`
	for range 2 {
		l.check(l.edgeGateway.Pause())
		l.awaitSeries(l.t, fmt.Sprintf(series, l.edgeGateway.SIPAddr(), "inactive"))
		l.check(l.edgeGateway.Resume())
		l.awaitSeries(l.t, fmt.Sprintf(series, l.edgeGateway.SIPAddr(), "active"))
	}
}

// kill kills edge when it has an alert.
func (l *live) kill() {
	l.t.Helper()
	l.await(l.t, "firing", "edge KamailioDestinationFlapping")
	notices, _ := l.all()
	l.killed = len(notices)
	l.check(l.edge.Kill())
}

// storm is a SIPp that sends 200 requests a second.
type storm struct {
	t    *testing.T
	args []string
	stop func()
}

// storm returns a storm of requests of a scenario to a Kamailio.
func (l *live) storm(scenario string, to *lab.Kamailio) *storm {
	l.t.Helper()
	file, err := filepath.Abs(filepath.Join("../cmd/kamailio_exporter/testdata/sipp", scenario))
	l.check(err)
	return &storm{t: l.t, args: []string{
		"-sf", file, "-i", "127.0.0.1", "-nostdin", "-nr", "-r", "200", "-m", "1000000", "-l", "100000", "-key", "expires", "60", to.SIPAddr(),
	}}
}

func (s *storm) start() {
	s.t.Helper()
	program, err := lab.Tool(s.t.Context(), "sipp")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	cmd := exec.CommandContext(ctx, program, s.args...)
	cmd.Dir, cmd.WaitDelay = s.t.TempDir(), time.Second
	process, err := child.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.stop = func() {
		cancel()
		<-process.Done()
	}
	s.t.Cleanup(s.stop)
}

// connections are TCP connections to an address that has too few.
type connections struct {
	t       *testing.T
	address string
	stop    func()
}

// start opens ten connections a second until the end.
func (c *connections) start() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address); err == nil {
				defer conn.Close() // at the end of the storm
			}
		}
	})
	c.stop = func() {
		cancel()
		running.Wait()
	}
	c.t.Cleanup(c.stop)
}
