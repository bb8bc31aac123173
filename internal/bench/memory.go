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

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// scrapeEvery is how often the exporter is scraped while its memory is watched, and while SIPp runs.
const scrapeEvery = time.Second

// peakMemory watches three exporters at once, on two Kamailios.
func (b *bench) peakMemory(ctx context.Context) ([]row, error) {
	often := fmt.Sprintf("a scrape every %v for %v", scrapeEvery, b.memory)
	watched := []struct {
		name  string
		on    *lab.Kamailio
		work  work
		limit int // in bytes, 0 for none
	}{
		{"most memory of the exporter, five methods, " + often, b.ordinary, work{methods: fiveMethods}, 18e6},
		{fmt.Sprintf("most memory, %d destinations in short", destinations), b.crowded, work{dispatcher, []string{shortDispatcher}}, 32e6},
		{fmt.Sprintf("most memory, all that auto finds, with all series of %d destinations", destinations), b.crowded, work{}, 0},
	}
	rows, errs := make([]row, len(watched)), make([]error, len(watched))
	var all sync.WaitGroup
	for i, w := range watched {
		all.Go(func() {
			peak, err := b.peakOf(ctx, w.on, w.work)
			rows[i], errs[i] = memoryRow(w.name, peak, w.limit), err
		})
	}
	all.Wait()
	return rows, errors.Join(errs...)
}

func memoryRow(work string, peak, limit int) row {
	r := row{work: work, figure: megabytes(peak)}
	if limit > 0 {
		r.atMost, r.missed = megabytes(limit), peak > limit
	}
	return r
}

// peakOf is the most memory, in bytes, that an exporter ever had while it was scraped each second.
func (b *bench) peakOf(ctx context.Context, k *lab.Kamailio, w work) (bytes int, err error) {
	err = b.scraped(ctx, k, w, func(e *exporter, c *client) error {
		if _, err := scrapeEach(ctx, scrapeEvery, b.memory, c.once); err != nil {
			return err
		}
		var err error
		bytes, err = peakResident(e.pid)
		return err
	})
	return bytes, err
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
