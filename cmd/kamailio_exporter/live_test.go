//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveTransports scrapes a Kamailio with all modules of the lab over each kind of socket. All methods of auto succeed, and
// no field of a reply is dropped.
func TestLiveTransports(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
			t.Run(transport, func(t *testing.T) {
				e := start(t, "-u", k.URI(transport))
				for range 2 {
					p := e.scrape()
					p.check(t, "kamailio_up", 1)
					p.checkAllSucceeded(t)
					p.check(t, "kamailio_core_shmmem_total", 128<<20)
					p.check(t, `kamailio_dispatcher_list_target{flags="AX",setid="1",uri="sip:127.0.0.1:5071"}`, 1)
				}
			})
		}
	})
}

// checkAllSucceeded checks that no scrape and no collector failed, and that no field was dropped.
func (p page) checkAllSucceeded(t *testing.T) {
	t.Helper()
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	collectors := 0
	for series, value := range p {
		switch {
		case strings.HasPrefix(series, "kamailio_exporter_collector_success{"):
			collectors++
			if value != 1 {
				t.Errorf("%s is %v", series, value)
			}
		case strings.HasPrefix(series, "kamailio_exporter_skipped_total{"):
			t.Errorf("%s is %v, want no series", series, value)
		}
	}
	if collectors < 20 {
		t.Errorf("%d collectors, want all that the lab's modules have methods for", collectors)
	}
}

// TestLiveMinimal has a Kamailio with few modules.
func TestLiveMinimal(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	p := start(t, "-u", k.URI("unix")).scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	p.check(t, `kamailio_exporter_collector_success{collector="tm.stats"}`, 1)
	if p.has("kamailio_dispatcher_") || p.has(`kamailio_exporter_collector_success{collector="dispatcher.list"}`) {
		t.Error("the page has series of the dispatcher")
	}

	e := start(t, "-u", k.URI("unix"), "-m", "dispatcher.list,core.uptime")
	p = e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 1)
	p.check(t, `kamailio_exporter_collector_success{collector="core.uptime"}`, 1)
	p.check(t, `kamailio_exporter_collector_success{collector="dispatcher.list"}`, 0)
	if p.has("kamailio_tm_stats") {
		t.Error("the page has series of a method that is not named")
	}
	e.awaitLog(`load the Kamailio module that it belongs to`)
}

// TestLiveMethodNamedByItsSettingFails has a setting for a method that this Kamailio does
// not have.
func TestLiveMethodNamedByItsSettingFails(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	p := start(t, "-u", k.URI("unix"), "--kamailio.htable-keys", "calls=>total").scrape()
	p.check(t, `kamailio_exporter_collector_success{collector="htable.get"}`, 0)
	p.check(t, `kamailio_exporter_collector_success{collector="core.uptime"}`, 1)
}

func TestLiveEmptyDispatcher(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{NoDestinations: true})
	p := start(t, "-u", k.URI("unix")).scrape()
	p.check(t, `kamailio_exporter_collector_success{collector="dispatcher.list"}`, 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	if p.has("kamailio_dispatcher_") {
		t.Error("the page has destinations")
	}
}

// TestLiveSmallBuffers has a ctl with buffers that are too small for the list of its
// methods.
func TestLiveSmallBuffers(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Config: `modparam("ctl", "binrpc_max_body_size", 1)`})
	e := start(t, "-u", k.URI("unix"))
	p := e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, `kamailio_exporter_collector_success{collector="tm.stats"}`, 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
}

