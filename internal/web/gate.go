package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// limits are the limits of requests for metrics.
type limits struct {
	requests int           // maximum number of requests that are answered at the same time
	memory   int           // maximum size of all pages that are not sent yet, in bytes
	stall    time.Duration // maximum time in which a client reads one part of a page, 64 KiB
	patience time.Duration // the same if another request waits for the place or the memory
	total    time.Duration // maximum time in which a client reads a page
}

// defaultLimits are the limits, except the number of requests, which users configure. A page of 4,000 dispatcher
// destinations has 7 MB.
var defaultLimits = limits{memory: 24 << 20, stall: 5 * time.Second, patience: 500 * time.Millisecond, total: 15 * time.Second}

// gate admits requests for metrics. When a request waits for a place, the gate disconnects the client that has not read its
// page for the longest time. Clients that read are therefore served even if many others do not read. It may be used
// concurrently.
type gate struct {
	limits
	places chan struct{} // has an element for each request that is being answered

	mu      sync.Mutex
	held    int // size of all pages that are not sent yet, in bytes
	waiting int // number of requests that wait for a place
	senders map[*sender]struct{}
}

func newGate(l limits) *gate {
	return &gate{limits: l, places: make(chan struct{}, l.requests), senders: map[*sender]struct{}{}}
}

// enter waits for a place. It reports whether it got one before ctx was done; if so, the caller must call leave. Places go to
// requests in the order of their arrival.
func (g *gate) enter(ctx context.Context) bool {
	if !g.takePlace(ctx) {
		return false
	}
	if ctx.Err() != nil { // a scrape without any time would report that Kamailio is down
		g.leave()
		return false
	}
	return true
}

// takePlace waits for a place. If a place is free, it may return true although ctx is done.
func (g *gate) takePlace(ctx context.Context) bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
	}
	done := make(chan struct{})
	defer close(done)
	g.wait(1)
	defer g.wait(-1)
	go g.makeRoomUntil(done)
	select {
	case g.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave gives the place of a request to another one.
func (g *gate) leave() { <-g.places }

// wait changes the number of requests that wait for a place.
func (g *gate) wait(requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += requests
}

// makeRoomUntil calls makeRoom again and again until done is closed.
func (g *gate) makeRoomUntil(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(g.makeRoom()):
		}
	}
}

// makeRoom disconnects the client that has not read for the longest time, if that is longer than patience and a request waits
// for a place. It returns the time after which to call it again.
func (g *gate) makeRoom() (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	slowest := g.slowest()
	if slowest == nil || g.waiting == 0 {
		return g.patience
	}
	if wait := g.patience - time.Since(slowest.since); wait > 0 {
		return wait
	}
	slowest.giveUp()
	return g.patience
}

// slowest returns the sender that has waited longest for its client, nil if none waits. The caller holds mu.
func (g *gate) slowest() *sender {
	var slowest *sender
	for s := range g.senders {
		if s.waits && !s.givenUp && (slowest == nil || s.since.Before(slowest.since)) {
			slowest = s
		}
	}
	return slowest
}

// send returns a writer for a page to w. The page counts with size, in bytes, until release or close is called.
func (g *gate) send(w http.ResponseWriter, size int) *sender {
	s := &sender{gate: g, w: w, controller: http.NewResponseController(w), size: size, over: time.Now().Add(g.total)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.senders[s] = struct{}{}
	g.held += size
	g.limitMemory(s)
	return s
}

// limitMemory disconnects clients that do not read, the slowest first, while the pages that are not sent yet are too large. It
// never disconnects the client of s, so that one page is sent even if it is larger than the limit. The caller holds mu.
func (g *gate) limitMemory(s *sender) {
	for g.held > g.memory {
		slowest := g.slowest()
		if slowest == nil || slowest == s || time.Since(slowest.since) < g.patience {
			return
		}
		slowest.giveUp()
	}
}

// sender writes a page to a client, which may read it slowly.
type sender struct {
	gate       *gate
	w          http.ResponseWriter
	controller *http.ResponseController
	over       time.Time // deadline of the whole page

	// Guarded by gate.mu.
	size    int       // size of the page until it is sent, in bytes
	waits   bool      // a write is waiting for the client to read
	since   time.Time // start of the last write
	givenUp bool
}

// errGivenUp is the error of a sender that giveUp stopped.
var errGivenUp = errors.New("the client does not read the page, and other requests wait for its memory or its place")

// Header returns the header of the response.
func (s *sender) Header() http.Header { return s.w.Header() }

// Write sends a part of the page. It fails if the client does not read it within limits.stall.
func (s *sender) Write(part []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(part)
	return n, s.end(err)
}

// begin starts a write.
func (s *sender) begin() error {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	if s.givenUp {
		return errGivenUp
	}
	s.waits, s.since = true, time.Now()
	deadline := s.since.Add(s.gate.stall)
	if deadline.After(s.over) {
		deadline = s.over
	}
	_ = s.controller.SetWriteDeadline(deadline) // fails in tests only, whose writers have no deadlines
	s.gate.limitMemory(s)
	return nil
}

// end ends a write with an error or nil, and returns the error of Write.
func (s *sender) end(err error) error {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.waits = false
	if err != nil && s.givenUp {
		return errGivenUp
	}
	return err
}

// giveUp stops the sender: its write fails. The caller holds mu.
func (s *sender) giveUp() {
	s.givenUp = true
	_ = s.controller.SetWriteDeadline(time.Now())
	s.free()
}

// free ends the use of memory by the page. The caller holds mu.
func (s *sender) free() {
	s.gate.held -= s.size
	s.size = 0
}

// release must be called when the samples of the page are no longer needed.
func (s *sender) release() {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.free()
}

// close removes the sender from the gate. The sender must not be used after that.
func (s *sender) close() {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.free()
	delete(s.gate.senders, s)
}
