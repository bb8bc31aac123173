//go:build linux

package packaging

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// undo has what puts the machine back. Whoever holds it is changing the machine.
var undo struct {
	sync.Mutex
	steps []func()
}

// onEnd does f when the test ends, as t.Cleanup does, and also when somebody interrupts it.
func onEnd(t *testing.T, f func()) {
	t.Helper()
	var once sync.Once
	step := func() { once.Do(f) }
	undo.Lock()
	defer undo.Unlock()
	undo.steps = append(undo.steps, step)
	t.Cleanup(step)
}

// endInterrupted puts the machine back when somebody interrupts the tests, and ends them.
func endInterrupted() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	<-interrupts
	undo.Lock() // for good: nothing more is to be done to the machine
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
	os.Exit(m.Run())
}
