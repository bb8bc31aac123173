package rpc

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Call is one RPC method with its arguments.
type Call struct {
	// Method is the full name of the method, such as "core.uptime".
	Method string
	// Args are the arguments in order, as Go values of the kinds that [ValueOf]
	// takes. Kamailio is strict about types: "dispatcher.oclist" takes the integer
	// 1 and refuses the string "1".
	Args []any
	// Idempotent says that the call may be sent again when a connection fails
	// before its reply has arrived: Kamailio may then carry it out twice. Set it
	// for calls that only read. A call without it is never sent again once any byte
	// of its request was written.
	Idempotent bool
}

// String returns the call as one would type it after kamcmd, for logs.
func (c Call) String() string {
	var b strings.Builder
	b.WriteString(c.Method)
	for _, arg := range c.Args {
		fmt.Fprintf(&b, " %v", arg)
	}
	return b.String()
}

// Reply is the outcome of one Call.
type Reply struct {
	// Value is what Kamailio answered: the record itself if there is one record,
	// an Array of the records if there are none or several (the wire does not tell
	// one record from a list of one; see [Value.Rows]). It is the zero Value if Err
	// is set.
	Value Value
	// Err is nil, or why there is no value: a [*Fault] if Kamailio refused the
	// call, another error if no usable reply arrived.
	Err error
	// Received is when the last byte of the reply was read, a fault included; zero
	// if none arrived.
	Received time.Time
	// NotSent reports that no byte of the request was written, so that Kamailio
	// cannot have carried it out. Err is set too.
	NotSent bool
}

// Client sends calls to one Kamailio. Its methods may be called concurrently;
// batches are then carried out one after another.
type Client interface {
	// Do sends all calls in one batch, waits for all replies, and returns them in
	// the order of the calls, one for each. It returns when ctx is done at the
	// latest; calls without a reply by then have ctx's error. If ctx has no
	// deadline, it may block for as long as Kamailio does not reply.
	Do(ctx context.Context, calls ...Call) []Reply
	// Stream is like Do, but yields the index and the reply of each call as it
	// arrives, each index exactly once. It sends nothing until the result is
	// ranged over, and sends the batch again each time that it is. Leaving the
	// loop early gives up the replies that have not arrived.
	Stream(ctx context.Context, calls ...Call) iter.Seq2[int, Reply]
	// Close closes the connection, if any. Calls after it, and calls that wait for
	// their reply, fail with [ErrClosed].
	Close() error
}

// One makes a single call, which is not sent twice, and waits for its reply. If
// ctx has no deadline, it may block for as long as Kamailio does not reply.
func One(ctx context.Context, client Client, method string, args ...any) (Value, error) {
	reply := client.Do(ctx, Call{Method: method, Args: args})[0]
	return reply.Value, reply.Err
}

// Fault is Kamailio's refusal of a call. The connection is fine after it.
type Fault struct {
	// Code is like a SIP status: 400 for wrong arguments, 404 if something was not
	// found, 500 for most others, such as an absent method.
	Code int
	// Reason is Kamailio's text.
	Reason string
}

// Error returns the fault's code and reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("Kamailio answered with fault %d: %s", f.Code, f.Reason)
}

// NoSuchMethod reports whether the fault says that the server does not have the
// method. Kamailio has no code for that alone, so the text decides: "command X not
// found" over BINRPC (process_rpc_req in ctl), "Method Not Found" over JSON-RPC
// (jsonrpcs). Other JSON-RPC servers have the code -32601.
func (f *Fault) NoSuchMethod() bool {
	switch f.Code {
	case methodNotFound:
		return true
	case 500:
		return f.Reason == "Method Not Found" ||
			strings.HasPrefix(f.Reason, "command ") && strings.HasSuffix(f.Reason, " not found")
	default:
		return false
	}
}

// methodNotFound is the code that other JSON-RPC servers use (JSON-RPC 2.0, section
// 5.1).
const methodNotFound = -32601
