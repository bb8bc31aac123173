package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// limits are the limits of requests for metrics.
type limits struct {
	requests int           // maximum number of requests that are answered at the same time
	targets  int           // number of targets
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
	limits // requests and targets are guarded by mu

	mu       sync.Mutex
	taken    int             // number of requests that have a place
	queue    []chan struct{} // of the requests that wait for a place, in order; closed when they get it
	byTarget map[string]int  // number of requests that have a place or wait for one, by the name of their target
	held     int             // size of all pages that are not sent yet, in bytes
	senders  map[*sender]struct{}
}

func newGate(l limits) *gate {
	return &gate{limits: l, byTarget: map[string]int{}, senders: map[*sender]struct{}{}}
}

// setLimits changes the maximum number of requests and the number of targets.
func (g *gate) setLimits(requests, targets int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests, g.targets = requests, targets
	g.admit()
}

// minPerTarget is the number of requests for one target that are always allowed, if there are so many places: two Prometheus
// servers that scrape two modules.
const minPerTarget = 4

// perTarget returns the maximum number of requests for one target. It leaves a place for each other target. The caller holds mu.
func (g *gate) perTarget() int { return max(g.requests-g.targets+1, min(g.requests, minPerTarget)) }

// enter waits for a place for a request. If it returns nil, the caller must call leave. Places go to requests in the order of
// their arrival.
func (g *gate) enter(ctx context.Context, target string) error {
	if err := g.count(target); err != nil {
		return err
	}
	if !g.takePlace(ctx) {
		g.uncount(target)
		return fmt.Errorf("%d requests are being answered, which is the configured maximum, and none of them ended before the scrape timeout: try again later", g.limit())
	}
	if ctx.Err() != nil { // a scrape without any time would report that Kamailio is down
		g.leave(target)
		return errors.New("the scrape timeout passed before the request could be answered: try again later")
	}
	return nil
}

// count counts a request for a target. It returns an error if there are too many.
func (g *gate) count(target string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Requests above the limit of all requests wait for a place, except if they are for one of many targets.
	if limit := g.perTarget(); g.targets > 1 && g.byTarget[target] >= limit {
		return fmt.Errorf("%d requests for this target are being answered, which is the maximum: try again later", limit)
	}
	g.byTarget[target]++
	return nil
}

// uncount ends the count of a request.
func (g *gate) uncount(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byTarget[target]--; g.byTarget[target] == 0 {
		delete(g.byTarget, target)
	}
}

// limit returns the maximum number of requests.
func (g *gate) limit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// takePlace waits for a place. If a place is free, it returns true although ctx is done.
func (g *gate) takePlace(ctx context.Context) bool {
	turn := g.line()
	if turn == nil {
		return true
	}
	done := make(chan struct{})
	defer close(done)
	go g.makeRoomUntil(done)
	select {
	case <-turn:
		return true
	case <-ctx.Done():
		return !g.leaveLine(turn)
	}
}

// line gives a free place to a request and returns nil. If no place is free, it adds the request to the queue, and returns a
// channel that is closed when the request gets a place.
func (g *gate) line() (turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken < g.requests {
		g.taken++
		return nil
	}
	turn = make(chan struct{})
	g.queue = append(g.queue, turn)
	return turn
}

// admit gives free places to requests of the queue. The caller holds mu.
func (g *gate) admit() {
	for g.taken < g.requests && len(g.queue) > 0 {
		g.taken++
		close(g.queue[0])
		g.queue = slices.Delete(g.queue, 0, 1)
	}
}

// leaveLine removes a request from the queue. It returns false if the request has got a place.
func (g *gate) leaveLine(turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, turn)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}

// leave gives the place of a request to another one.
func (g *gate) leave(target string) {
	g.uncount(target)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	g.admit()
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
	if slowest == nil || len(g.queue) == 0 {
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
