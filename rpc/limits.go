package rpc

import (
	"errors"
	"fmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// ErrClosed says that a client or a connection was closed, by Close or after an
// earlier failure.
var ErrClosed = errors.New("the connection is closed")

// Limits bound what a reply may cost whoever receives it. What is not positive
// means the default, for each of them.
type Limits struct {
	// Size is the largest reply, in bytes without a packet's header; 16 MB
	// (16,777,216) by default, and half a gigabyte at most.
	Size int
	// Values is how many values a reply may have, structs and arrays among
	// them; 1,000,000 by default. One takes 16 bytes of memory.
	Values int
	// Depth is how deep structs and arrays may nest; 64 by default.
	Depth int
}

// WithDefaults are the limits with defaults for those that are not set.
func (l Limits) WithDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 16 << 20
	}
	l.Size = min(l.Size, tape.LongestName) // nothing in a reply is longer than the reply
	if l.Values <= 0 {
		l.Values = 1_000_000
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	return l
}

// LimitError says that a reply is beyond one of the [Limits]. It may be a good
// reply all the same.
type LimitError struct {
	// What is what there is too much of, with its unit.
	What string
	// Limit is the number allowed.
	Limit int
}

// Error says what there is too much of.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the reply is beyond the limit of %d %s", e.Limit, e.What)
}
