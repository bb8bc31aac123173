package scrape

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSetIsUsedAgainWhenItIsReleased, and not before.
func TestSetIsUsedAgainWhenItIsReleased(t *testing.T) {
	client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
	first, release := target.Scrape(t.Context())
	text := samples(first, "kamailio_")
	second, releaseSecond := target.Scrape(t.Context())
	if second == first || samples(first, "kamailio_") != text {
		t.Fatal("a set that is in use was used again")
	}
	releaseSecond()
	release()
	client.answers["core.uptime"] = answer{err: notFound}
	third, _ := target.Scrape(t.Context())
	if third != first && third != second {
		t.Error("no set that was released is used again")
	}
	if fourth, _ := target.Scrape(t.Context()); fourth == third {
		t.Error("a set that is used again was used by two")
	}
	checkSamples(t, third,
		"exporter_collector_success[core.uptime] 0",
		"exporter_failed_scrapes[] 1",
		"exporter_total_scrapes[] 3",
		"up[] 1",
	)
}

// TestSharedSetIsReleasedByTheLast has two scrapes share a poll.
func TestSharedSetIsReleasedByTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := uptimeAnswer
		slow.after = 1
		client := &script{answers: map[string]answer{"core.uptime": slow}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
		type result struct {
			samples string
			release func()
		}
		results := make(chan result)
		for range 2 {
			go func() {
				set, release := target.Scrape(t.Context())
				results <- result{samples(set, "kamailio_exporter_total"), release}
			}()
		}
		one, other := <-results, <-results
		if one.samples != other.samples || len(client.asked()) != 1 {
			t.Fatalf("%s and %s are not of the same poll", one.samples, other.samples)
		}
		one.release()
		if target.report.spare != nil {
			t.Error("the set was taken back while the other scrape used it")
		}
		other.release()
		if target.report.spare == nil {
			t.Error("the set was not taken back")
		}
	})
}

func TestSetOfAScrapeThatRanOutOfTimeIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, _ := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, release := target.Scrape(ctx)
		release()
		if target.report.spare == nil {
			t.Error("the set was not taken back")
		}
	})
}

// TestNamesOfUserMetricsThatAreTaken are those of our own families, in either text
// format.
func TestNamesOfUserMetricsThatAreTaken(t *testing.T) {
	for name, want := range map[string]bool{
		"kamailio_up":                       true,
		"kamailio_up_total":                 true, // its family is kamailio_up in OpenMetrics
		"kamailio_core_uptime_uptime":       true, // as that of kamailio_core_uptime_uptime_total
		"kamailio_core_uptime_uptime_total": true,
		"kamailio_my_calls_total":           false,
		"my_total":                          false,
		"go_things":                         true,
	} {
		if isTaken(name) != want {
			t.Errorf("%s is taken: %t", name, !want)
		}
	}
}
