//go:build linux

package torture

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// smallMemory lets the memory of a storm become free some seconds after its end.
const smallMemory = `
modparam("registrar", "min_expires", 1)
modparam("tm", "fr_inv_timer", 5000)
modparam("tm", "fr_timer", 5000)
modparam("usrloc", "timer_interval", 2)
`

// TestFullSharedMemory has SIPp fill the shared memory of a Kamailio with registrations and calls while four clients scrape it over
// ctl. These pages are whole all the time, and the free memory on them is true. Over HTTP, Kamailio needs shared memory for a new
// connection, so that a page then may have nothing from RPC.
func TestFullSharedMemory(t *testing.T) {
	t.Parallel()
	suites := []string{lab.Bookworm}
	if *long {
		suites = lab.Suites()
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { testFullSharedMemory(t, suite) })
	}
}

func testFullSharedMemory(t *testing.T, suite string) {
	options := lab.Options{Suite: suite, Destinations: 60, SharedMemory: 12, Config: smallMemory}
	k := lab.StartTest(t, options)
	listen(t, k.UASAddr())
	http := watch(t, k, options, start(t, "-u", k.JSONRPCURL(), "-t", "10s"))
	w := watch(t, k, options, start(t, "-u", k.URI("unix"), "-t", "30s"))
	defer w.startClients(t)()
	before := w.wholePage(t)

	stop := startStorm(t, k)
	full := w.awaitPage(t, func(page map[string]float64) bool { return freePart(page) < 0.01 })
	if full["kamailio_shmem_free_bytes"] > 0.01*full["kamailio_shmem_total_bytes"] {
		w.awaitPage(t, func(page map[string]float64) bool {
			return page["kamailio_shmem_free_bytes"] < 0.01*page["kamailio_shmem_total_bytes"] // Kamailio computes it every second
		})
	}
	w.awaitScrapes(t)
	http.scrape(t)
	w.wholePage(t)

	stop()
	w.awaitPage(t, func(page map[string]float64) bool {
		return page[`kamailio_usrloc_contacts{domain="location"}`] == 0 && freePart(page) > 0.5*freePart(before)
	})
	w.recovers(t)
	http.recovers(t)
	t.Logf("at most %.0f bytes of %.0f in use", w.wholePage(t)["kamailio_core_shmmem_max_used"], before["kamailio_core_shmmem_total"])
}

// freePart returns which part of the shared memory is free.
func freePart(page map[string]float64) float64 {
	return page["kamailio_core_shmmem_free"] / page["kamailio_core_shmmem_total"]
}

// awaitPage scrapes whole pages until a condition holds.
func (w *watched) awaitPage(t *testing.T, holds func(page map[string]float64) bool) map[string]float64 {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if page := w.wholePage(t); holds(page) {
			return page
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Fatal("no page is as expected")
	return nil
}

// listen takes the messages to an address, and does not reply.
func listen(t *testing.T, address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
}

// startStorm starts a SIPp with at most 20,000 registrations and calls, 1,000 a second. The returned function ends it.
func startStorm(t *testing.T, k *lab.Kamailio) (stop func()) {
	t.Helper()
	program, err := lab.Tool(t.Context(), "sipp")
	must(t, err)
	scenario, err := filepath.Abs("testdata/storm.xml")
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "-sf", scenario, "-i", "127.0.0.1", "-nostdin", "-nr", "-r", "1000", "-m", "20000", "-key", "expires", "6", k.SIPAddr())
	cmd.Dir = t.TempDir() // SIPp may write files
	cmd.WaitDelay = time.Second
	process, err := child.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	stop = func() {
		cancel()
		<-process.Done()
	}
	t.Cleanup(stop)
	return stop
}
