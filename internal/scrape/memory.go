package scrape

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memory returns memory of this process to the operating system.
var memory = &memoryReturner{
	inUse: memoryInUse,
	free:  freeMemory,
	after: func(f func()) { time.AfterFunc(returnDelay, f) },
	every: time.Second,
}

const (
	// enoughMemory is the number of bytes in use up to which nothing is returned. A
	// poll of 4,000 dispatcher destinations needs less.
	enoughMemory = 32 << 20
	// returnDelay is the time between a poll and the return of its memory, and the
	// minimum time between two returns.
	returnDelay = time.Minute
)

// freeMemory collects garbage twice, because a sync.Pool keeps its contents until the second time, and returns the memory to the
// operating system.
func freeMemory() {
	runtime.GC()
	debug.FreeOSMemory()
}

// memoryReturner returns memory to the operating system a minute after a poll that
// needed much of it. Go's runtime does so too, but it keeps the memory of a peak for
// several minutes.
type memoryReturner struct {
	inUse func() uint64
	free  func()
	after func(func())
	every time.Duration // minimum time between two calls of inUse

	mu        sync.Mutex
	checked   time.Time // when inUse was called last
	scheduled bool      // a return is scheduled
}

// afterPoll schedules a return of memory if much is in use.
func (m *memoryReturner) afterPoll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.scheduled || time.Since(m.checked) < m.every {
		return // a later poll finds the memory that this one needed
	}
	m.checked = time.Now()
	if m.inUse() > enoughMemory {
		m.scheduled = true
		m.after(m.giveBack)
	}
}

func (m *memoryReturner) giveBack() {
	m.mu.Lock()
	m.scheduled = false
	m.mu.Unlock()
	spare.drop()
	m.free()
}

// Names of package runtime/metrics.
const (
	memoryTotal    = "/memory/classes/total:bytes"
	memoryReleased = "/memory/classes/heap/released:bytes"
)

// memorySamples is shared by all calls of memoryInUse, so that they allocate nothing.
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
