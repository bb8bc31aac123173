package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Call is one RPC method with its arguments.
type Call struct {
	// Method is the RPC's full name, such as "core.uptime".
	Method string
	// Args are the method's arguments in order, as Go values of the kinds
	// that [ValueOf] takes. Kamailio is strict about types:
	// "dispatcher.oclist" takes the integer 1 and refuses the string "1".
	Args []any
}

// String is the call as one would type it after kamcmd, for logs.
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
	// Value is what Kamailio answered: the record itself where there is one
	// record, an Array of the records where there are none or several (the
	// wire does not tell one record from a list of one; see [Value.Rows]).
	// It does not exist where Err is set.
	Value Value
	// Err is nil, or why there is no value: a [*Fault] where Kamailio refused
	// the call, anything else where no usable answer came.
	Err error
	// Received is when the last byte of the answer was read, a fault
	// included; zero where none came.
	Received time.Time
}

// Client sends calls to one Kamailio. Its methods may be called concurrently;
// batches are then carried out one after another.
type Client interface {
	// Call sends all calls in one batch, when its result is ranged over, and
	// yields the index and the reply of each of them as they arrive, each
	// index once, whatever happens. It honours ctx at every step: when ctx is
	// done, what is not answered by then is yielded with ctx's error. Leaving
	// the loop early gives up what has not arrived.
	Call(ctx context.Context, calls ...Call) iter.Seq2[int, Reply]
	// Close ends the connection, if any, and waits for what served it.
	Close() error
}

// One makes a single call and waits for its reply.
func One(ctx context.Context, client Client, method string, args ...any) (Value, error) {
	for _, reply := range client.Call(ctx, Call{Method: method, Args: args}) {
		return reply.Value, reply.Err
	}
	return Value{}, errors.New("the client yielded no reply")
}

// Batch makes all calls in one batch, waits for all, and returns their replies
// in the order of the calls.
func Batch(ctx context.Context, client Client, calls ...Call) []Reply {
	replies := make([]Reply, len(calls))
	for i, reply := range client.Call(ctx, calls...) {
		replies[i] = reply
	}
	return replies
}

// Fault is Kamailio's refusal of a call. The connection is fine after it.
type Fault struct {
	// Code is like a SIP status: 400 for bad arguments, 404 for something not
	// found, 500 for most of the rest, an absent method among them.
	Code int
	// Reason is Kamailio's text.
	Reason string
}

// Error is the fault's code and reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("Kamailio answered with fault %d: %s", f.Code, f.Reason)
}

// NoSuchMethod tells whether the fault says that the server does not have the
// method. Kamailio has no code of its own for it, so the text decides: "command
// X not found" over BINRPC (ctl's process_rpc_req), "Method Not Found" over
// JSON-RPC (jsonrpcs).
func (f *Fault) NoSuchMethod() bool {
	if f.Code != 500 {
		return false
	}
	return f.Reason == "Method Not Found" ||
		strings.HasPrefix(f.Reason, "command ") && strings.HasSuffix(f.Reason, " not found")
}
