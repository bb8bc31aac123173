package scrape

import (
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestUptimeDoesNotDecrease polls a Kamailio whose clock is set back, and which then restarts.
func TestUptimeDoesNotDecrease(t *testing.T) {
	client := &script{answers: map[string]answer{}}
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
	first, second := time.Now().Add(-time.Hour).Format(time.ANSIC), time.Now().Format(time.ANSIC)
	for _, poll := range []struct {
		since  string
		uptime int
		want   string
	}{
		{first, 3600, "core_uptime_uptime_total[] 3600\n"},
		{first, 3590, ""},
		{first, 3599, ""},
		{first, 3601, "core_uptime_uptime_total[] 3601\n"},
		{second, 0, "core_uptime_uptime_total[] 0\n"},
	} {
		client.answers["core.uptime"] = answer{records: []any{rpc.Members{{Name: "up_since", Value: poll.since}, {Name: "uptime", Value: poll.uptime}}}}
		if got := scrapeFor(t, target, time.Minute, "kamailio_core_uptime"); got != poll.want {
			t.Errorf("uptime %d: samples %q, want %q", poll.uptime, got, poll.want)
		}
	}
}
