//go:build linux

package collector

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// live makes the calls of a collector to a real Kamailio and returns the samples and what was dropped.
func live(t *testing.T, uri string, c *Collector, settings Settings) ([]string, []metric.Skip, error) {
	t.Helper()
	client, err := dial.New(uri)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	calls := c.Calls(settings)
	answers := make([]Reply, len(calls))
	for i, reply := range client.Do(t.Context(), calls...) {
		answers[i] = Reply{Call: calls[i], Reply: reply}
	}
	if calls := c.Again(settings, answers); len(calls) > 0 {
		answers = make([]Reply, len(calls))
		for i, reply := range client.Do(t.Context(), calls...) {
			answers[i] = Reply{Call: calls[i], Reply: reply}
		}
	}
	set := metric.NewSet()
	err = c.Collect(set, settings, answers)
	return samples(t, set), set.Skips(), err
}

func freeUDPPort(t *testing.T) int {
	t.Helper()
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLiveDestinationsWithTheSameURI has a list as in Kamailio's issue 3446: destinations of one set and URI that differ only in
// sockname or obproxy, and two that differ only in their priority.
func TestLiveDestinationsWithTheSameURI(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			list := filepath.Join(t.TempDir(), "list")
			if err := os.WriteFile(list, []byte(strings.Join([]string{
				"1 sip:127.0.0.1:5071 0 0 sockname=s1",
				"1 sip:127.0.0.1:5071 0 0 sockname=s2",
				"1 sip:127.0.0.1:5071 0 0 obproxy=sip:127.0.0.1:5081",
				"1 sip:127.0.0.1:5071 0 0 obproxy=sip:127.0.0.1:5082",
				"1 sip:127.0.0.1:5071 0 8",
				"1 sip:127.0.0.1:5071 0 9",
			}, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			k := lab.StartTest(t, lab.Options{Suite: suite, Config: fmt.Sprintf("modparam(\"dispatcher\", \"list_file\", %q)\n"+
				"listen=udp:127.0.0.1:%d name \"s1\"\nlisten=udp:127.0.0.1:%d name \"s2\"\n", list, freeUDPPort(t), freeUDPPort(t))})
			got, skips, err := live(t, k.URI("unix"), dispatcherList, Settings{})
			if err != nil {
				t.Fatal(err)
			}
			checkSkips(t, skips)
			const name = "kamailio_dispatcher_destination_priority"
			for _, want := range []string{
				name + `{duid="",index="",obproxy="",setid="1",socket="s1",uri="sip:127.0.0.1:5071"} 0`,
				name + `{duid="",index="",obproxy="",setid="1",socket="s2",uri="sip:127.0.0.1:5071"} 0`,
				name + `{duid="",index="",obproxy="sip:127.0.0.1:5081",setid="1",socket="",uri="sip:127.0.0.1:5071"} 0`,
				name + `{duid="",index="",obproxy="sip:127.0.0.1:5082",setid="1",socket="",uri="sip:127.0.0.1:5071"} 0`,
				name + `{duid="",index="",obproxy="",setid="1",socket="",uri="sip:127.0.0.1:5071"} 9`,
				name + `{duid="",index="2",obproxy="",setid="1",socket="",uri="sip:127.0.0.1:5071"} 8`,
			} {
				if !slices.Contains(got, want) {
					t.Errorf("%s is missing in\n%s", want, strings.Join(got, "\n"))
				}
			}
			if n := strings.Count(strings.Join(got, "\n"), "kamailio_dispatcher_list_target"); n != 1 {
				t.Errorf("%d series of kamailio_dispatcher_list_target, want 1", n)
			}
		})
	}
}

// TestLiveSharedMemoryOf4GiB checks the sizes of a shared memory that does not fit in 32 bits.
func TestLiveSharedMemoryOf4GiB(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			k := lab.StartTest(t, lab.Options{Suite: suite, SharedMemory: 4200})
			for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
				got, skips, err := live(t, uri, coreShmmem, Settings{})
				if err != nil {
					t.Fatal(err)
				}
				checkSkips(t, skips)
				values := map[string]float64{}
				for _, sample := range got {
					name, value, _ := strings.Cut(sample, " ")
					values[strings.TrimPrefix(name, "kamailio_core_shmmem_")], _ = strconv.ParseFloat(value, 64)
				}
				if total := values["total"]; total != 4200<<20 {
					t.Errorf("%s: total is %v", uri, total)
				}
				if sum := values["free"] + values["real_used"]; sum != values["total"] {
					t.Errorf("%s: free and real_used are %v in total, want total", uri, sum)
				}
				if len(values) != 6 || values["used"] > values["real_used"] || values["real_used"] > values["max_used"] || values["max_used"] > 64<<20 {
					t.Errorf("%s: %v", uri, values)
				}
			}
		})
	}
}

