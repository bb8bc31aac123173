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
var defaultLimits = limits{memory: 24 << 20, stall: 5 * time.Second, patience: 250 * time.Millisecond, total: 15 * time.Second}

// gate admits requests for the metrics. When there is no room for one, the client that has not read for longest is given
// up for it, so that clients which read are served however many do not. It may be used concurrently.
type gate struct {
	limits
	places chan struct{} // one for each request that is being answered

	mu      sync.Mutex
	held    int // bytes
	senders map[*sender]struct{}
}

func newGate(l limits) *gate {
	return &gate{limits: l, places: make(chan struct{}, l.requests), senders: map[*sender]struct{}{}}
}

// enter waits for a place as long as clients that do not read hold some, and reports whether it has got one, which leave
// gives back. Places that are held by polls are not waited for.
func (g *gate) enter(ctx context.Context) bool {
	for {
		select {
		case g.places <- struct{}{}:
			return true
		default:
		}
		wait, ok := g.makeRoom()
		if !ok {
			return false
		}
		timer := time.NewTimer(wait)
		select {
		case g.places <- struct{}{}:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

func (g *gate) leave() { <-g.places }

// makeRoom gives up the client that has not read for longest, if that is longer than patience. It returns how long to
// wait for what comes of it, or for a client to get that slow, and false if nothing is being sent.
func (g *gate) makeRoom() (wait time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	slowest := g.slowest()
	if slowest == nil {
		return g.patience, len(g.senders) > 0
	}
	if wait := g.patience - time.Since(slowest.progress); wait > 0 {
		return wait, true
	}
	slowest.giveUp()
	return g.patience, true
}

// slowest returns the sender whose client has not read for longest, nil if there is none or all are given up. The caller
// holds mu.
func (g *gate) slowest() *sender {
	var slowest *sender
	for s := range g.senders {
		if !s.givenUp && (slowest == nil || s.progress.Before(slowest.progress)) {
			slowest = s
		}
	}
	return slowest
}

// send returns a writer for a page to w, which keeps so many bytes until release or close is called. Clients that do not
// read are given up if there is too much of it.
func (g *gate) send(w http.ResponseWriter, size int) *sender {
	now := time.Now()
	s := &sender{gate: g, w: w, controller: http.NewResponseController(w), size: size, end: now.Add(g.total), progress: now}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.senders[s] = struct{}{}
	g.held += size
	for g.held > g.memory {
		slowest := g.slowest()
		if slowest == s || slowest == nil || time.Since(slowest.progress) < g.patience {
			break
		}
		slowest.giveUp()
	}
	return s
}

// sender writes a page to a client that may read it slowly.
type sender struct {
	gate       *gate
	w          http.ResponseWriter
	controller *http.ResponseController
	end        time.Time // when all has to be read

	// Guarded by gate.mu.
	size     int // bytes that the page keeps
	progress time.Time
	givenUp  bool
}

// errGivenUp is the error of a sender whose client did not read while others waited.
var errGivenUp = errors.New("the client does not read the page, and other requests need its memory or its place")

// Header returns the header of the response.
func (s *sender) Header() http.Header { return s.w.Header() }

// Write sends a part of the page. The client has the time stall to read it.
func (s *sender) Write(part []byte) (int, error) {
	if err := s.allow(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(part)
	if err != nil {
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		if s.givenUp {
			err = errGivenUp
		}
	}
	return n, err
}

func (s *sender) allow() error {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	if s.givenUp {
		return errGivenUp
	}
	s.progress = time.Now()
	deadline := s.progress.Add(s.gate.stall)
	if deadline.After(s.end) {
		deadline = s.end
	}
	_ = s.controller.SetWriteDeadline(deadline) // a writer without deadlines is a test's
	return nil
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
