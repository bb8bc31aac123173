package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// limits bound what requests for the metrics may take.
type limits struct {
	requests int           // that are answered at once
	memory   int           // bytes that all pages keep which clients have not read yet
	stall    time.Duration // without 64 KiB being read, after which a client is given up
	patience time.Duration // the same where another request needs what the client holds
	total    time.Duration // for reading a page
}

// defaultLimits are those of every exporter but for the number of requests. A page that is being sent keeps the samples
// of its poll. That of 4,000 destinations has 7 MB.
var defaultLimits = limits{memory: 24 << 20, stall: 5 * time.Second, patience: 500 * time.Millisecond, total: 15 * time.Second}

// gate admits requests for the metrics. When a request waits for a place, the client that has not read for longest is given
// up, so that clients which read are served however many do not. It may be used concurrently.
type gate struct {
	limits
	places chan struct{} // one for each request that is being answered

	mu      sync.Mutex
	held    int // bytes
	waiting int // requests without a place
	senders map[*sender]struct{}
}

func newGate(l limits) *gate {
	return &gate{limits: l, places: make(chan struct{}, l.requests), senders: map[*sender]struct{}{}}
}

// enter waits for a place, first come first served, and reports whether it got one before ctx was done. Call leave to
// give it back.
func (g *gate) enter(ctx context.Context) bool {
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

func (g *gate) leave() { <-g.places }

// wait notes that so many more requests wait for a place.
func (g *gate) wait(requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += requests
}

func (g *gate) makeRoomUntil(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(g.makeRoom()):
		}
	}
}

// makeRoom gives up the client that has not read for longest, if that is longer than patience and a request waits for its
// place. It returns how long to wait until it is worth trying again.
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

// slowest returns the sender that has waited for its client to read for longest, nil if none waits. The caller holds mu.
func (g *gate) slowest() *sender {
	var slowest *sender
	for s := range g.senders {
		if s.waits && !s.givenUp && (slowest == nil || s.since.Before(slowest.since)) {
			slowest = s
		}
	}
	return slowest
}

// send returns a writer for a page to w, which keeps so many bytes until release or close is called.
func (g *gate) send(w http.ResponseWriter, size int) *sender {
	s := &sender{gate: g, w: w, controller: http.NewResponseController(w), size: size, over: time.Now().Add(g.total)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.senders[s] = struct{}{}
	g.held += size
	g.limitMemory(s)
	return s
}

// limitMemory gives up clients that do not read, those that have not for longest first, if the pages that are sent keep
// too much. It leaves s alone, so that the last page is sent however large it is. The caller holds mu.
func (g *gate) limitMemory(s *sender) {
	for g.held > g.memory {
		slowest := g.slowest()
		if slowest == nil || slowest == s || time.Since(slowest.since) < g.patience {
			return
		}
		slowest.giveUp()
	}
}

// sender writes a page to a client that may read it slowly.
type sender struct {
	gate       *gate
	w          http.ResponseWriter
	controller *http.ResponseController
	over       time.Time // when all has to be read

	// Guarded by gate.mu.
	size    int       // bytes that the page keeps
	waits   bool      // for the client to read
	since   time.Time // when it began to wait
	givenUp bool
}

// errGivenUp is the error of a sender whose client did not read while others waited.
var errGivenUp = errors.New("the client does not read the page, and other requests need its memory or its place")

// Header returns the header of the response.
func (s *sender) Header() http.Header { return s.w.Header() }

// Write sends a part of the page. The client has the time stall to read it.
func (s *sender) Write(part []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(part)
	return n, s.end(err)
}

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
	_ = s.controller.SetWriteDeadline(deadline) // a writer without deadlines is a test's
	s.gate.limitMemory(s)
	return nil
}

func (s *sender) end(err error) error {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.waits = false
	if err != nil && s.givenUp {
		return errGivenUp
	}
	return err
}

// giveUp ends the sender's write. The caller holds mu.
func (s *sender) giveUp() {
	s.givenUp = true
	_ = s.controller.SetWriteDeadline(time.Now())
	s.free()
}

// free says that the page keeps nothing any more. The caller holds mu.
func (s *sender) free() {
	s.gate.held -= s.size
	s.size = 0
}

// release says that all of the page is written but for what is in buffers.
func (s *sender) release() {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.free()
}

// close ends the sender, after which its ResponseWriter is not used any more.
func (s *sender) close() {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.free()
	delete(s.gate.senders, s)
}
