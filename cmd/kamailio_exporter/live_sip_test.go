//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
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

const (
	// patience is the maximum time to wait for SIPp and for Kamailio.
	patience = 20 * time.Second
	// pollInterval is the time between two tries.
	pollInterval = 100 * time.Millisecond
)

// quiet is the configuration of a Kamailio that counts only the messages of SIPp: it sends
// no pings, no registrations, and no retransmissions. One process receives all messages
// over UDP, because the routing script increments a value of the hash table calls by
// reading and then writing it.
const quiet = `
children=1
modparam("dispatcher", "ds_ping_interval", 0)
modparam("uac", "reg_active", 0)
modparam("tm", "retr_timer1", 60000)
modparam("tm", "retr_timer2", 60000)
`

// TestLiveSIP runs SIPp as callers, gateways and phones. It checks all series that change,
// and by how much. No other series may change.
func TestLiveSIP(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Config: quiet})
		e := start(t, "-u", k.URI("unix"), "-m", "auto,dlg.stats_active", "--kamailio.htable-keys", "calls=>total",
			"--kamailio.dialog-profiles", "all,trunk:trunk-a,trunk:trunk-b,trunk:trunk-c")
		t.Run("calls", func(t *testing.T) { testCalls(t, k, e.within(t)) })
		t.Run("refused calls", func(t *testing.T) { testRefusedCalls(t, k, e.within(t)) })
		t.Run("registrations", func(t *testing.T) { testRegistrations(t, k, e.within(t)) })
		t.Run("options", func(t *testing.T) { testOptions(t, k, e.within(t)) })
	})
}

// testCalls checks the series during calls and after their end.
func testCalls(t *testing.T, k *lab.Kamailio, e *exporter) {
	const calls = 15
	startGateway(t, k, "gateway.xml")
	before := e.scrape()
	port := freePort(t)
	caller := startSIPp(t, "caller.xml", append(clientOf(k, calls),
		"-inf", sippFile(t, "trunks.csv"), "-p", strconv.Itoa(port), "-cid_str", "%u@caller")...)
	invited := page{
		`kamailio_core_received_replies_by_code_total{code="18x"}`:                    calls,
		`kamailio_core_received_replies_by_method_total{class="1xx",method="INVITE"}`: calls,
		`kamailio_core_received_replies_by_method_total{class="2xx",method="INVITE"}`: calls,
		`kamailio_core_received_replies_total{class="1xx"}`:                           calls,
		`kamailio_core_received_requests_total{method="ACK"}`:                         calls,
		`kamailio_core_received_requests_total{method="INVITE"}`:                      calls,
		`kamailio_core_forwarded_messages_total{type="request"}`:                      calls, // ACKs
		`kamailio_dialog_processed_total`:                                             calls,
		`kamailio_htable_items{table="calls"}`:                                        1,
		`kamailio_htable_slot_items_max{table="calls"}`:                               1,
		`kamailio_htable_value{key="total",table="calls"}`:                            calls,
		`kamailio_stats_fetch_value{group="script",name="my_calls"}`:                  calls,
	}
	held := page{
		`kamailio_core_received_messages_total{type="reply"}`:              2 * calls, // 180 and 200 to each INVITE
		`kamailio_core_received_messages_total{type="request"}`:            2 * calls, // INVITE and ACK
		`kamailio_core_received_replies_total{class="2xx"}`:                calls,
		`kamailio_dialog_dialogs{state="active"}`:                          calls,
		`kamailio_dialog_profile_dialogs{profile="all",value=""}`:          calls,
		`kamailio_dialog_profile_dialogs{profile="trunk",value="trunk-a"}`: calls / 3, // see trunks.csv
		`kamailio_dialog_profile_dialogs{profile="trunk",value="trunk-b"}`: calls / 3 * 2,
		`kamailio_dlg_stats_active_all`:                                    calls,
		`kamailio_dlg_stats_active_ongoing`:                                calls,
	}
	e.awaitMoved(before, invited, held, transactions("2xx", calls, 2*calls, calls))

	hangUp(t, port, calls)
	caller.wait()
	ended := page{
		`kamailio_core_received_messages_total{type="reply"}`:                      3 * calls,
		`kamailio_core_received_messages_total{type="request"}`:                    3 * calls,
		`kamailio_core_received_replies_by_method_total{class="2xx",method="BYE"}`: calls,
		`kamailio_core_received_replies_total{class="2xx"}`:                        2 * calls,
		`kamailio_core_received_requests_total{method="BYE"}`:                      calls,
	}
	e.awaitMoved(before, invited, ended, transactions("2xx", 2*calls, 3*calls, calls))
}

