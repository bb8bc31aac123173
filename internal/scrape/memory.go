package scrape

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memory is that of this process.
var memory = &memoryReturner{
	inUse: memoryInUse,
	free:  debug.FreeOSMemory,
	after: func(f func()) { time.AfterFunc(returnDelay, f) },
}

const (
	// ampleMemory is how many bytes the process has in use at most without giving
	// any back: a poll of 4,000 dispatcher destinations needs less.
	ampleMemory = 32 << 20
	// returnDelay is how long after a poll memory is given back, and so the least
	// time between two times.
	returnDelay = time.Minute
)

// memoryReturner gives memory back to the operating system some time after a poll
// that needed much of it. Go's runtime does so too, but it keeps what it needed at
// the peak for several minutes.
type memoryReturner struct {
	inUse func() uint64
	free  func()
	after func(func())

	mu      sync.Mutex
	reports map[*report]int // how many polls each had when memory was found to be ample
}

// afterPoll has memory given back later if there is much in use.
func (m *memoryReturner) afterPoll(r *report) {
	if m.inUse() <= ampleMemory {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reports == nil {
		m.reports = map[*report]int{}
		m.after(m.giveBack)
	}
	m.reports[r] = r.polls()
}

func (m *memoryReturner) giveBack() {
	m.mu.Lock()
	reports := m.reports
	m.reports = nil
	m.mu.Unlock()
	for r, polls := range reports {
		if r.polls() == polls { // since then there was none that needed its memory
			r.dropSpare()
		}
	}
	m.free()
}

// Names of package runtime/metrics.
const (
	memoryTotal    = "/memory/classes/total:bytes"
	memoryReleased = "/memory/classes/heap/released:bytes"
)

// memorySamples are read one after another, so that reading them allocates nothing.
var memorySamples = struct {
	sync.Mutex
	samples [2]metrics.Sample
}{samples: [2]metrics.Sample{{Name: memoryTotal}, {Name: memoryReleased}}}

// memoryInUse returns how many bytes of memory Go's runtime holds.
func memoryInUse() uint64 {
	memorySamples.Lock()
	defer memorySamples.Unlock()
	metrics.Read(memorySamples.samples[:])
	return memorySamples.samples[0].Value.Uint64() - memorySamples.samples[1].Value.Uint64()
}
