package binrpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Options are the settings of a client. The zero value of each field is its default.
type Options struct {
	// Limits limits the size of replies.
	Limits rpc.Limits
	// Stall is the maximum time without a further byte of a reply after its first
	// byte. Zero and negative durations mean 1 s. Over a stream it is at most half of
	// the time to the deadline of the batch, over datagrams at most the time to the
	// deadline of the call. ctl drops the rest of a reply if the socket is full for
	// 10 ms, and keeps the connection open, so the rest of a reply that stops does
	// not arrive any more.
	Stall time.Duration
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.WithDefaults()
	if o.Stall <= 0 {
		o.Stall = time.Second
	}
	return o
}

// ErrOutOfStep is the error of a call if the next packet is not its reply. The
// connection is closed, because the packets after it could be taken for the replies
// to other calls.
var ErrOutOfStep = errors.New("the server's replies are out of step with the requests")

// ErrClosedUnanswered is the error of calls if the server closed the connection
// before it sent any reply. ctl does so if it already has 128 connections. The error
// wraps [rpc.ErrClosed].
var ErrClosedUnanswered = fmt.Errorf("%w by the server before any reply", rpc.ErrClosed)

// StallError is the error of a call whose reply stopped before its end. It implements
// [net.Error] and is a timeout.
type StallError struct {
	// Have is the number of bytes that arrived. Want is the size of the reply in
	// bytes, or the size of its header if the reply stopped within the header.
	Have, Want int
	// After is the time without a further byte.
	After time.Duration
}

// Error returns how much of the reply arrived.
func (e *StallError) Error() string {
	return fmt.Sprintf("the reply stopped after %d of %d bytes, no byte arrived for %v", e.Have, e.Want, e.After)
}

// Timeout returns true.
func (e *StallError) Timeout() bool { return true }

// Temporary returns true: the same call may succeed on a new connection.
func (e *StallError) Temporary() bool { return true }
