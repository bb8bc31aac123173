package rpc

import (
	"errors"
	"fmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// ErrClosed says that a client or a connection was closed, by Close or after an
// earlier failure.
var ErrClosed = errors.New("the connection is closed")

// ErrNoDatagram says that a request was sent over a datagram socket and that no
// datagram arrived in reply before the time was over. One cause is a reply that is
// larger than the server's socket takes: it is never sent, and only the server's
// log says so. A stream socket, or HTTP, has no such limit.
var ErrNoDatagram = errors.New("no datagram arrived in reply")

// Limits bound what replies may cost the program that receives them. For each of
// them, zero and negative numbers mean the default.
type Limits struct {
	// Size is the largest reply, in bytes without the header of a packet:
	// 16,777,216 (16 MiB) by default, and 268,435,455 at most.
	Size int
	// Values is how many values one reply may have, structs and arrays included:
	// 1,000,000 by default. Each takes 16 bytes of memory beside its text.
	Values int
	// Depth is how deep structs and arrays may be nested: 64 by default.
	Depth int
	// TotalSize and TotalValues are like Size and Values for all replies of one
	// batch together, that is of one call of Do or Stream. By default they are
	// equal to Size and Values, so that a batch costs no more than one reply may.
	TotalSize, TotalValues int
}

// WithDefaults returns the limits with defaults for those that are not set.
func (l Limits) WithDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 16 << 20
	}
	l.Size = min(l.Size, tape.LongestName) // no name in a reply is longer than the reply
	if l.Values <= 0 {
		l.Values = 1_000_000
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.TotalSize <= 0 {
		l.TotalSize = l.Size
	}
	if l.TotalValues <= 0 {
		l.TotalValues = l.Values
	}
	return l
}

// LimitError says that a reply exceeds one of the [Limits]. The reply may be valid
// all the same.
type LimitError struct {
	// What names the quantity that was exceeded, for example "bytes" or "values in
	// all replies of a batch".
	What string
	// Limit is the number allowed.
	Limit int
}

// Error names the quantity and the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the reply is beyond the limit of %d %s", e.Limit, e.What)
}
