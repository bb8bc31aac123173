package scrape

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"weak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// TestMemoryIsReturnedAfterLargePoll checks that one return serves all polls before it, and drops spare Sets.
func TestMemoryIsReturnedAfterLargePoll(t *testing.T) {
	inUse, freed := uint64(0), 0
	var scheduled []func()
	returner := &memoryReturner{
		inUse: func() uint64 { return inUse },
		free:  func() { freed++ },
		after: func(f func()) { scheduled = append(scheduled, f) },
	}
	set := metric.NewSet()
	spare.drop()
	spare.put(set)
	returner.afterPoll()
	if len(scheduled) > 0 {
		t.Fatal("a return is scheduled after a poll that needed little memory")
	}
	inUse = enoughMemory + 1
	for range 3 {
		returner.afterPoll()
	}
	if len(scheduled) != 1 || freed != 0 || !isSpare(set) {
		t.Fatalf("%d returns are scheduled, %d were done, want 1 and 0", len(scheduled), freed)
	}
	scheduled[0]()
	if freed != 1 || isSpare(set) {
		t.Errorf("%d returns, want 1; the set is still spare: %t", freed, isSpare(set))
	}
	returner.afterPoll()
	if len(scheduled) != 2 {
		t.Error("no second return is scheduled")
	}
}

// TestFreeMemory checks that the memory of a sync.Pool is freed too.
func TestFreeMemory(t *testing.T) {
	var pool sync.Pool
	large := new([1 << 20]byte)
	freed := weak.Make(large)
	pool.Put(large)
	large = nil
	freeMemory()
	if freed.Value() != nil {
		t.Error("the memory of a pool is in use")
	}
	runtime.KeepAlive(&pool)
	_ = large
}

// TestMemoryInUse allocates memory and returns it.
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
		t.Errorf("%d bytes are in use after returning memory, %d before", got, before)
	}
	_ = large
}
