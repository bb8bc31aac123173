//go:build linux

package torture

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

var (
	// onlyBINRPC matches families that the exporter reads only over BINRPC.
	onlyBINRPC = regexp.MustCompile(`^kamailio_(ctl|dns_cache|ratelimit)_`)
	// moving matches families whose values change between scrapes, or differ between the processes that reply.
	moving = regexp.MustCompile(`^kamailio_(core_(uptime|shmmem)|pkg|process|shmem|sl|socket|tcp|tm|tmx)_`)
)

// TestTinyBuffers has Kamailios whose buffers of ctl are too small for some replies, while four clients scrape them. Pages are
// compared with those of the same Kamailio over JSON-RPC, which has other buffers: what differs is absent, and its method failed.
func TestTinyBuffers(t *testing.T) {
	t.Parallel()
	sizes := [][3]int{{1, 32, 28}}
	if *long {
		sizes = append(sizes, [][3]int{{1, 1, 28}, {1, 1, 1024}, {8, 32, 8}}...)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			testTinyBuffers(t, fmt.Sprintf(`
modparam("ctl", "binrpc_struct_max_body_size", %d)
modparam("ctl", "binrpc_max_body_size", %d)
modparam("ctl", "binrpc_buffer_size", %d)
`, size[0], size[1], size[2]))
		})
	}
}

func testTinyBuffers(t *testing.T, config string) {
	options := lab.Options{Destinations: 60, Config: config}
	k := lab.StartTest(t, options)
	http := watch(t, k, options, start(t, "-u", k.JSONRPCURL(), "-t", "30s"))
	w := &watched{Kamailio: k, exporter: start(t, "-u", k.URI("unix"), "-t", "30s"), destinations: http.destinations}
	defer w.startClients(t)()
	w.awaitScrapes(t)
	before := http.wholePage(t)
	page := w.scrape(t)
	after := http.wholePage(t)
	failed := failedFamilies(page)
	for series, value := range before {
		name, _, _ := strings.Cut(series, "{")
		got, ok := page[series]
		switch {
		case !strings.HasPrefix(name, "kamailio_") || strings.HasPrefix(name, "kamailio_exporter_"):
		case !ok && !slices.Contains(failed, name):
			t.Errorf("the page has no %s, though its method succeeded", series)
		case ok && value == after[series] && value != got && !moving.MatchString(name):
			t.Errorf("%s is %v, and %v over JSON-RPC", series, got, value)
		}
	}
	for series := range page {
		name, _, _ := strings.Cut(series, "{")
		fromRPC := strings.HasPrefix(name, "kamailio_") && !notFromRPC.MatchString(name)
		if _, ok := after[series]; fromRPC && !ok && !onlyBINRPC.MatchString(name) {
			t.Errorf("Kamailio does not have %s over JSON-RPC", series)
		}
	}
	if len(failed) == 0 {
		t.Error("no method failed")
	}
}

// failedFamilies returns the names of the families of the methods that failed.
func failedFamilies(page map[string]float64) []string {
	var failed []string
	for _, c := range collector.All {
		if success, ok := page[successes+`collector="`+c.Method+`"}`]; ok && success == 0 {
			for _, desc := range c.Metrics {
				failed = append(failed, desc.Name)
			}
		}
	}
	return failed
}