// transactions returns the changes of the series of tm and tmx, which count the same, for n
// transactions with final replies of one class. received is the number of replies that
// Kamailio receives and forwards, generated that of the replies that it creates.
func transactions(class string, n, received, generated float64) page {
	return page{
		fmt.Sprintf(`kamailio_tm_stats_codes_total{code=%q}`, class):              n,
		`kamailio_tm_stats_created_total`:                                         n,
		`kamailio_tm_stats_rpl_generated_total`:                                   generated,
		`kamailio_tm_stats_rpl_received_total`:                                    received,
		`kamailio_tm_stats_rpl_sent_total`:                                        received + generated,
		`kamailio_tm_stats_total_total`:                                           n,
		fmt.Sprintf(`kamailio_tmx_completed_transactions_total{class=%q}`, class): n,
		`kamailio_tmx_generated_replies_total`:                                    generated,
		`kamailio_tmx_received_replies_total`:                                     received,
		`kamailio_tmx_relayed_replies`:                                            received,
		`kamailio_tmx_sent_replies_total`:                                         received + generated,
		`kamailio_tmx_uas_transactions_total`:                                     n,
	}
}

// testRefusedCalls calls users who are busy.
func testRefusedCalls(t *testing.T, k *lab.Kamailio, e *exporter) {
	const calls = 7
	startGateway(t, k, "busy_gateway.xml")
	before := e.scrape()
	startSIPp(t, "refused_caller.xml", clientOf(k, calls)...).wait()
	e.awaitMoved(before, transactions("4xx", calls, calls, calls), page{
		`kamailio_core_received_messages_total{type="reply"}`:                         calls,
		`kamailio_core_received_messages_total{type="request"}`:                       2 * calls,
		`kamailio_core_received_replies_by_code_total{code="486"}`:                    calls,
		`kamailio_core_received_replies_by_method_total{class="4xx",method="INVITE"}`: calls,
		`kamailio_core_received_replies_total{class="4xx"}`:                           calls,
		`kamailio_core_received_requests_total{method="ACK"}`:                         calls,
		`kamailio_core_received_requests_total{method="INVITE"}`:                      calls,
		`kamailio_dialog_failed_total`:                                                calls,
		`kamailio_dialog_processed_total`:                                             calls,
		`kamailio_htable_value{key="total",table="calls"}`:                            calls,
		`kamailio_sl_failures_total`:                                                  calls, // the routing script tries to reply to the ACKs, which have no Route
		`kamailio_stats_fetch_value{group="script",name="my_calls"}`:                  calls,
	})
}

// testRegistrations registers users with two contacts each, and then unregisters them.
func testRegistrations(t *testing.T, k *lab.Kamailio, e *exporter) {
	const users, contacts = 9, 18
	for _, test := range []struct {
		expires string
		sign    float64
	}{{"3600", 1}, {"0", -1}} {
		before := e.scrape()
		startSIPp(t, "phone.xml", append(clientOf(k, users), "-key", "expires", test.expires)...).wait()
		e.awaitMoved(before, answered("REGISTER", users), page{
			`kamailio_registrar_registrations_total{result="accepted"}`: users,
			`kamailio_usrloc_contacts{domain="location"}`:               test.sign * contacts,
			`kamailio_usrloc_registered_users`:                          test.sign * users,
			`kamailio_usrloc_users{domain="location"}`:                  test.sign * users,
		})
	}
}

// testOptions sends OPTIONS to Kamailio.
func testOptions(t *testing.T, k *lab.Kamailio, e *exporter) {
	const requests = 11
	before := e.scrape()
	startSIPp(t, "pinger.xml", clientOf(k, requests)...).wait()
	e.awaitMoved(before, answered("OPTIONS", requests))
}

// answered returns the changes of the series for n requests to which Kamailio itself replies
// with 200.
func answered(method string, n float64) page {
	return page{
		`kamailio_core_received_messages_total{type="request"}`:                 n,
		fmt.Sprintf(`kamailio_core_received_requests_total{method=%q}`, method): n,
		`kamailio_sl_replies_total{code="200"}`:                                 n,
		`kamailio_sl_sent_replies_total`:                                        n,
		`kamailio_sl_stats_codes_total{code="200"}`:                             n,
	}
}

