package rpc

import (
	"errors"
	"fmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// ErrClosed is the error of calls on a client or connection that was closed: by
// Close, by the server, or after an earlier failure.
var ErrClosed = errors.New("the connection is closed")

// ErrNoDatagram is the error of a call that was sent over a datagram socket and got
// no datagram in reply before the deadline. A possible cause is a reply that is
// larger than the server's socket accepts: Kamailio does not send it, and only its
// log reports that. Stream sockets and HTTP have no such limit.
var ErrNoDatagram = errors.New("no datagram arrived in reply")

// Limits limits the size of replies, and so the memory that they take. In each
// field, zero and negative numbers mean the default.
type Limits struct {
	// Size is the maximum size of one reply in bytes, without the header of a
	// packet. The default is 16,777,216 (16 MiB), the maximum 268,435,455.
	Size int
	// Values is the maximum number of values in one reply, including structs and
	// arrays. The default is 1,000,000. Each value takes 16 bytes of memory in
	// addition to its name and text.
	Values int
	// Depth is the maximum nesting depth of structs and arrays. The default is 64.
	Depth int
	// TotalSize and TotalValues are like Size and Values, for all replies of one
	// batch (one Do or one loop over Stream) together. The defaults are Size and
	// Values, so that a batch takes no more memory than a single reply may.
	TotalSize, TotalValues int
}

// WithDefaults returns the limits with each unset field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 16 << 20
	}
	l.Size = min(l.Size, tape.LongestName) // a name is not longer than its reply
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

// LimitError is the error of a reply that exceeds one of the [Limits]. The reply
// may be valid otherwise.
type LimitError struct {
	// What names the quantity that was exceeded, for example "bytes" or "values in
	// all replies of a batch".
	What string
	// Limit is the maximum, in units of What.
	Limit int
}

// Error names the quantity and the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the reply is beyond the limit of %d %s", e.Limit, e.What)
}
