package scrape

import (
	"errors"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// lostReplies are the methods whose reply did not arrive over a datagram transport
// although others did. Kamailio does not send a reply that is larger than the
// buffer of its socket, and says so in its own log only, so that waiting for it
// takes all the time of a poll. Such a method is left out of the next poll, then of
// two, four and so on.
type lostReplies map[*collector.Collector]*lostReply

type lostReply struct {
	wait int // polls to leave it out of
	left int // of these
}

// maxWait is the maximum number of polls that a method is left out of at a time.
const maxWait = 64

// isDatagram reports whether replies arrive as datagrams.
func isDatagram(endpoint dial.Target) bool {
	return endpoint.Network == "unixgram" || endpoint.Network == "udp"
}

// leaveOut reports whether a method is not to be asked in this poll, and counts the
// poll.
func (l lostReplies) leaveOut(c *collector.Collector) bool {
	reply, ok := l[c]
	if !ok || reply.left == 0 {
		return false
	}
	reply.left--
	return true
}

// compare sorts the methods whose reply was lost before to the end.
func (l lostReplies) compare(a, b *collector.Collector) int {
	switch {
	case (l[a] == nil) == (l[b] == nil):
		return 0
	case l[a] == nil:
		return -1
	default:
		return 1
	}
}

// update remembers which replies were lost. If nothing was answered at all,
// Kamailio is not running or hangs, and all methods are to be asked when it is back.
func (l lostReplies) update(o *outcome) {
	if !o.answered {
		clear(l)
		return
	}
	for i := range o.jobs {
		j := &o.jobs[i]
		switch {
		case j.lost: // not asked
		case !j.timedOut():
			delete(l, j.collector)
		default:
			j.lost = true
			reply := l[j.collector]
			if reply == nil {
				reply = &lostReply{}
				l[j.collector] = reply
			}
			reply.wait = min(max(1, 2*reply.wait), maxWait)
			reply.left = reply.wait
		}
	}
}

// timedOut reports whether any reply did not arrive in time.
func (j *job) timedOut() bool {
	for _, answer := range j.answers {
		if answer.Received.IsZero() && (answer.Err == nil || errors.Is(answer.Err, rpc.ErrNoDatagram) || hint.IsTimeout(answer.Err)) {
			return true
		}
	}
	return false
}
