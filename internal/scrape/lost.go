package scrape

import (
	"errors"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// lostReplies has the methods whose reply did not arrive over a datagram transport
// although other replies did. Kamailio does not send a reply that is larger than the
// buffer of its socket, and only logs that, so a poll that calls such a method lasts
// until its deadline. The method is not called in the next poll, then in the next two,
// four and so on.
type lostReplies map[*collector.Collector]*lostReply

type lostReply struct {
	pause int // number of polls that do not call the method
	left  int // number of these polls that are still to come
}

// maxPause is the maximum of lostReply.pause.
const maxPause = 64

// isDatagram reports whether replies arrive as datagrams.
func isDatagram(endpoint dial.Target) bool {
	return endpoint.Network == "unixgram" || endpoint.Network == "udp"
}

// pauses reports whether this poll does not call a method. It must be called once for
// each poll, which it counts.
func (l lostReplies) pauses(c *collector.Collector) bool {
	reply, ok := l[c]
	if !ok || reply.left == 0 {
		return false
	}
	reply.left--
	return true
}

// compare sorts methods with a lost reply to the end.
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

// update records which replies were lost. If no reply arrived, Kamailio is not
// running or hangs, and the next poll calls all methods.
func (l lostReplies) update(o *outcome) {
	if !o.answered {
		clear(l)
		return
	}
	for i := range o.jobs {
		j := &o.jobs[i]
		switch {
		case j.lost: // not called
		case !j.timedOut():
			delete(l, j.collector)
		default:
			j.lost = true
			reply := l[j.collector]
			if reply == nil {
				reply = &lostReply{}
				l[j.collector] = reply
			}
			reply.pause = min(max(1, 2*reply.pause), maxPause)
			reply.left = reply.pause
		}
	}
}

// timedOut reports whether a reply did not arrive in time.
func (j *job) timedOut() bool {
	for _, reply := range j.replies {
		if reply.Received.IsZero() && (reply.Err == nil || errors.Is(reply.Err, rpc.ErrNoDatagram) || hint.IsTimeout(reply.Err)) {
			return true
		}
	}
	return false
}