// TestLiveSIPGateway starts and stops a gateway of the dispatcher. The other gateway of its
// set is never running.
func TestLiveSIPGateway(t *testing.T) {
	const config = `
modparam("dispatcher", "ds_ping_interval", 1)
modparam("tm", "fr_timer", 2000)
` // by default, a ping times out after half a minute
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Config: config})
		long := start(t, "-u", k.URI("unix"), "-m", "dispatcher.list")
		short := start(t, "-u", k.URI("unix"), "-m", "dispatcher.list", "--kamailio.short", "dispatcher.list")
		gateway, other := destination{"gw1", k.UASAddr()}, destination{"", "127.0.0.1:5071"}
		timeouts, latency := gateway.series("timeouts_total", ""), gateway.series("latency_max_seconds", "")
		up := func(p page) bool { return p.hasDestination(gateway, "active") && p.hasDestination(other, "inactive") }
		down := func(lost float64) func(page) bool { // with at least this number of lost pings
			return func(p page) bool {
				return p.hasDestination(gateway, "inactive") && p.hasDestination(other, "inactive") && p[timeouts] >= lost
			}
		}

		first := long.await("a gateway that is down from the start", down(1))
		first.check(t, latency, 0)
		short.await("none up and two down", func(p page) bool { return p.hasSet(0, 2) })

		running := startGateway(t, k, "gateway.xml")
		second := long.await("the gateway to come up", up)
		if second[latency] < 0.025 || second[latency] > patience.Seconds() { // gateway.xml takes 0.03 s
			t.Errorf("the maximum latency is %v s", second[latency])
		}
		short.await("one up and one down", func(p page) bool { return p.hasSet(1, 1) })

		running.stop()
		third := long.await("the gateway to go down", down(second[timeouts]+1))
		short.await("none up and two down again", func(p page) bool { return p.hasSet(0, 2) })
		t.Logf("maximum latency %v s, lost pings %v, %v, %v", third[latency], first[timeouts], second[timeouts], third[timeouts])
	})
}

// destination is a destination of the dispatcher in set 1.
type destination struct{ duid, address string }

// series returns a series of the destination. more has further labels.
func (d destination) series(name, more string) string {
	return fmt.Sprintf(`kamailio_dispatcher_destination_%s{duid=%q,index="",obproxy="",setid="1",socket="",%suri="sip:%s"}`, name, d.duid, more, d.address)
}

// hasDestination reports whether a destination is in a state and in no other.
func (p page) hasDestination(d destination, state string) bool {
	for _, each := range []string{"active", "disabled", "inactive", "trying"} {
		if p[d.series("state", fmt.Sprintf("state=%q,", each))] != is(each == state) {
			return false
		}
	}
	return true
}

// hasSet reports whether set 1 has these numbers of active and inactive destinations.
func (p page) hasSet(active, inactive float64) bool {
	for state, want := range map[string]float64{"active": active, "inactive": inactive, "disabled": 0, "trying": 0} {
		got, ok := p[fmt.Sprintf(`kamailio_dispatcher_set_destinations{setid="1",state=%q}`, state)]
		if !ok || got != want {
			return false
		}
	}
	return true
}

// moving matches the series that change without SIP messages: those of time, memory,
// transactions that are kept for some time, media proxies that are not running, and the
// exporter.
var moving = regexp.MustCompile(`^(go|process|promhttp|kamailio_(exporter|core_uptime|core_shmmem|shmem|pkg|process|socket|rtpengine|` +
	`tm_stats_(current|waiting|freed|delayed_free)|tmx_(active|inuse)))(_|$)`)

// moved returns the changes since an earlier scrape. A missing series counts as 0.
func (p page) moved(before page) page {
	moved := page{}
	for _, scrape := range []page{before, p} {
		for series := range scrape {
			if by := p[series] - before[series]; by != 0 && !moving.MatchString(series) {
				moved[series] = by
			}
		}
	}
	return moved
}

// awaitMoved scrapes until the changes since an earlier scrape are the wanted ones. That
// takes a second or two, because tmx and sl update their statistics once a second, and
// contacts are removed some time after they are unregistered.
func (e *exporter) awaitMoved(before page, wanted ...page) {
	e.t.Helper()
	want := page{}
	for _, some := range wanted {
		maps.Copy(want, some)
	}
	p, ok := e.poll(func(p page) bool { return maps.Equal(p.moved(before), want) })
	if !ok {
		e.t.Fatalf("after %v:\n%s", patience, p.moved(before).differences(want))
	}
}