// TestLiveWrongStatistics checks some of the statistics in wrongStatistics on a Kamailio that replied to a request with 403, has
// a disabled account, and has a range of 25 %. A failure means that this Kamailio computes one of them correctly.
func TestLiveWrongStatistics(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			k := lab.StartTest(t, lab.Options{Suite: suite, Config: `modparam("registrar", "default_expires_range", 25)`})
			refuse(t, k.SIPAddr())
			settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"all"}}
			statistic := func(group, name string, value int) string {
				return fmt.Sprintf("kamailio_stats_fetch_value{group=%q,name=%q} %d", group, name, value)
			}
			again := time.NewTicker(50 * time.Millisecond) // Kamailio updates these statistics once a second
			defer again.Stop()
			var got []string
			for !slices.Contains(got, statistic("sl", "403_replies", 1)) {
				select {
				case <-t.Context().Done():
					t.Fatal("the reply 403 is not counted")
				case <-again.C:
				}
				var err error
				if got, _, err = live(t, k.URI("unix"), statsFetch, settings); err != nil {
					t.Fatal(err)
				}
			}
			for _, wrong := range []string{
				statistic("sl", "sent_err_replies", 0), statistic("uac", "regdisabled", 0), statistic("registrar", "default_expires_range", 0),
			} {
				if !slices.Contains(got, wrong) {
					t.Errorf("%s is missing: Kamailio may compute it correctly now", wrong)
				}
			}
			for registrations := []string(nil); !slices.Contains(registrations, `kamailio_uac_registrations{state="disabled"} 1`); { // loaded after the start
				select {
				case <-t.Context().Done():
					t.Fatalf("registrations %q", registrations)
				case <-again.C:
				}
				var err error
				if registrations, _, err = live(t, k.URI("unix"), uacRegDump, Settings{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// refuse sends a request to which the lab's Kamailio replies with 403, and waits for the reply.
func refuse(t *testing.T, addr string) {
	t.Helper()
	if status := request(t, addr, "INFO", "a", "", ""); !strings.HasPrefix(status, "SIP/2.0 403 ") {
		t.Fatal(status)
	}
}

// request sends a request of a user to Kamailio, and returns the first line of the response. fields are further lines of its head.
func request(t *testing.T, addr, method, user, fields, body string) string {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	from := conn.LocalAddr().String()
	uri := "sip:" + user + "@" + addr
	text := strings.Join([]string{
		method + " " + uri + " SIP/2.0", "Via: SIP/2.0/UDP " + from + ";branch=z9hG4bK" + user, "From: <" + uri + ">;tag=1",
		"To: <" + uri + ">", "Call-ID: " + user + "@" + from, "CSeq: 1 " + method, "Max-Forwards: 70",
		fields + "Content-Length: " + strconv.Itoa(len(body)), "", body,
	}, "\r\n")
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	response := make([]byte, 4096)
	n, err := conn.Read(response)
	if err != nil {
		t.Fatal(err)
	}
	status, _, _ := strings.Cut(string(response[:n]), "\r\n")
	return status
}

// TestLiveManyStatistics has a routing script with many statistics, and ctl's default buffers: from about 400 statistics,
// stats.fetch faults, and from about 1,060, the reply of stats.get_statistics lacks lines.
func TestLiveManyStatistics(t *testing.T) {
	for _, suite := range lab.Suites() {
		for n, complete := range map[int]bool{400: true, 1000: true, 1500: false} {
			t.Run(fmt.Sprint(suite, n), func(t *testing.T) {
				var config strings.Builder
				for i := range n {
					fmt.Fprintf(&config, "modparam(\"statistics\", \"variable\", \"my_statistic_%04d\")\n", i)
				}
				k := lab.StartTest(t, lab.Options{Suite: suite, Config: config.String()})
				got, skips, err := live(t, k.URI("unix"), statsFetch, Settings{StatsGroups: []string{"script"}})
				checkSkips(t, skips)
				if (err == nil) != complete {
					t.Errorf("error %v", err)
				}
				found := 0
				for _, sample := range got {
					if strings.HasPrefix(sample, `kamailio_stats_fetch_value{group="script",name="my_statistic_`) {
						found++
					}
				}
				if (found == n) != complete || found < min(n, 1000) {
					t.Errorf("%d of %d statistics of the script have samples", found, n)
				}
				if !slices.ContainsFunc(got, func(sample string) bool { return strings.HasPrefix(sample, "kamailio_shmem_total_bytes ") }) {
					t.Error("the statistics of other groups are missing")
				}
			})
		}
	}
}

// TestLiveSharedVariables has variables with an integer and with texts, one of them named like a number, and a name that
// Kamailio does not have.
func TestLiveSharedVariables(t *testing.T) {
	const config = `
modparam("pv", "shvset", "maintenance=i:1")
modparam("pv", "shvset", "balance=i:-3")
modparam("pv", "shvset", "ratio=s:17.5")
modparam("pv", "shvset", "7=i:7")
modparam("pv", "shvset", "word=s:s3cret")
`
	settings := Settings{SharedVariables: []string{"maintenance", "balance", "ratio", "7", "word", "nosuch"}}
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Config: config})
		for _, uri := range []string{k.URI("unix"), k.JSONRPCURL(), "jsonrpc+unixgram:" + filepath.Join(k.Dir, "kamailio_rpc.sock")} {
			got, skips, err := live(t, uri, pvShvGet, settings)
			if want := "pv.shvGet nosuch: Kamailio replied with fault 404: Variable not found"; err == nil || err.Error() != want {
				t.Errorf("%s: error %v, want %s", uri, err, want)
			}
			checkSamples(t, got,
				`kamailio_shv_value{name="maintenance"} 1`,
				`kamailio_shv_value{name="balance"} -3`,
				`kamailio_shv_value{name="ratio"} 17.5`,
				`kamailio_shv_value{name="7"} 7`,
			)
			checkSkips(t, skips, metric.Skip{Collector: "pv.shvGet", Reason: metric.NotANumber, Count: 1, Example: "$shv(word)"})
		}
	})
}

