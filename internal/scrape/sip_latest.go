package scrape

import (
	"maps"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// minSIPInterval is the minimum time between the first requests of two probes of a socket.
const minSIPInterval = time.Second

// latestProbes has the latest probe of each socket of a target. The modules of the target share it, so that a socket does not get
// more requests if more modules probe it. It may be used concurrently.
type latestProbes struct {
	mu     sync.Mutex
	probes map[sipprobe.Socket]timedProbe // those of the last minSIPInterval, and some older ones
}

// timedProbe is a probe of a socket. The zero value means that there was none.
type timedProbe struct {
	begun    time.Time
	settings sipSettings
	result   sipprobe.Result
}

// sipSettings are the settings on which the result of a probe depends.
type sipSettings struct {
	timeout        time.Duration
	ca, serverName string
}

// newLatestProbes returns a latestProbes without probes.
func newLatestProbes() *latestProbes {
	return &latestProbes{probes: map[sipprobe.Socket]timedProbe{}}
}

// get returns the latest probe of a socket.
func (l *latestProbes) get(socket sipprobe.Socket) timedProbe {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probes[socket]
}

// set sets the latest probe of a socket. It drops probes that are no longer needed, because a server may list other sockets in
// each poll.
func (l *latestProbes) set(socket sipprobe.Socket, probe timedProbe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.probes, func(_ sipprobe.Socket, old timedProbe) bool { return time.Since(old.begun) > minSIPInterval })
	l.probes[socket] = probe
}
