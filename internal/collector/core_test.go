package collector

import (
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/rpc"
)

// TestStartTimeIsSteady says when Kamailio started, whatever its zone, from
// replies that come early or late in a second and whose clock is off.
func TestStartTimeIsSteady(t *testing.T) {
	start := time.Date(2026, 10, 24, 22, 15, 30, 0, time.UTC)
	zones := []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Los_Angeles"}
	for _, zone := range zones {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		text := start.In(location).Format(time.ANSIC)
		for _, off := range []time.Duration{-time.Minute, -999 * time.Millisecond, 0, 999 * time.Millisecond, 7 * time.Minute} {
			// Europe's summer time ends a few hours after the start.
			for _, uptime := range []time.Duration{0, time.Second, time.Hour, 1000 * time.Hour} {
				got, err := started(text, start.Add(uptime).Add(off).Add(-uptime))
				if err != nil || !got.Equal(start) {
					t.Errorf("%s, %v up, clock off by %v: %v, %v, want %v", zone, uptime, off, got, err, start)
				}
			}
		}
	}
}

func TestUptime(t *testing.T) {
	tests := []struct {
		name  string
		reply rpc.Members
		want  []string
		skips []metric.Skip
	}{
		{
			name:  "in New York",
			reply: rpc.Members{{Name: "now", Value: "Sun Nov 22 07:00:00 2026"}, {Name: "up_since", Value: "Sat Nov 21 07:00:01 2026"}, {Name: "uptime", Value: 86399}},
			want:  []string{"kamailio_core_uptime_uptime_total 86399", "kamailio_start_time_seconds 1.795262401e+09"},
		},
		{
			name:  "newline at the end, as ctime makes it",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026\n"}, {Name: "uptime", Value: 86399}},
			want:  []string{"kamailio_core_uptime_uptime_total 86399", "kamailio_start_time_seconds 1.795262401e+09"},
		},
		{
			name:  "no start",
			reply: rpc.Members{{Name: "uptime", Value: 5}},
			want:  []string{"kamailio_core_uptime_uptime_total 5"},
		},
		{
			name:  "a start that is no time",
			reply: rpc.Members{{Name: "up_since", Value: "yesterday"}, {Name: "uptime", Value: 5}},
			want:  []string{"kamailio_core_uptime_uptime_total 5"},
			skips: []metric.Skip{{Collector: "core.uptime", Reason: metric.BadValue, Count: 1,
				Example: `up_since: parsing time "yesterday" as "Mon Jan _2 15:04:05 2006": cannot parse "yesterday" as "Mon"`}},
		},
		{
			name:  "no uptime",
			reply: rpc.Members{{Name: "up_since", Value: "Sat Nov 21 12:00:01 2026"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skips := collect(t, coreUptime, reply(t, test.reply))
			checkSamples(t, got, test.want...)
			checkSkips(t, skips, test.skips...)
		})
	}
}

func TestBuildInfo(t *testing.T) {
	got, _ := collect(t, coreInfo, reply(t, rpc.Members{{Name: "version", Value: "6.1.0"}, {Name: "id", Value: "a1b2c3 "}}))
	checkSamples(t, got, `kamailio_build_info{compiled="",compiler="",name="",revision="a1b2c3",version="6.1.0"} 1`)
}
