//go:build linux

package torture

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// labDestinations is the number of dispatcher destinations that the lab's Kamailio always has.
const labDestinations = 5

// watched is a Kamailio that an exporter polls. Each page is checked: it must not have what Kamailio did not send.
type watched struct {
	*lab.Kamailio
	exporter     *exporter
	destinations int // of dispatcher.list

	whole         map[string]float64 // a page without trouble; nil while it is scraped
	families      map[string]bool    // the names of its families
	starts        atomic.Int32       // raised before each end of Kamailio, and after its first whole page: odd between them
	scrapes, down atomic.Int32       // numbers of scrapes by the clients, and of those without a reply
}

// watch starts an exporter of a Kamailio, and scrapes a page without trouble.
func watch(t *testing.T, k *lab.Kamailio, options lab.Options, e *exporter) *watched {
	t.Helper()
	w := &watched{Kamailio: k, exporter: e, destinations: options.Destinations + labDestinations}
	w.whole = w.wholePage(t)
	w.families = namesOf(w.whole)
	return w
}

// wholePage scrapes once and checks that nothing failed, and that no family is missing except these.
func (w *watched) wholePage(t *testing.T, except ...string) map[string]float64 {
	t.Helper()
	page := w.scrape(t)
	for series, value := range page {
		if value != 1 && (series == "kamailio_up" || strings.HasPrefix(series, successes)) {
			t.Errorf("%s is %v", series, value)
		}
	}
	names := namesOf(page)
	for name := range w.families {
		if !names[name] && !slices.Contains(except, name) {
			t.Errorf("the page has no %s", name)
		}
	}
	return page
}

// recovers checks that the first poll that begins after the call is whole.
func (w *watched) recovers(t *testing.T) {
	t.Helper()
	w.scrape(t) // it can share a poll that began before the end of the trouble
	w.wholePage(t)
	w.starts.Add(w.starts.Load() % 2)
}

// wantUp checks the result of a poll that begins after the call.
func (w *watched) wantUp(t *testing.T, want float64) {
	t.Helper()
	w.scrape(t) // it can share a poll that began before
	if up := w.scrape(t)["kamailio_up"]; up != want {
		t.Errorf("kamailio_up is %v, want %v", up, want)
	}
}

// successes is the begin of the series that say whether a method succeeded.
const successes = "kamailio_exporter_collector_success{"

var (
	// notFromRPC matches series about the exporter, and series from what Linux knows about Kamailio.
	notFromRPC = regexp.MustCompile(`^kamailio_(exporter|process|socket)_`)
	freeMemory = regexp.MustCompile(`^kamailio_(core_shmmem_free|shmem_free_bytes)$`)
	// settings matches families whose values are settings of Kamailio, which do not change.
	settings = regexp.MustCompile(`^kamailio_(build_info|core_(shmmem_total|socket_info|tcp_info_(max_connections|readers))|` +
		`dispatcher_destination_(priority|weight)|dns_cache_max_bytes|htable_(info|slots)|ratelimit_pipe_limit|` +
		`rtpengine_node_weight|shmem_total_bytes|tls_info_max_connections)$`)
)

// scrape returns the samples of a page, and checks those that must not be false.
func (w *watched) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	page := samplesOf(w.exporter.mustGet(t, "/metrics"))
	for series, value := range page {
		name, _, _ := strings.Cut(series, "{")
		before, known := w.whole[series]
		switch fromRPC := strings.HasPrefix(name, "kamailio_") && name != "kamailio_up" && !notFromRPC.MatchString(name); {
		case fromRPC && page["kamailio_up"] == 0:
			t.Errorf("Kamailio did not reply, but the page has %s", series)
		case w.whole == nil:
		case fromRPC && !w.families[name], strings.HasPrefix(series, successes) && !known:
			t.Errorf("Kamailio does not have %s", series)
		case freeMemory.MatchString(name) && value > w.whole["kamailio_shmem_total_bytes"]:
			t.Errorf("%s is %v, more than there is", series, value)
		case settings.MatchString(name) && value != before:
			t.Errorf("%s is %v, and was %v", series, value, before)
		}
	}
	w.checkDestinations(t, page)
	return page
}

// checkDestinations checks that the list of destinations is complete or absent.
func (w *watched) checkDestinations(t *testing.T, page map[string]float64) {
	t.Helper()
	destinations := 0
	for series := range page {
		if strings.HasPrefix(series, "kamailio_dispatcher_destination_priority{") {
			destinations++
		}
	}
	success, ok := page[successes+`collector="dispatcher.list"}`]
	if want := w.destinations; ok && success == 1 && destinations != want || success == 0 && destinations != 0 {
		t.Errorf("%d destinations, want %d; success of dispatcher.list %v", destinations, want, success)
	}
}

// startClients starts four clients that scrape every 200 ms. The returned function ends them.
func (w *watched) startClients(t *testing.T) (stop func()) {
	t.Helper()
	end := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			c := client{watched: w}
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
	return func() {
		close(end)
		running.Wait()
		t.Logf("%d scrapes by the clients, %d of them without a reply of Kamailio", w.scrapes.Load(), w.down.Load())
	}
}

// awaitScrapes waits until the clients have scraped eight times more.
func (w *watched) awaitScrapes(t *testing.T) {
	t.Helper()
	for before := w.scrapes.Load(); w.scrapes.Load() < before+8 && !t.Failed(); {
		time.Sleep(10 * time.Millisecond)
	}
}

// resetByReload is a counter that Kamailio sets to 0 at dispatcher.reload.
const resetByReload = "kamailio_dispatcher_destination_timeouts_total"

// client compares each page with the one before it.
type client struct {
	*watched
	last  map[string]float64
	start int32 // the value of starts when last was scraped
}

func (c *client) scrape(t *testing.T) {
	t.Helper()
	before := c.starts.Load()
	page := c.watched.scrape(t)
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
	maps.Copy(c.last, page) // a series that is absent on a page is compared with the page before
}

// namesOf returns the names of the families, without those about the exporter.
func namesOf(page map[string]float64) map[string]bool {
	names := map[string]bool{}
	for series := range page {
		name, _, _ := strings.Cut(series, "{")
		if strings.HasPrefix(name, "kamailio_") && !strings.HasPrefix(name, "kamailio_exporter_") {
			names[name] = true
		}
	}
	return names
}
