package scrape

import "time"

// budget returns the part of a scrape's time that a poll may take. The rest is for writing and sending the page: a tenth of
// the time, at most half a second.
func budget(limit time.Duration) time.Duration { return limit - min(limit/10, 500*time.Millisecond) }

// Wait returns how long a scrape should wait for the target: as long as a poll may take, or less if the scraper gives up
// earlier. patience is how long the scraper waits for the page; 0 or less means that this is not known.
func (s Selection) Wait(patience time.Duration) time.Duration {
	if timeout := s.module.Timeout; patience <= 0 || patience > timeout {
		patience = timeout
	}
	return budget(patience)
}
