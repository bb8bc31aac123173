//go:build linux

package torture

import (
	"context"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

const (
	// moreDestinations is the number of dispatcher destinations beyond the five of the lab.
	moreDestinations = 400
	// sharedMemory is the size of Kamailio's shared memory in the lab, in bytes.
	sharedMemory = 128 << 20
)

// TestKamailioInTrouble restarts, kills and reloads a Kamailio, and takes its socket and its connections away, while four clients
// scrape it. The pages are never false, and the first scrape after each trouble is whole.
func TestKamailioInTrouble(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 100
	}
	// By default, Kamailio refuses a reload within 5 s after another.
	k := lab.StartTest(t, lab.Options{Destinations: moreDestinations, Config: `modparam("dispatcher", "reload_delta", 0)`})
	o := &outages{Kamailio: k, exporter: start(t, "-u", k.URI("unix"), "-t", "30s")}
	o.healthy = namesOf(o.wholePage(t))
	stop := o.startClients(t, 4)
	for round := range rounds {
		for name, trouble := range map[string]func(t *testing.T){
			"a restart": o.restart, "a kill": o.kill, "a removed socket": o.removeSocket, "too many connections": o.takeConnections, "a reload": o.reload,
		} {
			trouble(t)
			o.scrape(t) // it can share a poll that began before the end of the trouble
			if missing := missing(o.healthy, namesOf(o.wholePage(t))); len(missing) > 0 {
				t.Errorf("round %d: the first page after %s has no %q", round, name, missing)
			}
			o.starts.Add(o.starts.Load() % 2)
		}
	}
	t.Logf("%d rounds of 5 troubles, %d scrapes by the clients, %d of them while Kamailio did not reply", rounds, o.scrapes.Load(), o.down.Load())
	stop()
}

// outages makes trouble for a Kamailio that is scraped.
type outages struct {
	*lab.Kamailio
	exporter      *exporter
	healthy       []string     // the names of the families of a whole page
	starts        atomic.Int32 // raised before each end of Kamailio, and after its first whole page: odd between them
	scrapes, down atomic.Int32
}

func (o *outages) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *outages) restart(t *testing.T) {
	o.starts.Add(1)
	o.must(t, o.Restart(t.Context()))
}

func (o *outages) kill(t *testing.T) {
	o.starts.Add(1)
	o.must(t, o.Kill())
	o.wantUp(t, 0)
	o.must(t, o.Restart(t.Context()))
}

// removeSocket takes the path of the socket away while the connection of the exporter stays, and then the connection too.
func (o *outages) removeSocket(t *testing.T) {
	path := strings.TrimPrefix(o.URI("unix"), "unix:")
	o.must(t, os.Rename(path, path+".away"))
	o.wantUp(t, 1)
	o.must(t, os.Rename(path+".away", path))
}

// takeConnections takes all connections that ctl serves. The exporter has its own already.
func (o *outages) takeConnections(t *testing.T) {
	for range 1000 {
		conn, err := net.Dial("unix", strings.TrimPrefix(o.URI("unix"), "unix:"))
		o.must(t, err)
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = rpc.One(ctx, binrpc.NewConn(conn, binrpc.Options{}), "core.uptime")
		cancel()
		if err != nil {
			o.wantUp(t, 1)
			return
		}
	}
	t.Error("ctl serves 1,000 connections, want at most 128")
}

func (o *outages) reload(t *testing.T) {
	if out, err := o.Kamcmd(t.Context(), "dispatcher.reload"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// wantUp checks the result of a poll that begins after the call.
func (o *outages) wantUp(t *testing.T, want float64) {
	t.Helper()
	o.scrape(t) // it can share a poll that began before
	if up := o.scrape(t)["kamailio_up"]; up != want {
		t.Errorf("kamailio_up is %v, want %v", up, want)
	}
}

// wholePage scrapes once and checks that nothing failed.
func (o *outages) wholePage(t *testing.T) map[string]float64 {
	t.Helper()
	page := o.scrape(t)
	for series, value := range page {
		if value != 1 && (series == "kamailio_up" || strings.HasPrefix(series, "kamailio_exporter_collector_success{")) {
			t.Errorf("%s is %v", series, value)
		}
	}
	return page
}

// notFromRPC matches series about the exporter, and series from what Linux knows about Kamailio.
var notFromRPC = regexp.MustCompile(`^kamailio_(exporter|process|socket)_`)

// scrape returns the samples of a page, and checks those that must not be false.
func (o *outages) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	page := samplesOf(o.exporter.mustGet(t, "/metrics"))
	destinations := 0
	for series := range page {
		switch {
		case strings.HasPrefix(series, "kamailio_dispatcher_destination_priority{"):
			destinations++
		case page["kamailio_up"] == 0 && series != "kamailio_up" && strings.HasPrefix(series, "kamailio_") && !notFromRPC.MatchString(series):
			t.Errorf("Kamailio did not reply, but the page has %s", series)
		}
	}
	if success := page[`kamailio_exporter_collector_success{collector="dispatcher.list"}`]; success == 1 && destinations != moreDestinations+5 || success == 0 && destinations != 0 {
		t.Errorf("%d destinations, success of dispatcher.list %v", destinations, success)
	}
	if total, ok := page["kamailio_core_shmmem_total"]; ok && total != sharedMemory {
		t.Errorf("kamailio_core_shmmem_total is %v", total)
	}
	return page
}

// startClients starts clients that scrape all the time. The returned function ends them.
func (o *outages) startClients(t *testing.T, n int) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			c := client{outages: o}
			next := time.NewTicker(200 * time.Millisecond)
			defer next.Stop()
			for {
				select {
				case <-end:
					return
				case <-next.C:
					c.scrape(t)
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(end)
		running.Wait()
	})
}

// resetByReload is a counter that Kamailio sets to 0 at dispatcher.reload.
const resetByReload = "kamailio_dispatcher_destination_timeouts_total"

// client compares each page with the one before it.
type client struct {
	*outages
	last  map[string]float64
	start int32 // the value of starts when last was scraped
}

func (c *client) scrape(t *testing.T) {
	t.Helper()
	before := c.starts.Load()
	page := c.outages.scrape(t)
	same := before == c.start && before%2 == 0 && c.starts.Load() == before
	c.scrapes.Add(1)
	if page["kamailio_up"] == 0 {
		c.down.Add(1)
	}
	for series, value := range page {
		name, _, _ := strings.Cut(series, "{")
		isCounter := strings.HasSuffix(name, "_total") && name != resetByReload
		own := strings.HasPrefix(series, "kamailio_exporter_")
		if last, ok := c.last[series]; ok && isCounter && (own || same) && value < last {
			t.Errorf("%s went back from %v to %v", series, last, value)
		}
	}
	if c.start != before || c.last == nil {
		c.last, c.start = page, before
		return
	}
	for series, value := range page { // a series that is absent on a page is compared with the page before
		c.last[series] = value
	}
}

// namesOf returns the names of the families, without those about the exporter.
func namesOf(page map[string]float64) []string {
	names := map[string]bool{}
	for series := range page {
		name, _, _ := strings.Cut(series, "{")
		if strings.HasPrefix(name, "kamailio_") && !strings.HasPrefix(name, "kamailio_exporter_") {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
