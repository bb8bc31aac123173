package scrape

import (
	"log/slog"
	"runtime/debug"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// TestMemoryIsGivenBackAfterALargePoll, once for all polls of the time.
func TestMemoryIsGivenBackAfterALargePoll(t *testing.T) {
	inUse, freed := uint64(0), 0
	var scheduled []func()
	returner := &memoryReturner{
		inUse: func() uint64 { return inUse },
		free:  func() { freed++ },
		after: func(f func()) { scheduled = append(scheduled, f) },
	}
	idle, busy := newReport("", slog.New(slog.DiscardHandler)), newReport("", slog.New(slog.DiscardHandler))
	for _, r := range []*report{idle, busy} {
		r.recycle(metric.NewSet())
	}
	returner.afterPoll(idle)
	if len(scheduled) > 0 {
		t.Fatal("memory is given back after a poll that needed little")
	}
	inUse = ampleMemory + 1
	for range 3 {
		returner.afterPoll(idle)
		returner.afterPoll(busy)
	}
	if len(scheduled) != 1 || freed != 0 {
		t.Fatalf("%d times are scheduled, memory was given back %d times", len(scheduled), freed)
	}
	busy.count(metric.NewSet(), false)
	scheduled[0]()
	if freed != 1 || idle.spare != nil || busy.spare == nil {
		t.Errorf("memory was given back %d times; spare sets: %v of a target that is not polled, %v of one that is", freed, idle.spare, busy.spare)
	}
	returner.afterPoll(busy)
	if len(scheduled) != 2 {
		t.Error("memory is not given back a second time")
	}
}

// TestMemoryInUse allocates memory, and gives it back.
func TestMemoryInUse(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory()
	before := memoryInUse()
	large := make([]byte, size)
	for i := range large {
		large[i] = 1
	}
	if got := memoryInUse(); got < before+size*3/4 {
		t.Errorf("%d bytes are in use after allocating %d, %d before", got, size, before)
	}
	large = nil
	debug.FreeOSMemory()
	if got := memoryInUse(); got > before+size/4 {
		t.Errorf("%d bytes are in use after giving memory back, %d before", got, before)
	}
	_ = large
}
