package scrape

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// isSpare reports whether a Set is kept for another poll.
func isSpare(set *metric.Set) bool {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	return slices.Contains(spare.sets, set)
}

// TestFewSetsAreKept checks that only a few Sets are kept, and none after drop.
func TestFewSetsAreKept(t *testing.T) {
	sets := &spareSets{}
	for range 2 * maxSpare {
		sets.put(metric.NewSet())
	}
	if len(sets.sets) != maxSpare {
		t.Errorf("%d sets are kept, want %d", len(sets.sets), maxSpare)
	}
	sets.drop()
	if len(sets.sets) != 0 || sets.get() == nil {
		t.Errorf("%d sets are kept after drop", len(sets.sets))
	}
}

// TestReleasedSetIsReused checks that a Set is reused after its release, not before.
func TestReleasedSetIsReused(t *testing.T) {
	spare.drop()
	client := &script{answers: map[string]answer{"core.uptime": uptimeAnswer}}
	target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
	first, release := scrapeTarget(t.Context(), target)
	text := samples(first, "kamailio_")
	second, releaseSecond := scrapeTarget(t.Context(), target)
	if second == first || samples(first, "kamailio_") != text {
		t.Fatal("a set in use was reused")
	}
	releaseSecond()
	release()
	client.answers["core.uptime"] = answer{err: notFound}
	third, _ := scrapeTarget(t.Context(), target)
	if third != first && third != second {
		t.Error("no released set was reused")
	}
	if fourth, _ := scrapeTarget(t.Context(), target); fourth == third {
		t.Error("a set was reused twice at the same time")
	}
	checkSamples(t, third,
		"exporter_collector_success[core.uptime] 0",
		"exporter_failed_scrapes[] 1",
		"exporter_total_scrapes[] 3",
		"up[] 0",
	)
}

// TestLastReleaseRecyclesSharedSet has two scrapes share a poll.
func TestLastReleaseRecyclesSharedSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare.drop()
		slow := uptimeAnswer
		slow.after = 1
		client := &script{answers: map[string]answer{"core.uptime": slow}}
		target, _ := newTestTarget(t, client, testOptions{Named: named(t, "core.uptime")})
		type result struct {
			set     *metric.Set
			samples string
			release func()
		}
		results := make(chan result)
		for range 2 {
			go func() {
				set, release := scrapeTarget(t.Context(), target)
				results <- result{set, samples(set, "kamailio_exporter_total"), release}
			}()
		}
		one, other := <-results, <-results
		if one.samples != other.samples || len(client.asked()) != 1 {
			t.Fatalf("%s and %s are from different polls", one.samples, other.samples)
		}
		one.release()
		if isSpare(one.set) {
			t.Error("the set was recycled while the other scrape used it")
		}
		other.release()
		if !isSpare(one.set) {
			t.Error("the set was not recycled")
		}
	})
}

func TestSetOfScrapeWithoutTimeIsRecycled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spare.drop()
		target, _ := newTestTarget(t, &script{}, testOptions{Named: named(t, "core.uptime")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		set, release := scrapeTarget(ctx, target)
		release()
		if !isSpare(set) {
			t.Error("the set was not recycled")
		}
	})
}

// TestNamesOfFamiliesAboutScrapesAreTaken checks that the page of a routing script cannot have them.
func TestNamesOfFamiliesAboutScrapesAreTaken(t *testing.T) {
	for _, desc := range slices.Concat(Metrics(), SIPMetrics()) {
		if !collector.IsTaken(desc.Name) {
			t.Errorf("%s is not taken", desc.Name)
		}
	}
}
