package scrape

import (
	"context"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// Source is where samples of a target come from.
type Source interface {
	// Begin returns the Fetch of one poll. Polls run one after another.
	Begin() Fetch
	// Close gives up what the source holds open. It is called when no Fetch is running.
	Close() error
}

// Fetch asks a source once. It lives as long as one poll.
type Fetch interface {
	// Run asks the source. It returns when all is answered or ctx is done.
	Run(ctx context.Context)
	// Result returns what the source was told so far, and a number that is higher after each change. It may be called
	// while Run is running.
	Result() (result Result, changes int)
}

// Result is what a source was told. It does not change.
type Result interface {
	// AddTo adds the samples to set. It reports whether Kamailio answered a call, and returns what went wrong.
	AddTo(set *metric.Set) (answered bool, problems []problem)
}

// problem is an error and the collectors that failed with it; none if nothing could be asked.
type problem struct {
	collectors []string
	err        error
	hint       hint.Hint
}
