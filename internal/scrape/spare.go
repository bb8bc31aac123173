package scrape

import (
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// spare has Sets that are not in use. Targets share them, so that many targets need little memory.
var spare = &spareSets{}

// maxSpare is the maximum number of spare Sets. More polls than that rarely end at the same time.
const maxSpare = 4

// spareSets has empty Sets, whose memory is about as large as a poll needs. It may be used concurrently.
type spareSets struct {
	mu   sync.Mutex
	sets []*metric.Set
}

// get returns an empty Set.
func (s *spareSets) get() *metric.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.sets) - 1
	if last < 0 {
		return metric.NewSet()
	}
	set := s.sets[last]
	s.sets = s.sets[:last]
	return set
}

// put empties a Set that is no longer used and keeps it.
func (s *spareSets) put(set *metric.Set) {
	set.Reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sets) < maxSpare {
		s.sets = append(s.sets, set)
	}
}

// drop drops all Sets, so that their memory can be freed.
func (s *spareSets) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sets)
	s.sets = s.sets[:0]
}
