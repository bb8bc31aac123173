//go:build linux

package torture

import (
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestClockSetBack sets the clock of a Kamailio with traffic back and ahead while four clients scrape it. No counter decreases, the
// start time does not change, and no series is lost except the uptime, until it is as high as before.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	const startTime, uptime = "kamailio_start_time_seconds", "kamailio_core_uptime_uptime_total"
	options := lab.Options{Destinations: 60, FakeClock: true}
	k := lab.StartTest(t, options)
	lab.StartTraffic(t, k)
	w := watch(t, k, options, start(t, "-u", k.URI("unix"), "-t", "30s", "-m", "auto,dlg.stats_active"))
	defer w.startClients(t)()
	highest := time.Duration(0)
	for _, ahead := range []time.Duration{0, 2 * time.Hour, 2*time.Hour - 2*time.Second, 0, -30 * time.Second, -2 * time.Hour, -3 * 365 * 24 * time.Hour, 2 * time.Hour} {
		must(t, k.SetClock(ahead))
		w.awaitScrapes(t)
		w.scrape(t) // it can share a poll that began before
		page := w.wholePage(t, uptime)
		highest = max(highest, ahead)
		if _, ok := page[uptime]; ok != (ahead == highest) {
			t.Errorf("the clock is %v ahead, and the page has the uptime: %t", ahead, ok)
		}
		if page[startTime] != w.whole[startTime] {
			t.Errorf("the clock is %v ahead: %s is %v, and was %v", ahead, startTime, page[startTime], w.whole[startTime])
		}
		for series, value := range page {
			if strings.HasPrefix(series, "kamailio_") && value < 0 {
				t.Errorf("the clock is %v ahead: %s is %v", ahead, series, value)
			}
		}
	}
	w.recovers(t)
}