func TestLivePermissionDenied(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	cmd := command(context.WithoutCancel(t.Context()), "-l", "127.0.0.1:0", "-u", k.URI("unix"))
	if os.Geteuid() != 0 {
		if err := os.Chmod(strings.TrimPrefix(k.URI("unix"), "unix:"), 0); err != nil {
			t.Fatal(err)
		}
	} else { // root may connect, so run as another user
		cmd.Path = copyForAll(t, cmd.Path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	e := startCommand(t, cmd)
	e.scrape().check(t, "kamailio_up", 0)
	e.awaitLog(`permission denied.*mode\\", 0660.*group`)
}

// copyForAll copies a program to a directory from which all users can run it.
func copyForAll(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exporter")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Another process makes the copy: if this process had the file open for writing, children of parallel tests would inherit
	// it, and such a file cannot be executed.
	file := filepath.Join(dir, "exporter")
	if out, err := exec.CommandContext(t.Context(), "install", "-m", "755", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// TestLiveRestart restarts Kamailio while the exporter is running.
func TestLiveRestart(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			k := lab.StartTest(t, lab.Options{Minimal: true})
			e := start(t, "-u", k.URI(transport))
			e.scrape().check(t, "kamailio_up", 1)
			if err := k.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := e.scrape()
			p.check(t, "kamailio_up", 1)
			p.check(t, "kamailio_exporter_failed_scrapes", 0)
		})
	}
}

// TestLiveHang pauses Kamailio, so that it neither replies nor closes its connections.
// Scrapes end in time and do not wait for each other. They succeed when Kamailio
// continues.
func TestLiveHang(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	e := start(t, "-u", k.URI("unix"), "-t", "2s")
	e.scrape().check(t, "kamailio_up", 1)
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	var scrapes sync.WaitGroup
	for range 20 {
		scrapes.Go(func() {
			response, body := e.get("/metrics")
			parsePage(t, body).check(t, "kamailio_up", 0)
			if response.StatusCode != http.StatusOK {
				t.Errorf("status %s", response.Status)
			}
		})
	}
	scrapes.Wait()
	if took := time.Since(before); took > 15*time.Second {
		t.Errorf("20 scrapes of a hanging Kamailio took %v, want at most 15s", took)
	}
	e.awaitLog(`did not reply in time`)
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
	e.scrape().check(t, "kamailio_up", 1)
}

// TestLiveSlowReader has a proxy that pauses between the exporter and a Kamailio with
// 4,000 destinations. Kamailio drops the rest of the reply. The exporter repeats the call
// on a new connection, and the scrape is complete.
func TestLiveSlowReader(t *testing.T) { // not parallel: Kamailio drops a reply that is not read fast enough
	const more = 4000
	k := lab.StartTest(t, lab.Options{Destinations: more})
	proxy := startSlowProxy(t, k)
	e := start(t, "-u", "unix:"+proxy.path, "-t", "10s")
	p := e.scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)
	destinations := 0
	for series := range p {
		if strings.HasPrefix(series, "kamailio_dispatcher_destination_priority{") {
			destinations++
		}
	}
	if destinations != more+5 {
		t.Errorf("%d destinations, want %d", destinations, more+5)
	}
	if n := proxy.connections(); n != 2 {
		t.Errorf("the exporter made %d connections, want 2: the first reply is incomplete", n)
	}
	before := time.Now()
	e.scrape().check(t, "kamailio_exporter_failed_scrapes", 0)
	t.Logf("a scrape of %d destinations took %v", destinations, time.Since(before))
	if n := proxy.connections(); n != 2 {
		t.Errorf("the exporter made %d connections, want 2: it must reuse the second one", n)
	}
}

// slowProxy is a proxy for connections to Kamailio. On the first connection, it pauses in
// the middle of a large reply until Kamailio has dropped the rest.
type slowProxy struct {
	path string
	to   *lab.Kamailio

	mu sync.Mutex
	n  int
}

func (p *slowProxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func startSlowProxy(t *testing.T, to *lab.Kamailio) *slowProxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "kl")
	if err != nil {
		t.Fatal(err)
	}
	p := &slowProxy{path: filepath.Join(dir, "ctl"), to: to}
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.n++
			first := p.n == 1
			p.mu.Unlock()
			running.Go(func() { p.pass(t, client, first) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
		os.RemoveAll(dir)
	})
	return p
}

func (p *slowProxy) pass(t *testing.T, client net.Conn, slow bool) {
	defer client.Close()
	server, err := net.Dial("unix", strings.TrimPrefix(p.to.URI("unix"), "unix:"))
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	if slow {
		_, _ = io.CopyN(client, server, 100_000)
		// One process of Kamailio serves ctl: it replies to kamcmd when it has dropped the rest of the reply.
		if _, err := p.to.Kamcmd(context.WithoutCancel(t.Context()), "core.version"); err != nil {
			t.Error(err)
		}
	}
	_, _ = io.Copy(client, server)
}

// TestLiveSeriesEqualThoseOfKamcmd compares each series with the output of kamcmd before
// and after the scrape: its value must be between the two. A gauge can leave that range
// during a scrape, so there are several tries. A wrong metric fails in all of them.
func TestLiveSeriesEqualThoseOfKamcmd(t *testing.T) {
	methods := []string{"tm.stats", "sl.stats", "core.shmmem", "core.uptime", "core.info", "core.tcp_info",
		"tls.info", "dlg.stats_active", "dmq.list_nodes", "dispatcher.list"}
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Destinations: 20})
		lab.StartTraffic(t, k)
		e := start(t, "-u", k.URI("unix"), "-m", strings.Join(methods, ","))
		var wrong []string
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			before := readKamcmd(t, k, methods)
			p := e.scrape()
			after := readKamcmd(t, k, methods)
			if wrong = p.outside(before, after); len(wrong) == 0 && p["kamailio_tm_stats_total_total"] > 20 {
				return
			}
		}
		t.Errorf("the page differs from kamcmd:\n%s", strings.Join(wrong, "\n"))
	})
}