// differences returns a line for each series with another change than wanted.
func (p page) differences(want page) string {
	var text strings.Builder
	both := maps.Clone(p)
	maps.Copy(both, want)
	for _, series := range slices.Sorted(maps.Keys(both)) {
		if p[series] != want[series] {
			fmt.Fprintf(&text, "%s changed by %v, want %v\n", series, p[series], want[series])
		}
	}
	return text.String()
}

// await scrapes until a condition holds, and returns that page. what describes the
// condition.
func (e *exporter) await(what string, holds func(page) bool) page {
	e.t.Helper()
	p, ok := e.poll(holds)
	if !ok {
		e.t.Fatalf("after %v, still waiting for %s", patience, what)
	}
	return p
}

// poll scrapes until a condition holds, at most for patience. It returns the last page and
// whether the condition holds.
func (e *exporter) poll(holds func(page) bool) (last page, ok bool) {
	e.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(pollInterval) {
		last = e.scrape()
		if holds(last) {
			return last, true
		}
		if time.Now().After(deadline) {
			return last, false
		}
	}
}

// within returns the same exporter for a subtest.
func (e *exporter) within(t *testing.T) *exporter {
	return &exporter{t: t, url: e.url, log: e.log, ended: e.ended}
}

// sipp is a running SIPp.
type sipp struct {
	t       *testing.T
	process *child.Child
	cancel  context.CancelFunc
	output  bytes.Buffer // may be read after the end of the process
}

// startSIPp runs a scenario on loopback. SIPp is stopped at the end of the test.
func startSIPp(t *testing.T, scenario string, args ...string) *sipp {
	t.Helper()
	path, err := lab.Tool(t.Context(), "sipp")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &sipp{t: t, cancel: cancel}
	cmd := exec.CommandContext(ctx, path, append([]string{
		"-sf", sippFile(t, scenario), "-i", "127.0.0.1", "-ci", "127.0.0.1", "-mi", "127.0.0.1",
		"-nostdin", "-nr", "-timeout", "60s", "-timeout_error",
	}, args...)...)
	cmd.Dir = t.TempDir() // SIPp may write files
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	cmd.WaitDelay = time.Second
	if s.process, err = child.Start(cmd); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the output of SIPp with %s:\n%s", scenario, &s.output)
		}
	})
	return s
}

// wait waits for the end of all calls. The test fails if a call differs from the scenario.
func (s *sipp) wait() {
	s.t.Helper()
	if err := s.process.Wait(); err != nil {
		s.t.Fatalf("SIPp: %v", err)
	}
}

// stop stops SIPp if it is running.
func (s *sipp) stop() {
	s.cancel()
	<-s.process.Done()
}

// clientOf returns the arguments of a SIPp that makes calls through k.
func clientOf(k *lab.Kamailio, calls int) []string {
	return []string{k.SIPAddr(), "-m", strconv.Itoa(calls), "-r", "100"}
}

// startGateway starts the gateway to which k relays calls, and waits until it responds.
func startGateway(t *testing.T, k *lab.Kamailio, scenario string) *sipp {
	t.Helper()
	_, port, err := net.SplitHostPort(k.UASAddr())
	if err != nil {
		t.Fatal(err)
	}
	s := startSIPp(t, scenario, "-p", port)
	conn, err := net.Dial("udp", k.UASAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollInterval) {
		if answers(conn) {
			return s
		}
	}
	t.Fatalf("SIPp with %s does not respond", scenario)
	return nil
}

// answers reports whether the peer responds to OPTIONS.
func answers(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write(request("OPTIONS", strconv.FormatUint(rand.Uint64(), 10))); err != nil {
		return false
	}
	_, err := conn.Read(make([]byte, 4096))
	return err == nil
}

// hangUp makes the SIPp with caller.xml at port end its calls.
func hangUp(t *testing.T, port, calls int) {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for call := 1; call <= calls; call++ {
		if _, err := conn.Write(request("INFO", fmt.Sprintf("%d@caller", call))); err != nil {
			t.Fatal(err)
		}
	}
}

// request returns a SIP request for SIPp, with the headers that SIPp needs.
func request(method, callID string) []byte {
	return fmt.Appendf(nil, "%s sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK%s\r\nFrom: <sip:test@127.0.0.1>;tag=1\r\n"+
		"To: <sip:sipp@127.0.0.1>\r\nCall-ID: %[2]s\r\nCSeq: 1 %[1]s\r\nContent-Length: 0\r\n\r\n", method, callID)
}

// sippFile returns the absolute path of a file for SIPp.
func sippFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "sipp", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
