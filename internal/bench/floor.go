//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

const (
	// firstCookie takes four bytes in a packet, as the exporter's random ones nearly always do.
	firstCookie = 0x80000000
	// floorBuffer holds all replies of a scrape.
	floorBuffer = 4 << 20
	// patience is how long a scrape may take.
	patience = 30 * time.Second
)

// floor is the least that a client of ctl has to do: it writes all requests in one go, on a connection that it keeps,
// and takes the replies in. Of these it looks at no more than where each ends.
type floor struct {
	conn     net.Conn
	requests []byte
	replies  int    // that are due
	buffer   []byte // starts with the replies of the last scrape
	ends     []int  // where in buffer each of them ends
}

// dialFloor connects to k's ctl, to ask what the exporter asks with -m methods. It lives no longer than ctx.
func dialFloor(ctx context.Context, k *lab.Kamailio, methods []string) (*floor, error) {
	requests, replies, err := exporterRequests(methods)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", strings.TrimPrefix(k.URI("unix"), "unix:"))
	if err != nil {
		return nil, fmt.Errorf("connect the floor to ctl: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &floor{conn: conn, requests: requests, replies: replies, buffer: make([]byte, floorBuffer), ends: make([]int, 0, replies)}, nil
}

// exporterRequests are the packets that the exporter sends with -m methods, and how many these are.
func exporterRequests(methods []string) (packets []byte, count int, err error) {
	collectors, err := collector.Select(methods)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range collectors {
		for _, call := range c.Calls(collector.Settings{}) {
			if packets, err = binrpc.AppendRequest(packets, firstCookie+uint32(count), call); err != nil {
				return nil, 0, err
			}
			count++
		}
	}
	return packets, count, nil
}

// scrape asks everything once and tells how long it took.
func (f *floor) scrape() (time.Duration, error) {
	if err := f.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, fmt.Errorf("floor: %w", err)
	}
	begin := time.Now()
	if _, err := f.conn.Write(f.requests); err != nil {
		return 0, fmt.Errorf("floor: ask ctl: %w", err)
	}
	if err := f.readReplies(); err != nil {
		return 0, fmt.Errorf("floor: after %d of %d replies: %w", len(f.ends), f.replies, err)
	}
	return time.Since(begin), nil
}

func (f *floor) readReplies() error {
	f.ends = f.ends[:0]
	have, start := 0, 0 // all that was read, and where the reply under way starts
	for {
		n, err := f.conn.Read(f.buffer[have:])
		if err != nil {
			return err
		}
		have += n
		for {
			size := packetSize(f.buffer[start:have])
			if size == 0 || start+size > have {
				break
			}
			start += size
			f.ends = append(f.ends, start)
		}
		if len(f.ends) >= f.replies {
			return nil
		}
		if have == len(f.buffer) {
			return errors.New("the replies are larger than the floor's buffer: make floorBuffer larger")
		}
	}
}

// packetSize is the size of the packet that b starts with, 0 if its header is not whole yet. After the first byte, a header has
// the sizes of its two other parts, each less one, in two bits; then the length of what follows the header, then the cookie.
func packetSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	lengthSize, cookieSize := int(b[1]>>2&3)+1, int(b[1]&3)+1
	if len(b) < 2+lengthSize {
		return 0
	}
	length := 0
	for _, c := range b[2 : 2+lengthSize] {
		length = length<<8 | int(c)
	}
	return 2 + lengthSize + cookieSize + length
}

// packets are the replies of the last scrape. The next one overwrites them.
func (f *floor) packets() [][]byte {
	packets, start := make([][]byte, 0, len(f.ends)), 0
	for _, end := range f.ends {
		packets = append(packets, f.buffer[start:end])
		start = end
	}
	return packets
}

// check scrapes once and returns an error if any reply is a fault.
func (f *floor) check() error {
	if _, err := f.scrape(); err != nil {
		return err
	}
	for i, packet := range f.packets() {
		message, err := binrpc.Parse(packet, rpc.Limits{})
		if err != nil {
			return fmt.Errorf("floor: reply %d: %w", i+1, err)
		}
		if fault := message.Fault(); fault != nil {
			return fmt.Errorf("floor: reply %d: %w", i+1, fault)
		}
	}
	return nil
}

func (f *floor) close() { _ = f.conn.Close() }
