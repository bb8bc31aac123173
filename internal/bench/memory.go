//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/internal/lab"
)

// scrapeEvery is how often the exporter is scraped while its memory is watched, and while SIPp runs.
const scrapeEvery = time.Second

// peakMemory watches two exporters at once, each on a Kamailio of its own.
func (b *bench) peakMemory(ctx context.Context) ([]row, error) {
	var five, crowded int
	var fiveErr, crowdedErr error
	var both sync.WaitGroup
	both.Go(func() { five, fiveErr = b.peakOf(ctx, b.ordinary, work{methods: fiveMethods}) })
	both.Go(func() { crowded, crowdedErr = b.peakOf(ctx, b.crowded, work{dispatcher, []string{shortDispatcher}}) })
	both.Wait()
	if err := errors.Join(fiveErr, crowdedErr); err != nil {
		return nil, err
	}
	often := fmt.Sprintf("a scrape every %v for %v", scrapeEvery, b.memory)
	return []row{
		memoryRow("most memory of the exporter, five methods, "+often, five, 18e6),
		memoryRow(fmt.Sprintf("most memory, %d destinations in short, %s", destinations, often), crowded, 32e6),
	}, nil
}

func memoryRow(work string, peak, limit int) row {
	return row{work: work, figure: megabytes(peak), atMost: megabytes(limit), missed: peak > limit}
}

// peakOf is the most memory, in bytes, that an exporter ever had while it was scraped each second.
func (b *bench) peakOf(ctx context.Context, k *lab.Kamailio, w work) (bytes int, err error) {
	e, err := startExporter(ctx, b.exporter, k, w)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	c, err := e.dial(ctx, "")
	if err != nil {
		return 0, err
	}
	defer c.close()
	if _, err := scrapeEach(ctx, scrapeEvery, b.memory, func() error {
		_, err := c.scrape()
		return err
	}); err != nil {
		return 0, err
	}
	return peakResident(e.pid)
}

var highWaterMark = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakResident is the most memory that a process ever had resident, in bytes. The kernel's kB are 1,024 bytes (proc(5)).
func peakResident(pid int) (bytes int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	match := highWaterMark.FindSubmatch(status)
	if match == nil {
		return 0, fmt.Errorf("the status of process %d has no VmHWM", pid)
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	return kilobytes * 1024, err
}
