//go:build linux

package main

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// notCompared has the methods and the families that are not compared, with the reason.
var notCompared = map[string]string{
	"cnxcc.stats":              "Debian has the Kamailio module in a package that needs Redis",
	"cr.dump_routes":           "compared in TestLiveTables of package collector",
	"kafka.stats":              "Debian has no package with the Kamailio module",
	"kafka.stats_topic":        "Debian has no package with the Kamailio module",
	"presence.presentity_list": "compared in TestLivePresentities of package collector",
	"sctp.info":                "Debian has the Kamailio module in a package that needs SCTP in the kernel",
	"ulpcscf.status":           "has rows only with a registrar that needs a Diameter server",
	"ulscscf.status":           "has rows only with a registrar that needs a Diameter server",

	"kamailio_dispatcher_set_destinations":                       "shown only with --kamailio.short",
	"kamailio_dispatcher_set_info":                               "shown only with dispatcher_sets",
	"kamailio_keepalive_destination_last_down_timestamp_seconds": "Kamailio 5.6.3 sends it in the field of the other",
	"kamailio_keepalive_destination_last_up_timestamp_seconds":   "Kamailio 5.6.3 sends it in the field of the other",
	"kamailio_lcr_gateway_state":                                 "follows from two fields and the time",
	"kamailio_pkg_role_fragments_max":                            "shown only with --kamailio.short",
	"kamailio_pkg_role_free_bytes":                               "shown only with --kamailio.short",
	"kamailio_pkg_role_free_min_bytes":                           "shown only with --kamailio.short",
	"kamailio_pkg_role_real_used_bytes":                          "shown only with --kamailio.short",
	"kamailio_pkg_role_size_bytes":                               "shown only with --kamailio.short",
	"kamailio_pkg_role_used_bytes":                               "shown only with --kamailio.short",
	"kamailio_rtpengine_node_up":                                 "the field depends on the version; compared in TestLivePair",
	"kamailio_secfilter_messages_total":                          "lines of text under headings in 5.6; golden files have the replies of 5.6, 6.0 and 6.1",
	"kamailio_uac_registration_remaining_seconds":                "shown only while registered",
	"kamailio_uac_registrations":                                 "follows from two fields",
}

// TestLiveSeriesEqualThoseOfKamcmd compares all series of all methods, while SIPp makes calls, with the output of kamcmd before
// and after the scrape. The value of a counter must always be between the two. A gauge can leave that range during a scrape, so
// it must be in its range in one of several scrapes, see verdict. What the fields of the output mean for the series follows from
// the help texts of the metrics, so a collector that reads another field than its help says fails. No counter may fall from
// scrape to scrape.
func TestLiveSeriesEqualThoseOfKamcmd(t *testing.T) {
	var mu sync.Mutex
	compared, suites := map[string]bool{}, 0
	t.Cleanup(func() { // after all suites
		if suites < len(lab.Suites()) {
			return // some failed, or do not run
		}
		for _, c := range collector.All {
			listed := notCompared[c.Method] != "" || !slices.ContainsFunc(c.Metrics, func(desc *metric.Desc) bool { return notCompared[desc.Name] == "" })
			if listed == compared[c.Method] {
				t.Errorf("%s is compared: %t, is in notCompared: %t", c.Method, compared[c.Method], listed)
			}
		}
	})
	lab.EachSuite(t, func(t *testing.T, suite string) {
		for _, each := range comparedLabs(t, suite) {
			c := newComparison(t, lab.StartTest(t, each.Options))
			each.compare(c)
			mu.Lock()
			maps.Copy(compared, c.seen)
			mu.Unlock()
		}
		mu.Lock()
		suites++
		mu.Unlock()
	})
}

// comparedLab is a Kamailio, and what happens in it while its series are compared.
type comparedLab struct {
	lab.Options
	compare func(c *comparison)
}

