//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// scrapeInterval is how often Prometheus scrapes in many places.
const scrapeInterval = 15 * time.Second

func (b *bench) cpuBackToBack(ctx context.Context) ([]row, error) {
	took, err := b.cpuOfScrape(ctx, func(scrape func() error) (scrapes int, err error) {
		for begin := time.Now(); scrapes == 0 || time.Since(begin) < b.timed; scrapes++ {
			if err := scrape(); err != nil {
				return scrapes, err
			}
		}
		return scrapes, nil
	})
	if err != nil {
		return nil, err
	}
	return []row{timeRow("CPU of the exporter for a scrape of five methods, back to back", took, 400*time.Microsecond)}, nil
}

func (b *bench) cpuAtIntervals(ctx context.Context) ([]row, error) {
	took, err := b.cpuOfScrape(ctx, func(scrape func() error) (int, error) {
		return scrapeEach(ctx, scrapeInterval, b.intervalCPU, scrape)
	})
	if err != nil {
		return nil, err
	}
	return []row{timeRow(fmt.Sprintf("the same, a scrape every %v", scrapeInterval), took, time.Millisecond)}, nil
}

// cpuOfScrape is the CPU time that an exporter takes for a scrape of five methods while play scrapes as it likes, whatever else
// the exporter does in that time included. play returns how many scrapes there were.
func (b *bench) cpuOfScrape(ctx context.Context, play func(scrape func() error) (int, error)) (took time.Duration, err error) {
	err = b.scraped(ctx, b.ordinary, work{methods: fiveMethods}, func(e *exporter, c *client) error {
		if err := c.warmUp(); err != nil {
			return err
		}
		before, err := cpuTime(e.pid)
		if err != nil {
			return err
		}
		scrapes, err := play(c.once)
		if err != nil {
			return err
		}
		progress("  %d scrapes", scrapes)
		after, err := cpuTime(e.pid)
		took = (after - before) / time.Duration(scrapes)
		return err
	})
	return took, err
}

// scrapeEach scrapes at the end of each interval, as often as intervals fit into a time, and returns how often that was.
func scrapeEach(ctx context.Context, interval, length time.Duration, scrape func() error) (scrapes int, err error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for range int(length / interval) {
		select {
		case <-ctx.Done():
			return scrapes, ctx.Err()
		case <-tick.C:
		}
		if err := scrape(); err != nil {
			return scrapes, err
		}
		scrapes++
	}
	return scrapes, nil
}

// cpuTime is what all threads of a process have run so far: the first number of schedstat, in nanoseconds
// (Documentation/scheduler/sched-stats.rst of Linux). What threads ran that have ended is not in it; Go's hardly ever do.
func cpuTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("find the threads of process %d: %w", pid, errors.Join(err, os.ErrNotExist))
	}
	var total time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread) //nolint:gosec // a file of the kernel's
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		ran, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time in %s: %w", thread, err)
		}
		total += time.Duration(ran)
	}
	return total, nil
}
