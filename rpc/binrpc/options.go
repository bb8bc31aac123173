package binrpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Options are the settings of a client. The zero Options are good.
type Options struct {
	// Limits bound what a reply may cost.
	Limits rpc.Limits
	// Stall is how long a reply may pause after its first byte: 1 s by default, and
	// at most half of the time that is left to the batch. If a reader takes nothing
	// for 10 ms, ctl drops the rest of the reply and keeps the connection open, so
	// after a pause within a reply the rest never comes.
	Stall time.Duration
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.Stall <= 0 {
		o.Stall = time.Second
	}
	return o
}

// ErrOutOfStep says that what arrived is not the reply that was due. The connection
// is closed then, since what follows could be taken for the reply to another call.
var ErrOutOfStep = errors.New("the server's answers are out of step with the requests")

// ErrClosedUnanswered says that the server closed the connection before it sent any
// reply on it. ctl does so when it has 128 connections already. It is an
// [rpc.ErrClosed] too.
var ErrClosedUnanswered = fmt.Errorf("%w by the server before any reply", rpc.ErrClosed)

// StallError says that a reply began and did not go on. It is a timeout in the
// sense of [net.Error].
type StallError struct {
	// Have is how many bytes of the reply came, and Want is its length, or that of its
	// header if the reply stopped there.
	Have, Want int
	// After is how long nothing came.
	After time.Duration
}

// Error says how much of the reply came.
func (e *StallError) Error() string {
	return fmt.Sprintf("the reply stopped after %d of %d bytes, nothing came for %v", e.Have, e.Want, e.After)
}

// Timeout is true.
func (e *StallError) Timeout() bool { return true }

// Temporary is true: the same call may go well on a new connection.
func (e *StallError) Temporary() bool { return true }