// compareCalls compares while SIPps make ten calls and end four of them, register, and ping.
func compareCalls(c *comparison) {
	c.t.Helper()
	first := c.exporter.scrape()
	startGateway(c.t, c.k, "gateway.xml")
	port := freePort(c.t)
	startSIPp(c.t, "caller.xml", c.k.SIPAddr(), "-timeout", "300s", "-m", "10", "-r", "5", "-p", strconv.Itoa(port), "-inf", sippFile(c.t, "trunks.csv"), "-cid_str", "%u@caller")
	startSIPp(c.t, "phone.xml", c.k.SIPAddr(), "-timeout", "300s", "-r", "5", "-key", "expires", "600")
	startSIPp(c.t, "pinger.xml", c.k.SIPAddr(), "-timeout", "300s", "-r", "5")
	c.run("ten calls and pings", func(p page) bool {
		return p["kamailio_dlg_stats_active_ongoing"] == 10 && p.max("kamailio_dispatcher_destination_latency_stddev_seconds") > 0
	})
	hangUp(c.t, port, 4)
	last := c.run("six calls", func(p page) bool { return p["kamailio_dlg_stats_active_ongoing"] == 6 })
	if rose := c.risen(first, last); len(rose) < 30 {
		c.t.Errorf("only these counters rose: %q", rose)
	}
}

// max returns the greatest value of a family.
func (p page) max(family string) float64 {
	greatest := math.Inf(-1)
	for series, value := range p {
		if familyOf(series) == family {
			greatest = max(greatest, value)
		}
	}
	return greatest
}

// risen returns the counters that rose from one scrape to another.
func (c *comparison) risen(before, after page) []string {
	var rose []string
	for series, value := range after {
		if desc := c.descOf(series); desc != nil && desc.Type == metric.Counter && value > before[series] {
			rose = append(rose, series)
		}
	}
	slices.Sort(rose)
	return rose
}

// comparePings compares when the module keepalive has found one destination up and one down.
func comparePings(c *comparison) {
	c.run("a destination that is up and one that is down", func(p page) bool {
		return p.has("kamailio_keepalive_destination_last_up") && p.has("kamailio_keepalive_destination_last_down")
	})
}

// compareAtOnce compares without traffic.
func compareAtOnce(c *comparison) { c.run("a page", func(page) bool { return true }) }

