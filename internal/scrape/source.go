package scrape

import (
	"context"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// Source is one way to get samples of a target: its RPC methods, or an HTTP page.
type Source interface {
	// Begin returns the Fetch of a new poll. The Fetches of a source run one after another. only are the RPC methods to call;
	// none means all. Begin returns nil if the source has nothing for them.
	Begin(only []string) Fetch
	// Close closes the connections of the source. No Fetch may be running or be started later. Close may be called again.
	Close() error
}

// Fetch gets the data of a source for one poll.
type Fetch interface {
	// Run gets the data. It returns when all data has arrived or ctx is done.
	Run(ctx context.Context)
	// Result returns the data that has arrived so far, and a number that grows with each change of it. It may be called
	// while Run is running.
	Result() (result Result, changes int)
}

// Result is the data of a Fetch at one time. It does not change.
type Result interface {
	// AddTo adds the samples to set and returns a summary.
	AddTo(set *metric.Set) summary
	// Describe writes what was done and what came of it, for a user.
	Describe(story *story)
	// detail adds the same as data.
	detail(details *Details)
}

// summary is what a target's report needs to know about a Result.
type summary struct {
	answered bool // Kamailio replied to a call
	problems []problem
	// polled are the collectors that were used.
	polled []polled
	// pending are the collectors whose replies may still arrive.
	pending []string
	// sip are the SIP sockets that were probed.
	sip []sipprobe.Result
	// notices are the reasons why series are missing that are no failures.
	notices []notice
}

// polled is a collector that was used in a poll.
type polled struct {
	collector string
	took      time.Duration // 0 if that is not known
	absent    bool          // the server probably does not have the method
}

// names returns the names of collectors.
func names(all []polled) []string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.collector
	}
	return names
}

// add adds the summary of another Result.
func (s *summary) add(other summary) {
	s.answered = s.answered || other.answered
	s.problems = append(s.problems, other.problems...)
	s.polled = append(s.polled, other.polled...)
	s.pending = append(s.pending, other.pending...)
	s.sip = append(s.sip, other.sip...)
	s.notices = append(s.notices, other.notices...)
}

// notice is the reason why series are missing that not every target can have.
type notice struct {
	err   error
	hint  hint.Hint
	asked bool // the user asked for the series
}

// problem is an error with the collectors that failed because of it. It has no collectors if no call could be made.
type problem struct {
	collectors []string
	err        error
	hint       hint.Hint
}
