//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// TestLivePair has two Kamailios that are DMQ peers, replicate a hash table, ping each other as dispatcher destinations, and use
// the same two RTPEngines. One exporter scrapes both. A Kamailio and an RTPEngine are killed and started again: the series of
// both Kamailios must have each change.
func TestLivePair(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		p := startPair(t, suite)
		p.awaitViews("at the start", true, 0)
		p.rpc(0, "htable.seti", "shared", "calls", "17")
		p.awaitViews("after a change", true, 17)
		started := p.started(1)

		if err := p.nodes[1].Kill(); err != nil {
			t.Fatal(err)
		}
		p.engines[1].stop()
		p.rpc(0, "htable.seti", "shared", "calls", "18")
		p.awaitViews("after the kill", false, 18)

		p.engines[1] = startRTPEngine(t, p.engines[1].address)
		if err := p.nodes[1].Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if suite == lab.Bookworm { // before 6.0, a ping does not enable an RTPEngine again
			p.rpc(0, "rtpengine.enable", "udp:"+p.engines[1].address, "1")
		}
		p.awaitViews("after the restart", true, 18)
		if again := p.started(1); again <= started {
			t.Errorf("the restarted Kamailio has the start time %v, before it was %v", again, started)
		}
		p.rpc(1, "htable.seti", "shared", "calls", "19")
		p.awaitViews("after a change of the restarted one", true, 19)
	})
}

// pair has two Kamailios, the RTPEngines of both, and an exporter that scrapes both as targets a and b.
type pair struct {
	*exporter
	suite    string
	nodes    [2]*lab.Kamailio
	engines  [2]*rtpEngine
	deadPort int // where no process listens
}

// pairPatience is the maximum time until both Kamailios have noticed a change. They need up to six seconds.
const pairPatience = 2 * time.Minute

