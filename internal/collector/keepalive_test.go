package collector

import (
	"slices"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// uptimeAt returns the reply of core.uptime of a Kamailio whose clock is ahead of UTC.
func uptimeAt(t *testing.T, received time.Time, ahead time.Duration) Reply {
	t.Helper()
	answer := reply(t, rpc.Members{{Name: "now", Value: received.UTC().Add(ahead).Format(time.ANSIC)}, {Name: "uptime", Value: 5}})
	answer.Received = received
	return Reply{Call: rpc.Call{Method: "core.uptime"}, Reply: answer}
}

// TestKeepaliveTimes has all combinations of times of a destination, in different time zones.
func TestKeepaliveTimes(t *testing.T) {
	const never, at1, at2 = "Thu Jan  1 00:00:00 1970\n", "Sun Nov 22 11:00:00 2026\n", "Sun Nov 22 11:00:05 2026\n"
	const first = 1795345200 // at1 in UTC
	for name, test := range map[string]struct {
		state            int
		lastUp, lastDown string
		ahead            time.Duration // of Kamailio's clock
		up, down         float64       // 0 for no series
	}{
		"up":                             {state: 1, lastUp: at2, lastDown: at1, up: first + 5, down: first},
		"up, swapped":                    {state: 1, lastUp: at1, lastDown: at2, up: first + 5, down: first},
		"down":                           {state: 2, lastUp: at1, lastDown: at2, up: first, down: first + 5},
		"down, swapped":                  {state: 2, lastUp: at2, lastDown: at1, up: first, down: first + 5},
		"never down":                     {state: 1, lastUp: at1, lastDown: never, up: first},
		"never down, swapped":            {state: 1, lastUp: never, lastDown: at1, up: first},
		"never up":                       {state: 2, lastUp: never, lastDown: at1, down: first},
		"never up, swapped":              {state: 2, lastUp: at1, lastDown: never, down: first},
		"both in one second":             {state: 2, lastUp: at1, lastDown: at1, up: first, down: first},
		"not checked":                    {state: 0, lastUp: never, lastDown: never},
		"not checked, west of Greenwich": {state: 0, lastUp: "Wed Dec 31 20:30:00 1969\n", lastDown: "Wed Dec 31 20:30:00 1969\n", ahead: -3*time.Hour - 30*time.Minute},
		"India":                          {state: 1, lastUp: at1, lastDown: never, ahead: 5*time.Hour + 30*time.Minute, up: first - 19800},
		"Newfoundland, clocks differ":    {state: 2, lastUp: at1, lastDown: at2, ahead: -3*time.Hour - 30*time.Minute + 7*time.Minute, up: first + 12600, down: first + 12605},
	} {
		t.Run(name, func(t *testing.T) {
			answer := reply(t, rpc.Members{
				{Name: "uri", Value: "u"}, {Name: "owner", Value: "o"}, {Name: "last up", Value: test.lastUp}, {Name: "last down", Value: test.lastDown},
				{Name: "state", Value: test.state},
			})
			set := metric.NewSet()
			err := keepaliveList.Collect(set, Settings{}, []Reply{{Call: rpc.Call{Method: "keepalive.list"}, Reply: answer}, uptimeAt(t, answer.Received, test.ahead)})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]float64{}
			for _, family := range set.Families() {
				value, labels := family.Sample(0)
				got[family.Desc.Name] = value
				if family.Desc != keepaliveState && !slices.Equal(labels, []string{"o", "u"}) {
					t.Errorf("%s has the labels %v", family.Desc.Name, labels)
				}
			}
			if got[keepaliveLastUp.Name] != test.up || got[keepaliveLastDown.Name] != test.down {
				t.Errorf("got %v, want %v and %v", got, test.up, test.down)
			}
			checkSkips(t, set.Skips())
		})
	}
}

// TestKeepaliveWithoutTimes has destinations with times that cannot be read, or whose time zone is unknown.
func TestKeepaliveWithoutTimes(t *testing.T) {
	answer := reply(t, rpc.Members{{Name: "uri", Value: "u"}, {Name: "last up", Value: "yesterday"}, {Name: "state", Value: 1}})
	list := Reply{Call: rpc.Call{Method: "keepalive.list"}, Reply: answer}
	noTime := metric.Skip{Collector: "keepalive.list", Reason: metric.BadValue, Count: 1, Example: "last up is not a time"}
	unreadable := Reply{Call: rpc.Call{Method: "core.uptime"}, Reply: reply(t, rpc.Members{{Name: "now", Value: "noon"}})}
	for name, test := range map[string]struct {
		replies []Reply
		skips   []metric.Skip
	}{
		"a text":           {[]Reply{list, uptimeAt(t, answer.Received, 0)}, []metric.Skip{noTime}},
		"no core.uptime":   {[]Reply{list}, nil},
		"unreadable clock": {[]Reply{list, unreadable}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			set := metric.NewSet()
			if err := keepaliveList.Collect(set, Settings{}, test.replies); err != nil {
				t.Fatal(err)
			}
			checkSamples(t, samples(t, set),
				`kamailio_keepalive_destination_state{owner="",state="unknown",uri="u"} 0`,
				`kamailio_keepalive_destination_state{owner="",state="up",uri="u"} 1`,
				`kamailio_keepalive_destination_state{owner="",state="down",uri="u"} 0`,
			)
			checkSkips(t, set.Skips(), test.skips...)
		})
	}
}

func TestKeepaliveCallsUptimeIfThereAreDestinations(t *testing.T) {
	for name, test := range map[string]struct {
		reply rpc.Reply
		calls int
	}{
		"a destination": {reply(t, rpc.Members{{Name: "uri", Value: "u"}}), 2},
		"none":          {reply(t), 0},
		"a fault":       {rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "Internal error"}}, 0},
	} {
		if calls := keepaliveList.Again(Settings{}, []Reply{{Reply: test.reply}}); len(calls) != test.calls {
			t.Errorf("%s: calls %v", name, calls)
		}
	}
}