// comparedLabs returns Kamailios that have all methods together. Some Kamailio modules do not start together.
func comparedLabs(t *testing.T, suite string) []comparedLab {
	t.Helper()
	peer := filepath.Join(t.TempDir(), "cdp.xml")
	if err := os.WriteFile(peer, fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<DiameterPeer FQDN="kamailio.local.example" Realm="local.example" Vendor_Id="10415" Product_Name="CDiameterPeer"
  AcceptUnknownPeers="0" DropUnknownOnDisconnect="1" Tc="30" Workers="1" QueueLength="32" TransactionTimeout="5"
  SessionsHashSize="128" DefaultAuthSessionTimeout="3600" MaxAuthSessionTimeout="3600">
  <Peer FQDN="hss.local.example" Realm="local.example" port="%d"/>
  <Acceptor port="%d" bind="127.0.0.1"/>
</DiameterPeer>
`, freePort(t), freePort(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	main := lab.Options{Suite: suite, SIPPort: freePort(t), Rows: comparedRows, Route: comparedRoute, Config: comparedConfig}
	main.Config += fmt.Sprintf("modparam(\"cdp\", \"config_file\", %q)\nmodparam(\"dispatcher\", \"list_file\", %q)\n", peer, destinations(t, main.SIPPort))
	other := lab.Options{Suite: suite, Minimal: true, SIPPort: freePort(t), Config: otherConfig}
	other.Config += fmt.Sprintf("modparam(\"keepalive\", \"destination\", \"sip:%s\")\n", loopback(other.SIPPort))
	if suite != lab.Bookworm {
		other.Config += "use_dst_blocklist=on\n"
		main.Config += "modparam(\"imc\", \"db_mode\", 2)\n" // as before 6.0
	}
	if suite == lab.Forky {
		main.Config += "loadmodule \"peerstate.so\"\n"
	}
	return []comparedLab{{main, compareCalls}, {other, comparePings}, {lab.Options{Suite: suite, Config: captureConfig}, compareAtOnce}}
}

// destinations returns a file with destinations: a Kamailio's own port, which replies, and others, which do not. Two of them differ
// only in the socket.
func destinations(t *testing.T, own int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dispatcher.list")
	list := fmt.Sprintf("1 sip:%s 0 10 weight=50;rweight=10;maxload=7;duid=gw1;ocmin=20;ocmax=80\n2 sip:127.0.0.1:5072;transport=tcp 2\n"+
		"3 sip:127.0.0.1:5073 8 1 socket=udp:%[1]s\n3 sip:127.0.0.1:5073 8 2 socket=tcp:%[1]s\n", loopback(own))
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// comparedRows are rows of tables that Kamailio reads when it starts.
var comparedRows = map[string]string{
	"domain":          "1:one.example:d1:0\n2:two.example:d1:0\n",
	"domain_attrs":    "1:d1:color:2:red:0\n",
	"imc_rooms":       "1:chat-1:127.0.0.1:0\n",
	"imc_members":     "1:alice:127.0.0.1:sip\\:chat-1@127.0.0.1:1\n",
	"lcr_gw":          "1:1:gw1:127.0.0.9::5060::1:1::::0:0\n2:1:gw2:127.0.0.10::5060::1:1::::0:4000000000\n",
	"lcr_rule":        "1:1:49::::0:1\n",
	"lcr_rule_target": "1:1:1:1:1:1\n",
	"mtree":           "1:12:a\n2:13:b\n3:14:c\n4:2:d\n",
	"pdt":             "1:*:49:de.example\n",
	"pl_pipes":        "1:trunks:TAILDROP:20\n2:peers:RED:30\n",
	"secfilter":       "1:0:2:friendly-scanner\n",
	"trusted":         "1:10.1.2.3:any::::0\n",
}

// comparedConfig loads most modules. One process receives all messages over UDP, so that SIPp gets replies in order.
const comparedConfig = `
children=1
loadmodule "benchmark.so"
loadmodule "call_obj.so"
loadmodule "cdp.so"
loadmodule "cfgutils.so"
loadmodule "domain.so"
loadmodule "imc.so"
loadmodule "ims_usrloc_pcscf.so"
loadmodule "lcr.so"
loadmodule "mtree.so"
loadmodule "pdb.so"
loadmodule "pdt.so"
loadmodule "sca.so"
loadmodule "secfilter.so"
loadmodule "siptrace.so"
modparam("benchmark", "enable", 1)
modparam("benchmark", "granularity", 3)
modparam("call_obj", "start", 1)
modparam("call_obj", "end", 50)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("domain|imc|lcr|mtree|pdt|sca|secfilter", "db_url", "text://LAB_DIR/dbtext")
modparam("imc", "outbound_proxy", "sip:127.0.0.1:5060")
modparam("lcr", "gw_uri_avp", "$avp(gw_uri)")
modparam("lcr", "ruri_user_avp", "$avp(ruri_user)")
modparam("lcr", "rule_id_avp", "$avp(rule_id)")
modparam("lcr", "tag_avp", "$avp(tag)")
modparam("lcr", "flags_avp", "$avp(flags)")
modparam("lcr", "lcr_id_avp", "$avp(lcr_id)")
modparam("lcr", "defunct_gw_avp", "$avp(defunct)")
modparam("lcr", "defunct_capability", 1)
modparam("mtree", "mtree", "name=routes;dbtable=mtree")
modparam("pdb", "server", "127.0.0.1:5987")
modparam("permissions", "db_mode", 1)
modparam("pv", "shvset", "maintenance=i:1")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:9060")
modparam("siptrace", "trace_on", 1)
`

// comparedRoute delays the replies to dispatcher by 0 to 9 ms, so that all its latencies differ.
const comparedRoute = `
  if ($fU == "dispatcher") usleep("$(RANDOM{s.substr,0,1})000");
  pike_check_req();
  bm_start_timer("request");
  pl_check("trunks");
  rl_check("0");
  secf_check_ua();
  bm_log_timer("request");
`

const otherConfig = `
loadmodule "ims_dialog.so"
loadmodule "keepalive.so"
loadmodule "presence.so"
loadmodule "rr.so"
loadmodule "ims_usrloc_scscf.so"
loadmodule "rtpproxy.so"
modparam("ims_dialog", "dlg_flag", 4)
modparam("keepalive", "destination", "sip:127.0.0.1:9")
modparam("keepalive", "ping_interval", 1)
modparam("tm", "fr_timer", 500)
modparam("rtpproxy", "rtpproxy_sock", "2 == udp:127.0.0.1:9=3 udp:127.0.0.1:10")
`

// captureConfig is that of a Kamailio that handles no SIP messages.
const captureConfig = `
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "text://LAB_DIR/dbtext")
`

// comparison compares the series of a Kamailio with the output of kamcmd.
type comparison struct {
	t          *testing.T
	k          *lab.Kamailio
	collectors []*collector.Collector // whose methods k has
	settings   collector.Settings
	exporter   *exporter
	descs      map[string]*metric.Desc // by name
	seen       map[string]bool         // methods with series
}

func newComparison(t *testing.T, k *lab.Kamailio) *comparison {
	t.Helper()
	c := &comparison{t: t, k: k, descs: map[string]*metric.Desc{}, seen: map[string]bool{}, settings: collector.Settings{
		HtableKeys:      []collector.HtableKey{{Table: "calls", Key: "total"}},
		DialogProfiles:  []collector.DialogProfile{{Name: "all"}, {Name: "trunk", Value: "trunk-b"}},
		SharedVariables: []string{"maintenance"},
	}}
	methods, err := k.Kamcmd(t.Context(), "system.listMethods")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-u", k.URI("unix"), "-m", "auto", "--kamailio.host=off"}
	for _, each := range collector.All {
		if _, listed := notCompared[each.Method]; listed || !slices.Contains(strings.Fields(methods), each.Method) {
			continue
		}
		c.collectors = append(c.collectors, each)
		if !each.Auto {
			args[3] += "," + each.Method
		}
		for _, desc := range each.Metrics {
			c.descs[desc.Name] = desc
		}
	}
	if slices.Contains(strings.Fields(methods), "htable.get") {
		args = append(args, "--kamailio.htable-keys=calls=>total", "--kamailio.dialog-profiles=all,trunk:trunk-b", "--kamailio.shv=maintenance")
	}
	c.exporter = start(t, args...)
	return c
}

// run compares pages that have what is wanted until all gauges are right in them. It returns the last page.
func (c *comparison) run(want string, has func(page) bool) page {
	c.t.Helper()
	v := verdict{right: map[string]bool{}, doubts: map[string]string{}}
	wrong := map[string]string{want: isMissing}
	before, last := c.read(), c.exporter.scrape()
	pages := 0
	for deadline := time.Now().Add(comparePatience); time.Now().Before(deadline); {
		p := c.exporter.scrape()
		after := c.read()
		c.checkCounters(last, p)
		low, high := c.expect(before, p), c.expect(after, p)
		before, last = after, p
		if !has(p) {
			continue
		}
		pages++
		wrong = p.outside(low, high)
		maps.DeleteFunc(wrong, func(series, _ string) bool { return notCompared[familyOf(series)] != "" })
		c.checkRanges(wrong, low, high)
		v.judge(p, wrong, low, high)
		if len(wrong) == 0 && pages >= comparedPages {
			c.note(p)
			return p
		}
	}
	c.t.Fatalf("after %v and %d pages, these series differ from kamcmd:\n%s", comparePatience, pages, linesOf(wrong))
	return nil
}

// comparedPages is the minimum number of pages. In one page a wrong value can be in its range by chance.
const comparedPages = 3

// verdict has what the pages up to now show.
type verdict struct {
	right  map[string]bool   // series that were in their ranges once
	doubts map[string]string // series that differed from two equal readings, and did not equal two since
}

// judge removes the series that were right in another page from those that are wrong in this one, and adds the doubts.
func (v verdict) judge(p page, wrong map[string]string, low, high map[string]float64) {
	for series := range p {
		reading, ok := low[series]
		isConstant := ok && reading == high[series]
		switch fault := wrong[series]; {
		case fault != "" && isConstant:
			v.doubts[series] = fault
		case fault == "" && isConstant:
			delete(v.doubts, series)
		}
		v.right[series] = v.right[series] || wrong[series] == ""
	}
	maps.DeleteFunc(v.doubts, func(series, _ string) bool {
		_, shown := p[series]
		return !shown
	})
	maps.DeleteFunc(wrong, func(series, _ string) bool { return v.right[series] })
	maps.Copy(wrong, v.doubts)
}

// comparePatience is the maximum time until a page is right.
const comparePatience = 2 * time.Minute

// read reads the output of kamcmd for the calls of all collectors.
func (c *comparison) read() map[*collector.Collector][]reading {
	c.t.Helper()
	readings := map[*collector.Collector][]reading{}
	for _, each := range c.collectors {
		for _, call := range each.Calls(c.settings) {
			r := c.readCall(call.Method, call.Args...)
			readings[each] = append(readings[each], r)
			if each.Method != "dispatcher.oclist" {
				continue
			}
			for _, set := range r.find("ID") { // the first call lists the sets
				readings[each] = append(readings[each], c.readCall(each.Method, set.text))
			}
		}
	}
	return readings
}

func (c *comparison) readCall(method string, args ...any) reading {
	c.t.Helper()
	words := []string{method}
	for _, arg := range args {
		words = append(words, fmt.Sprint(arg))
	}
	out, err := c.k.Kamcmd(c.t.Context(), words...)
	if err != nil {
		c.t.Fatal(err)
	}
	isFault := strings.HasPrefix(out, "error:")
	if isFault {
		out = ""
	}
	r := reading{method, isFault, parseKamcmd(out)}
	for i, word := range words[1:] {
		r.add(&kamcmdValue{name: fmt.Sprint("arg", i), text: word})
	}
	return r
}

// expect returns the series that a page should have.
func (c *comparison) expect(readings map[*collector.Collector][]reading, p page) map[string]float64 {
	x := newExpectation(p)
	for _, each := range c.collectors {
		for _, desc := range each.Metrics {
			for _, r := range readings[each] {
				x.expectFamily(desc, r)
			}
		}
	}
	return x.series
}

func familyOf(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}

// descOf returns the family of a series.
func (c *comparison) descOf(series string) *metric.Desc { return c.descs[familyOf(series)] }

// checkCounters checks that no counter fell between two scrapes.
func (c *comparison) checkCounters(before, after page) {
	c.t.Helper()
	for series, value := range before {
		if desc := c.descOf(series); desc != nil && desc.Type == metric.Counter && after[series] < value {
			c.t.Errorf("the counter %s fell from %v to %v", series, value, after[series])
		}
	}
}

// checkRanges checks that the counters are in their ranges.
func (c *comparison) checkRanges(wrong map[string]string, low, high map[string]float64) {
	c.t.Helper()
	for series, fault := range wrong {
		_, inLow := low[series]
		_, inHigh := high[series]
		if desc := c.descOf(series); inLow && inHigh && desc != nil && desc.Type == metric.Counter {
			c.t.Fatalf("the counter %s %s", series, fault)
		}
	}
}

// note notes the methods with series that were compared.
func (c *comparison) note(p page) {
	shown := map[*metric.Desc]bool{}
	for series := range p {
		if notCompared[familyOf(series)] == "" {
			shown[c.descOf(series)] = true
		}
	}
	for _, each := range c.collectors {
		if slices.ContainsFunc(each.Metrics, func(desc *metric.Desc) bool { return shown[desc] }) {
			c.seen[each.Method] = true
		}
	}
}
