//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// The exporter's methods in the rows.
var (
	fiveMethods = []string{"tm.stats", "sl.stats", "core.shmmem", "core.uptime", "core.tcp_info"}
	nineMethods = append(slices.Clone(fiveMethods), "tls.info", "dlg.stats_active", "dmq.list_nodes", "stats.fetch")
	dispatcher  = []string{"dispatcher.list"}
)

// warmUp is how often everyone scrapes before anything is measured.
const warmUp = 10

// The flags of the exporter in the rows.
const (
	allStatistics   = "--kamailio.stats-groups=all"
	shortDispatcher = "--kamailio.short=dispatcher.list"
)

func (b *bench) fiveMethods(ctx context.Context) ([]row, error) {
	floor, found, err := b.race(ctx, b.ordinary, work{methods: fiveMethods}, "")
	if err != nil {
		return nil, err
	}
	return []row{ratioRow("five methods", floor, found[0].median, 6)}, nil
}

func (b *bench) nineMethods(ctx context.Context) ([]row, error) {
	floor, found, err := b.race(ctx, b.ordinary, work{nineMethods, []string{allStatistics}}, "")
	if err != nil {
		return nil, err
	}
	return []row{ratioRow(fmt.Sprintf("nine methods, %d lines", found[0].lines), floor, found[0].median, 2.5)}, nil
}

func (b *bench) destinationsShort(ctx context.Context) ([]row, error) {
	floor, found, err := b.race(ctx, b.crowded, work{dispatcher, []string{shortDispatcher}}, "")
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d destinations in short, %d lines", destinations, found[0].lines)
	return []row{ratioRow(name, floor, found[0].median, 1.2)}, nil
}

// destinationsLong also measures an exporter that is asked for gzip.
func (b *bench) destinationsLong(ctx context.Context) ([]row, error) {
	floor, found, err := b.race(ctx, b.crowded, work{methods: dispatcher}, "", acceptGzip)
	if err != nil {
		return nil, err
	}
	plain, packed := found[0], found[1]
	name := fmt.Sprintf("%d destinations, %d lines", destinations, plain.lines)
	return []row{ratioRow(name, floor, plain.median, 1.6), {
		work:     name + ", gzip",
		floor:    milliseconds(floor),
		exporter: milliseconds(packed.median),
		figure: fmt.Sprintf("%.2f ×, %.0f %% of the row above; %s sent instead of %s", ratio(packed.median, floor),
			100*ratio(packed.median, plain.median), megabytes(packed.sent), megabytes(plain.sent)),
	}}, nil
}

// work is what an exporter is told to do.
type work struct {
	methods []string // none for its default, auto
	flags   []string
}

// result is what was found of an exporter.
type result struct {
	median time.Duration // of a scrape
	lines  int           // of the page
	sent   int           // bytes of the page, as they were sent
}

// race measures in turn the floor and an exporter for each set of request headers.
func (b *bench) race(ctx context.Context, k *lab.Kamailio, w work, headers ...string) (floor time.Duration, results []result, err error) {
	f, err := dialFloor(ctx, k, w.methods)
	if err != nil {
		return 0, nil, err
	}
	defer f.close()
	if err := f.check(); err != nil {
		return 0, nil, err
	}
	contestants := []func() (time.Duration, error){f.scrape}
	clients := make([]*client, len(headers))
	for i, h := range headers {
		e, startErr := startExporter(ctx, b.exporter, k, w)
		if startErr != nil {
			return 0, nil, startErr
		}
		defer func() { err = errors.Join(err, e.stop()) }()
		if clients[i], err = e.dial(ctx, h); err != nil {
			return 0, nil, err
		}
		defer clients[i].close()
		contestants = append(contestants, clients[i].scrape)
	}
	medians, err := alternate(ctx, b.timed, contestants)
	if err != nil {
		return 0, nil, err
	}
	for i, c := range clients {
		results = append(results, result{medians[i+1], c.lines(), c.body.Len()})
	}
	return medians[0], results, nil
}

// alternate lets the contestants scrape in turn for as long as given, and returns the median of each.
func alternate(ctx context.Context, length time.Duration, contestants []func() (time.Duration, error)) ([]time.Duration, error) {
	times := make([][]time.Duration, len(contestants))
	var begin time.Time
	for turn := 0; turn <= warmUp || time.Since(begin) < length; turn++ {
		if turn == warmUp {
			begin = time.Now()
		}
		for i, scrape := range contestants {
			took, err := scrape()
			if err != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			if turn >= warmUp {
				times[i] = append(times[i], took)
			}
		}
	}
	progress("  %d scrapes each", len(times[0]))
	medians := make([]time.Duration, len(times))
	for i := range times {
		medians[i] = percentile(times[i], 50)
	}
	return medians, nil
}
