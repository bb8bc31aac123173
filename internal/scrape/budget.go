package scrape

import "time"

// budget returns how long a poll may take of the time that a scrape has. The rest is for making the page and sending it.
func budget(limit time.Duration) time.Duration { return limit - min(limit/10, 500*time.Millisecond) }

// Wait returns how long a scrape should wait for the target: the time of a poll, or less if the scraper waits for less than
// that. patience is how long the scraper waits for the page; 0 means that it is not known.
func (t *Target) Wait(patience time.Duration) time.Duration {
	if patience <= 0 || patience > t.timeout {
		patience = t.timeout
	}
	return budget(patience)
}
