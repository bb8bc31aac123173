// Package batch contains functions that all clients use to make batches of calls.
package batch

import (
	"iter"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Collect waits for all replies of a batch of n calls and returns them in the
// order of the calls.
func Collect(replies iter.Seq2[int, rpc.Reply], n int) []rpc.Reply {
	all := make([]rpc.Reply, n)
	for i, reply := range replies {
		all[i] = reply
	}
	return all
}

// Unsent yields err for each of n calls that were not sent. It stops when yield
// returns false.
func Unsent(yield func(int, rpc.Reply) bool, n int, err error) {
	for i := range n {
		if !yield(i, rpc.Reply{Err: err, NotSent: true}) {
			return
		}
	}
}