func startPair(t *testing.T, suite string) *pair {
	t.Helper()
	p := &pair{suite: suite, deadPort: freePort(t)}
	for i := range p.engines {
		p.engines[i] = startRTPEngine(t, loopback(freePort(t)))
	}
	ports := [2]int{freePort(t), freePort(t)}
	for i := range p.nodes {
		p.nodes[i] = lab.StartTest(t, lab.Options{Suite: suite, SIPPort: ports[i], Config: p.config(t, loopback(ports[1-i]))})
	}
	file := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	text := fmt.Sprintf("modules: {default: {methods: [auto], htable_keys: [\"shared=>calls\"], dispatcher_sets: {1: peers, 2: mixed}}}\n"+
		"targets: [{name: a, uri: %q}, {name: b, uri: %q}]\n", p.nodes[0].URI("unix"), p.nodes[1].URI("tcp"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.exporter = start(t, "--config.file", file)
	return p
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// config returns the configuration of a Kamailio with a peer. It notices a peer that does not respond after a second.
func (p *pair) config(t *testing.T, peer string) string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "dispatcher.list")
	sets := fmt.Sprintf("1 sip:%s\n2 sip:%s 0 5\n2 sip:%[1]s;transport=tcp 0 9\n", peer, loopback(p.deadPort))
	if err := os.WriteFile(list, []byte(sets), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
modparam("tm", "fr_timer", 1000)
modparam("dmq", "notification_address", "sip:%s")
modparam("dmq", "ping_interval", 5)
modparam("htable", "enable_dmq", 1)
modparam("htable", "dmq_init_sync", 1)
modparam("htable", "htable", "shared=>size=4;dmqreplicate=1;")
modparam("dispatcher", "list_file", %q)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("rtpengine", "rtpengine_sock", "1 == udp:%s=3 udp:%s=1")
modparam("rtpengine", "rtpengine_sock", "2 == udp:%[4]s")
`, peer, list, p.engines[0].address, p.engines[1].address)
}

// pingEngines makes a Kamailio ping its RTPEngines. By itself it does so once a minute, and before 6.0 only when it uses one. The
// method faults shortly after the start of Kamailio.
func (p *pair) pingEngines(node int) {
	p.t.Helper()
	if _, err := p.nodes[node].Kamcmd(p.t.Context(), "rtpengine.ping", "all"); err != nil {
		p.t.Fatal(err)
	}
}

// rpc calls a method of a Kamailio.
func (p *pair) rpc(node int, args ...string) {
	p.t.Helper()
	if out, err := p.nodes[node].Kamcmd(p.t.Context(), args...); err != nil || strings.HasPrefix(out, "error:") {
		p.t.Fatalf("%v: %v %s", args, err, out)
	}
}

// started returns the start time of a Kamailio in seconds.
func (p *pair) started(node int) float64 { return p.probe(node)["kamailio_start_time_seconds"] }

func (p *pair) probe(node int) page {
	p.t.Helper()
	_, body := p.get("/probe?target=" + string("ab"[node]))
	return parsePage(p.t, body)
}

// awaitViews scrapes both targets until they have the wanted series. The second Kamailio, and the second RTPEngine, are up or not.
func (p *pair) awaitViews(when string, up bool, calls int) {
	p.t.Helper()
	var missing []string
	for deadline := time.Now().Add(pairPatience); time.Now().Before(deadline); time.Sleep(pollInterval) {
		p.pingEngines(0)
		missing = p.probe(0).lacks(p.view(0, up, calls))
		second := page{"kamailio_up": 0}
		if up {
			p.pingEngines(1)
			second = p.view(1, true, calls)
		}
		got := p.probe(1)
		missing = append(missing, got.lacks(second)...)
		if !up && got.has("kamailio_dmq_") {
			missing = append(missing, "the killed Kamailio has series")
		}
		if len(missing) == 0 {
			return
		}
	}
	p.t.Fatalf("%s, both series are not true:\n%s", when, strings.Join(missing, "\n"))
}

// lacks returns the wanted series that are missing or have another value.
func (p page) lacks(want page) []string {
	var missing []string
	for series, value := range want {
		if got, ok := p[series]; !ok || got != value {
			missing = append(missing, fmt.Sprintf("%s is %v (on the page: %t), want %v", series, got, ok, value))
		}
	}
	slices.Sort(missing)
	return missing
}

// view returns the series that a Kamailio must have. The replicated table is empty if calls is 0.
func (p *pair) view(node int, peerUp bool, calls int) page {
	own, peer := p.nodes[node].SIPAddr(), p.nodes[1-node].SIPAddr()
	peerState, lost := "active", "pending"
	if p.suite == lab.Forky {
		lost = "not_active"
	}
	if !peerUp {
		peerState = lost
	}
	want := page{
		"kamailio_up":                           1,
		`kamailio_htable_items{table="shared"}`: is(calls > 0),
		`kamailio_htable_items{table="a"}`:      0,
		`kamailio_htable_items{table="calls"}`:  0,
		`kamailio_htable_info{dbmode="0",dbtable="",dmqreplicate="1",table="shared",updateexpire="1"}`: 1,
		`kamailio_htable_info{dbmode="0",dbtable="",dmqreplicate="0",table="calls",updateexpire="1"}`:  1,
		`kamailio_dispatcher_set_info{name="peers",setid="1"}`:                                         1,
		`kamailio_dispatcher_set_info{name="mixed",setid="2"}`:                                         1,
	}
	if calls > 0 {
		want[`kamailio_htable_value{key="calls",table="shared"}`] = float64(calls)
	}
	for address, state := range map[string]string{own: "active", peer: peerState} {
		host, port, _ := net.SplitHostPort(address)
		for _, each := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
			want[fmt.Sprintf(`kamailio_dmq_node_state{host=%q,port=%q,proto="*",state=%q}`, host, port, each)] = is(each == state)
		}
	}
	want.addDestination("1", "sip:"+peer, peerUp)
	want.addDestination("2", "sip:"+peer+";transport=tcp", peerUp)
	want.addDestination("2", "sip:"+loopback(p.deadPort), false)
	for _, engine := range []struct {
		set string
		*rtpEngine
		weight float64
		up     bool
	}{
		{"1", p.engines[0], 3, true}, {"1", p.engines[1], 1, peerUp}, {"2", p.engines[1], 1, peerUp},
	} {
		labels := fmt.Sprintf(`{index="",set=%q,url="udp:%s"}`, engine.set, engine.address)
		want["kamailio_rtpengine_node_up"+labels] = is(engine.up)
		want["kamailio_rtpengine_node_disabled"+labels] = 0
		want["kamailio_rtpengine_node_weight"+labels] = engine.weight
		if engine.up {
			want["kamailio_rtpengine_node_recheck_seconds"+labels] = 0
		}
	}
	return want
}

func (p page) addDestination(set, uri string, up bool) {
	for state, holds := range map[string]bool{"active": up, "inactive": !up, "disabled": false, "trying": false} {
		p[fmt.Sprintf(`kamailio_dispatcher_destination_state{duid="",index="",obproxy="",setid=%q,socket="",state=%q,uri=%q}`, set, state, uri)] = is(holds)
	}
}

// rtpEngine is a running RTPEngine.
type rtpEngine struct {
	address string // where it listens for Kamailio
	stop    func()
}

// startRTPEngine starts an RTPEngine without its kernel module, and waits until it listens.
func startRTPEngine(t *testing.T, address string) *rtpEngine {
	t.Helper()
	path, err := lab.Tool(t.Context(), "rtpengine")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log := child.NewLog()
	cmd := exec.CommandContext(ctx, path, "--config-file=none", "--foreground", "--log-stderr", "--log-level=6", "--table=-1", "--interface=127.0.0.1", "--listen-ng="+address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = time.Second
	process, err := child.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	engine := &rtpEngine{address: address, stop: func() {
		cancel()
		<-process.Done()
	}}
	t.Cleanup(engine.stop)
	if _, err := log.Await(regexp.MustCompile(`Startup complete`), process.Done(), pairPatience); err != nil {
		t.Fatalf("RTPEngine: %v", err)
	}
	return engine
}
