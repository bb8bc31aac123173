//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// starts is how often the exporter is started.
const starts = 20

func (b *bench) startToScrape(ctx context.Context) ([]row, error) {
	var times []time.Duration
	for range starts {
		took, err := b.startOnce(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	name := fmt.Sprintf("from the start of the exporter to its first whole page, five methods, median of %d", starts)
	return []row{timeRow(name, percentile(times, 50), 60*time.Millisecond)}, nil
}

// startOnce starts an exporter, scrapes it, ends it, and tells how long the first two took: with about a millisecond for its
// watchdog, which is started first.
func (b *bench) startOnce(ctx context.Context) (took time.Duration, err error) {
	err = b.scraped(ctx, b.ordinary, work{methods: fiveMethods}, func(e *exporter, c *client) error {
		_, err := c.scrape()
		took = time.Since(e.begin)
		return err
	})
	return took, err
}
