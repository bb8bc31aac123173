//go:build linux

package packaging

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// undo has the steps that restore the machine. It is locked while something changes the machine.
var undo struct {
	sync.Mutex
	steps []func()
}

// onEnd calls f when the test ends, as t.Cleanup does, and also when it is interrupted.
func onEnd(t *testing.T, f func()) {
	t.Helper()
	var once sync.Once
	step := func() { once.Do(f) }
	undo.Lock()
	defer undo.Unlock()
	undo.steps = append(undo.steps, step)
	t.Cleanup(step)
}

// endInterrupted waits for an interrupt, restores the machine and ends the tests.
func endInterrupted() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	<-interrupts
	undo.Lock() // not unlocked: nothing may change the machine any more
	for _, step := range slices.Backward(undo.steps) {
		done := make(chan struct{})
		go func() { // a step that fails ends its goroutine
			defer close(done)
			step()
		}()
		<-done
	}
	os.Exit(1)
}

func TestMain(m *testing.M) {
	go endInterrupted()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