// TestLiveUnknownStatistics has names of statistics and groups that Kamailio does not have, also where stats.get_statistics is
// called because the reply of stats.fetch does not fit in ctl's buffer.
func TestLiveUnknownStatistics(t *testing.T) {
	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, "modparam(\"statistics\", \"variable\", \"my_statistic_%04d\")\n", i)
	}
	settings := Settings{Named: []string{"stats.fetch"}, StatsGroups: []string{"script:my_calls", "script:nosuch", "tmx", "nosuch", "tmx:"}}
	lab.EachSuite(t, func(t *testing.T, suite string) {
		for _, config := range []string{"", many.String()} {
			k := lab.StartTest(t, lab.Options{Suite: suite, Config: config})
			for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
				got, _, err := live(t, uri, statsFetch, settings)
				checkLacks(t, err, "script:nosuch, nosuch")
				if want := `kamailio_stats_fetch_value{group="script",name="my_calls"} 0`; !slices.Contains(got, want) {
					t.Errorf("%s: %s is missing", uri, want)
				}
			}
		}
	})
}

// TestLiveOverJSONRPC checks that every method that is called over JSON-RPC gives the same series as over BINRPC, no error, and that
// nothing is dropped. Values and labels of methods that auto calls may change between two calls, so only names are compared.
// secfilter.stats of 5.6 is empty over JSON-RPC.
func TestLiveOverJSONRPC(t *testing.T) {
	const config = `
loadmodule "call_obj.so"
modparam("call_obj", "start", 1)
modparam("call_obj", "end", 100)
loadmodule "secfilter.so"
modparam("secfilter", "db_url", "text://LAB_DIR/dbtext")
modparam("pv", "shvset", "maintenance=i:1")
`
	settings := Settings{DialogProfiles: []DialogProfile{{"all", ""}}, HtableKeys: []HtableKey{{"calls", "total"}}, SharedVariables: []string{"maintenance"}}
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			l := startLiveTables(t, suite, lab.Options{Config: config, Rows: map[string]string{"secfilter": "1:0:2:friendly-scanner\n"}})
			l.saveAll(t, 3)
			l.reload(t)
			k := l.k
			offered, err := k.Kamcmd(t.Context(), "system.listMethods")
			if err != nil {
				t.Fatal(err)
			}
			compared := map[bool]int{}
			for _, c := range All {
				if c.BINRPCOnly || !slices.Contains(strings.Fields(offered), c.Method) {
					continue
				}
				compared[c.Auto]++
				want, _, err := live(t, k.URI("unix"), c, settings)
				if err != nil {
					t.Errorf("%s: %v", c.Method, err)
				}
				for _, uri := range []string{k.JSONRPCURL(), "jsonrpc+unixgram:" + filepath.Join(k.Dir, "kamailio_rpc.sock")} {
					got, skips, err := live(t, uri, c, settings)
					if err != nil || len(skips) > 0 || !slices.Equal(stable(c, got), stable(c, want)) {
						t.Errorf("%s over %s: dropped %v, error %v, samples\n%s\nwant\n%s", c.Method, uri, skips, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			}
			if compared[true] < 20 || compared[false] < 10 {
				t.Errorf("%d methods of auto and %d others compared", compared[true], compared[false])
			}
		})
	}
}

// stable returns the parts of samples that do not change between two calls: the names if auto calls the collector's method.
func stable(c *Collector, samples []string) []string {
	if !c.Auto {
		return samples
	}
	var names []string
	for _, sample := range samples {
		names = append(names, sample[:strings.IndexAny(sample, "{ ")])
	}
	return names
}
