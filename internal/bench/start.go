//go:build linux

package main

import (
	"context"
	"errors"
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
	e, err := startExporter(ctx, b.exporter, b.ordinary, work{methods: fiveMethods})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	c, err := e.dial(ctx, "")
	if err != nil {
		return 0, err
	}
	defer c.close()
	if _, err := c.scrape(); err != nil {
		return 0, err
	}
	return time.Since(e.begin), nil
}
