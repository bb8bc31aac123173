package scrape

import (
	"slices"
	"strconv"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// TestSettledReplyIsFetchedOncePerConnection polls core.shmmem, whose second call shows that there is less than 4 GiB.
func TestSettledReplyIsFetchedOncePerConnection(t *testing.T) {
	client := &script{answers: map[string]answer{
		"core.shmmem": {records: []any{rpc.Members{{Name: "total", Value: 1000}, {Name: "free", Value: 5}}}},
	}}
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.shmmem")})
	both, one := []string{"core.shmmem", "core.shmmem"}, []string{"core.shmmem"}
	polls := []struct {
		connection uint64
		reconnects bool
		want       [][]string
	}{
		{0, false, [][]string{both}}, // no connection that would show a restart
		{0, false, [][]string{both}},
		{1, false, [][]string{both}},
		{1, false, [][]string{one}},
		{1, false, [][]string{one}},
		{2, false, [][]string{both}},
		{2, false, [][]string{one}},
		{2, true, [][]string{one, both}}, // Kamailio restarts during the poll
		{4, false, [][]string{both}},
		{4, false, [][]string{one}},
	}
	for i, poll := range polls {
		client.batches, client.connection, client.reconnects = nil, poll.connection, poll.reconnects
		checkSamples(t, scraped(t.Context(), target),
			"core_shmmem_free[] 5",
			"core_shmmem_total[] 1000",
			"exporter_collector_success[core.shmmem] 1",
			"exporter_failed_scrapes[] 0",
			"exporter_total_scrapes[] "+strconv.Itoa(i+1),
			"up[] 1",
		)
		if asked := client.asked(); !slices.EqualFunc(asked, poll.want, slices.Equal) {
			t.Errorf("poll %d: called %v, want %v", i, asked, poll.want)
		}
	}
}
