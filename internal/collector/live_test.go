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

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// live calls a collector's methods on a real Kamailio and returns the samples and what was skipped.
func live(t *testing.T, uri string, c *Collector, settings Settings) ([]string, []metric.Skip, error) {
	t.Helper()
	client, err := dial.New(uri)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // only read from
	calls := c.Calls(settings)
	answers := make([]Answer, len(calls))
	for i, reply := range client.Do(t.Context(), calls...) {
		answers[i] = Answer{calls[i], reply}
	}
	if calls := c.Again(settings, answers); len(calls) > 0 {
		answers = make([]Answer, len(calls))
		for i, reply := range client.Do(t.Context(), calls...) {
			answers[i] = Answer{calls[i], reply}
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

// TestLiveDestinationsThatDiffer has a list as kamailio issue 3446 has them: destinations of one set and URI that differ in
// sockname or obproxy alone, and two that differ in nothing but their priority.
func TestLiveDestinationsThatDiffer(t *testing.T) {
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
					t.Errorf("there is no %s in\n%s", want, strings.Join(got, "\n"))
				}
			}
			if n := strings.Count(strings.Join(got, "\n"), "kamailio_dispatcher_list_target"); n != 1 {
				t.Errorf("%d series of kamailio_dispatcher_list_target", n)
			}
		})
	}
}

// TestLiveSharedMemoryOf4GiB compares the series of versions 0 to 2 with Kamailio's own statistics, which are not cut.
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
					t.Errorf("%s: the total is %v", uri, total)
				}
				if sum := values["free"] + values["real_used"]; sum != values["total"] {
					t.Errorf("%s: free and used are %v together", uri, sum)
				}
				if len(values) != 6 || values["used"] > values["real_used"] || values["real_used"] > values["max_used"] || values["max_used"] > 64<<20 {
					t.Errorf("%s: %v", uri, values)
				}
			}
		})
	}
}
