//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// decodeRuns is how often each reply is measured, for a second each time.
const decodeRuns = 5

// decode measures how long real replies take to decode.
func (b *bench) decode(ctx context.Context) ([]row, error) {
	testing.Init() // what it registers are defaults that Benchmark reads
	var rows []row
	for _, reply := range []struct {
		from        *lab.Kamailio
		method      string
		limit       time.Duration
		allocations int64
	}{
		{b.crowded, "dispatcher.list", 2 * time.Millisecond, 100},
		{b.ordinary, "tm.stats", 600 * time.Nanosecond, 3},
		{b.ordinary, "stats.fetch", 8 * time.Microsecond, 3},
	} {
		packet, err := fetchReply(ctx, reply.from, reply.method)
		if err != nil {
			return nil, err
		}
		took, allocations, err := benchmarkParse(ctx, packet)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{
			work:   fmt.Sprintf("decode %s, %d bytes", reply.method, len(packet)),
			figure: fmt.Sprintf("%s, %d allocations", microseconds(took), allocations),
			atMost: fmt.Sprintf("%s, %d", microseconds(reply.limit), reply.allocations),
			missed: took > reply.limit || allocations > reply.allocations,
		})
	}
	return rows, nil
}

// fetchReply is the packet with which k answers what the exporter asks with this method.
func fetchReply(ctx context.Context, k *lab.Kamailio, method string) ([]byte, error) {
	f, err := dialFloor(ctx, k, []string{method})
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.check(); err != nil {
		return nil, err
	}
	return slices.Clone(f.packets()[0]), nil
}

// benchmarkParse returns the medians of the time and of the allocations that it takes to decode a packet.
func benchmarkParse(ctx context.Context, packet []byte) (took time.Duration, allocations int64, err error) {
	var times []time.Duration
	var counts []int64
	for range decodeRuns {
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		found := testing.Benchmark(func(t *testing.B) {
			for t.Loop() {
				if _, err = binrpc.Parse(packet, rpc.Limits{}); err != nil {
					t.Fatal(err)
				}
			}
		})
		if err != nil {
			return 0, 0, err
		}
		times = append(times, found.T/time.Duration(found.N))
		counts = append(counts, found.AllocsPerOp())
	}
	slices.Sort(counts)
	return percentile(times, 50), counts[len(counts)/2], nil
}