// outside returns the series whose values are not between two readings, and the readings
// without a series.
func (p page) outside(before, after map[string]float64) []string {
	var wrong []string
	for series, value := range p {
		if !strings.HasPrefix(series, "kamailio_") || strings.HasPrefix(series, "kamailio_exporter_") || series == "kamailio_up" {
			continue
		}
		low, lowOK := before[series]
		high, highOK := after[series]
		if low > high {
			low, high = high, low
		}
		// The exporter multiplies to convert units and the test divides, so the last bits may differ.
		margin := 1e-12 * math.Abs(value)
		if !lowOK || !highOK || value < low-margin || value > high+margin {
			wrong = append(wrong, fmt.Sprintf("%s %v, kamcmd: %v (%t) and %v (%t)", series, value, low, lowOK, high, highOK))
		}
	}
	for series := range before {
		if _, ok := p[series]; !ok {
			wrong = append(wrong, series+" is missing")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// readKamcmd calls each method with kamcmd, and returns the series expected for its output.
func readKamcmd(t *testing.T, k *lab.Kamailio, methods []string) map[string]float64 {
	t.Helper()
	series := map[string]float64{}
	for _, method := range methods {
		out, err := k.Kamcmd(t.Context(), method)
		if err != nil {
			t.Fatal(err)
		}
		fields := parseKamcmd(out)
		switch method {
		case "dispatcher.list":
			expectDestinations(t, fields, series)
		case "dmq.list_nodes":
			for _, node := range fields {
				series[fmt.Sprintf(`kamailio_dmq_list_nodes_node{host=%q,local=%q,port=%q,status=%q}`,
					node.get("host"), node.get("local"), node.get("port"), node.get("status"))] = 1
				for _, state := range []string{"active", "disabled", "not_active", "pending", "timeout"} {
					series[fmt.Sprintf(`kamailio_dmq_node_state{host=%q,port=%q,proto=%q,state=%q}`,
						node.get("host"), node.get("port"), node.get("proto"), state)] = is(node.get("status") == state)
				}
				if text := node.get("fail_count"); text != "" { // since 6.1
					series[fmt.Sprintf(`kamailio_dmq_node_consecutive_timeouts{host=%q,port=%q,proto=%q}`,
						node.get("host"), node.get("port"), node.get("proto"))] = number(t, text)
				}
			}
		case "core.info":
			series[fmt.Sprintf(`kamailio_build_info{compiled=%q,compiler=%q,name="kamailio",revision=%q,version=%q}`,
				fields[0].get("compiled"), fields[0].get("compiler"), fields[0].get("id"),
				strings.TrimPrefix(fields[0].get("version"), "kamailio "))] = 1
		default:
			expectNumbers(t, method, fields[0], series)
		}
	}
	return series
}

// expectNumbers adds the series expected for a struct of numbers.
func expectNumbers(t *testing.T, method string, fields kamcmdStruct, series map[string]float64) {
	t.Helper()
	name := "kamailio_" + strings.ReplaceAll(method, ".", "_") + "_"
	for _, field := range fields.members {
		switch code := regexp.MustCompile(`^\d?\d?\d?x?x?x?$`); {
		case field.name == "now":
		case field.name == "up_since":
			since, err := time.ParseInLocation(time.ANSIC, field.text, time.Local)
			if err != nil {
				t.Fatal(err)
			}
			series["kamailio_start_time_seconds"] = float64(since.Unix())
		case code.MatchString(field.name):
			series[fmt.Sprintf("%scodes_total{code=%q}", name, field.name)] = unsigned(t, field.text)
		case method == "tm.stats" && field.name == "current", method == "tm.stats" && field.name == "waiting":
			series[name+field.name] = number(t, field.text)
		case method == "tm.stats", method == "core.uptime":
			series[name+field.name+"_total"] = unsigned(t, field.text)
		default:
			series[name+field.name] = number(t, field.text)
		}
	}
}

// expectDestinations adds the series expected for dispatcher.list.
func expectDestinations(t *testing.T, reply []kamcmdStruct, series map[string]float64) {
	t.Helper()
	for _, set := range reply[0].all("RECORDS")[0].all("SET") {
		id := set.get("ID")
		for _, destination := range set.all("TARGETS")[0].all("DEST") {
			uri, flags := destination.get("URI"), destination.get("FLAGS")
			series[fmt.Sprintf(`kamailio_dispatcher_list_target{flags=%q,setid=%q,uri=%q}`, flags, id, uri)] = 1
			var attrs kamcmdStruct
			if all := destination.all("ATTRS"); len(all) > 0 {
				attrs = all[0]
			}
			text := func(name string) string { return strings.ReplaceAll(attrs.get(name), "<null string>", "") }
			labels := func(more string) string {
				return fmt.Sprintf(`{duid=%q,index="",obproxy="",setid=%q,socket=%q,%suri=%q}`, text("DUID"), id, text("SOCKET"), more, uri)
			}
			const prefix = "kamailio_dispatcher_destination_"
			for letter, state := range map[string]string{"A": "active", "I": "inactive", "D": "disabled", "T": "trying"} {
				series[prefix+"state"+labels(fmt.Sprintf("state=%q,", state))] = is(flags[:1] == letter)
			}
			series[prefix+"probing"+labels("")] = is(flags[1:] == "P")
			series[prefix+"priority"+labels("")] = number(t, destination.get("PRIORITY"))
			for field, metric := range map[string]string{"MAXLOAD": "max_load", "WEIGHT": "weight", "RWEIGHT": "relative_weight"} {
				if attrs.members != nil {
					series[prefix+metric+labels("")] = number(t, attrs.get(field))
				}
			}
			for field, bound := range map[string]string{"OCMIN": "min", "OCMAX": "max"} { // since 6.0
				if text := attrs.get(field); text != "" {
					series[prefix+"overload_rate_"+bound+"_ratio"+labels("")] = number(t, text) / 100
				}
			}
			if text := attrs.get("PROBING_COUNT"); text != "" { // since 6.0.3
				series[prefix+"probing_count"+labels("")] = number(t, text)
			}
			latency := destination.all("LATENCY")[0]
			for field, metric := range map[string]string{"AVG": "average", "STD": "stddev", "EST": "estimate", "MAX": "max"} {
				series[prefix+"latency_"+metric+"_seconds"+labels("")] = number(t, latency.get(field)) / 1000
			}
			series[prefix+"timeouts_total"+labels("")] = number(t, latency.get("TIMEOUT"))
		}
	}
}

func is(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// unsigned parses an unsigned integer of 32 bits that kamcmd prints as signed.
func unsigned(t *testing.T, text string) float64 {
	t.Helper()
	return math.Mod(number(t, text)+1<<32, 1<<32)
}

// kamcmdStruct is a struct as kamcmd prints it.
type kamcmdStruct struct {
	members []kamcmdMember
}

type kamcmdMember struct {
	name, text string
	inner      *kamcmdStruct
}

func (s kamcmdStruct) get(name string) string {
	for _, member := range s.members {
		if member.name == name {
			return member.text
		}
	}
	return ""
}

func (s kamcmdStruct) all(name string) []kamcmdStruct {
	var found []kamcmdStruct
	for _, member := range s.members {
		if member.name == name && member.inner != nil {
			found = append(found, *member.inner)
		}
	}
	return found
}

// parseKamcmd parses structs in the output of kamcmd.
func parseKamcmd(out string) []kamcmdStruct {
	var root kamcmdStruct
	open := []*kamcmdStruct{&root}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		inner := open[len(open)-1]
		name, text, _ := strings.Cut(line, ": ")
		switch {
		case strings.HasSuffix(line, "{"):
			member := kamcmdMember{name: strings.TrimSuffix(line, ": {"), inner: &kamcmdStruct{}}
			inner.members = append(inner.members, member)
			open = append(open, member.inner)
		case line == "}":
			open = open[:len(open)-1]
		case line != "":
			inner.members = append(inner.members, kamcmdMember{name: strings.TrimSuffix(name, ":"), text: text})
		}
	}
	var structs []kamcmdStruct
	for _, member := range root.members {
		if member.inner != nil {
			structs = append(structs, *member.inner)
		}
	}
	return structs
}

// TestLivePromtool checks the page with promtool. It complains only about names of v0 to
// v2, which must not change.
func TestLivePromtool(t *testing.T) {
	t.Parallel()
	promtool, err := lab.Tool(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	k := lab.StartTest(t, lab.Options{})
	e := start(t, "-u", k.URI("unix"), "-m", "auto,dlg.stats_active")
	_, body := e.get("/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(body))
	out, _ := cmd.CombinedOutput() // exits with status 3 if it complains
	want := []string{
		`kamailio_core_shmmem_total non-counter metrics should not have "_total" suffix`,
		`kamailio_exporter_failed_scrapes counter metrics should have "_total" suffix`,
		`kamailio_exporter_total_scrapes counter metrics should have "_total" suffix`,
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the output of promtool is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestLiveCreatedTimestamps gets the page in protobuf, which has the start time of
// counters.
func TestLiveCreatedTimestamps(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{Minimal: true})
	e := start(t, "-u", k.URI("unix"))
	start := e.scrape()["kamailio_start_time_seconds"]
	if since := float64(time.Now().Unix()) - start; since < 0 || since > 600 {
		t.Errorf("Kamailio started %v s ago", since)
	}
	counter := e.getFamilies()["kamailio_tm_stats_created_total"].GetMetric()[0].GetCounter()
	if created := counter.GetCreatedTimestamp(); float64(created.GetSeconds()) != start {
		t.Errorf("the counter was created at %v, Kamailio started at %v", created, start)
	}
}
