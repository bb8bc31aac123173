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
	// Method is the full name of the method, for example "core.uptime".
	Method string
	// Args contains the arguments in order, as Go values of the types that
	// [ValueOf] accepts. Kamailio checks types: "dispatcher.oclist" accepts the
	// integer 1 and refuses the string "1".
	Args []any
	// Idempotent allows a client to send the call again if the connection fails
	// before the reply has arrived. Kamailio may then execute it twice, so set it
	// only for calls that read. Without it, a call is not sent again after any byte
	// of its request was written.
	Idempotent bool
}

// String returns the method and the arguments, separated by spaces, for logs.
func (c Call) String() string {
	var b strings.Builder
	b.WriteString(c.Method)
	for _, arg := range c.Args {
		fmt.Fprintf(&b, " %v", arg)
	}
	return b.String()
}

// Reply is the result of one Call.
type Reply struct {
	// Value is the value that Kamailio returned: the record itself if the reply has
	// one record, an Array of the records if it has none or several. One record and
	// a list of one record are encoded in the same way; see [Value.Rows]. Value is
	// the zero Value if Err is not nil.
	Value Value
	// Err is nil if there is a value. It is a [*Fault] if Kamailio refused the call,
	// and another error if no valid reply arrived.
	Err error
	// Received is the time at which the last byte of the reply was read. A fault is
	// a reply too. Received is the zero Time if no reply arrived.
	Received time.Time
	// NotSent reports whether no byte of the request was written, so that Kamailio
	// cannot have executed the call. If it is true, Err is not nil.
	NotSent bool
	// Size is the number of bytes of the reply as it arrived: of the whole packet over
	// BINRPC, of the JSON over JSON-RPC. A fault has a size too. Size is 0 if no reply
	// arrived, and then Received is the zero Time.
	Size int
}

// Client sends calls to one Kamailio. Its methods may be called concurrently;
// concurrent batches are sent one after another.
type Client interface {
	// Do sends all calls in one batch, waits for the replies, and returns one reply
	// for each call, in the order of the calls. It returns at the latest when ctx is
	// done; calls without a reply at that time get ctx's error. If ctx has no
	// deadline, Do may block until Kamailio replies or the connection is closed.
	Do(ctx context.Context, calls ...Call) []Reply
	// Stream is like Do, but yields the index of each call with its reply as the
	// reply arrives, each index exactly once. It sends the batch when the loop over
	// the result starts, and once more for each further loop. A break out of the
	// loop drops the replies that have not arrived.
	Stream(ctx context.Context, calls ...Call) iter.Seq2[int, Reply]
	// Close closes the connection, if there is one. Later calls, and calls that
	// wait for their reply, fail with [ErrClosed].
	Close() error
}

// One makes a single call and waits for its reply. The call is not [Call.Idempotent].
// If ctx has no deadline, One may block until Kamailio replies or the connection is
// closed. The error is that of the [Reply].
func One(ctx context.Context, client Client, method string, args ...any) (Value, error) {
	reply := client.Do(ctx, Call{Method: method, Args: args})[0]
	return reply.Value, reply.Err
}

// Fault is the reply of a Kamailio that refuses a call. The connection remains
// usable.
type Fault struct {
	// Code is similar to a SIP status code: 400 for invalid arguments, 404 if
	// something was not found, 500 for most other faults, for example an absent
	// method.
	Code int
	// Reason is Kamailio's text.
	Reason string
}

// Error returns the fault's code and reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("Kamailio replied with fault %d: %s", f.Code, f.Reason)
}

// NoSuchMethod reports whether the fault means that the server does not have the
// method. Kamailio has no separate code for this, so NoSuchMethod compares the text:
// "command X not found" over BINRPC (process_rpc_req in the Kamailio module ctl),
// "Method Not Found" over JSON-RPC (the Kamailio module jsonrpcs). Other JSON-RPC
// servers use the code -32601.
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
