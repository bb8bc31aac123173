package binrpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Options are what a client may choose. The zero Options are good.
type Options struct {
	// Limits bound what a reply may cost.
	Limits rpc.Limits
	// Stall is how long a reply may pause once its first byte has come, 1 s
	// by default; a batch with less than twice that left waits half of what
	// is left. ctl gives up a reply that its reader does not take for 10 ms,
	// says nothing and keeps the connection open, so a pause in the middle of
	// a reply means that the rest never comes.
	Stall time.Duration
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.Stall <= 0 {
		o.Stall = time.Second
	}
	return o
}

// ErrOutOfStep says that what arrived is not the answer to what was asked. A
// connection is closed after it, since nothing that follows could be trusted.
var ErrOutOfStep = errors.New("the server's answers are out of step with the requests")

// ErrClosedUnanswered says that the server closed the connection before it sent any
// reply on it. ctl does so when it has 128 connections already. It is an
// [rpc.ErrClosed] too.
var ErrClosedUnanswered = fmt.Errorf("%w by the server before any reply", rpc.ErrClosed)

// StallError says that a reply began and did not go on. It is a timeout in the
// sense of [net.Error].
type StallError struct {
	// Have and Want are the bytes of the reply that came, and its length. A
	// reply that stopped within its header has that header's length here.
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
