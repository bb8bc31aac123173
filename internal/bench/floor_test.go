//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

func TestPacketSize(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, 255, 256, 70_000} {
		for _, cookie := range []uint32{1, 0x100, firstCookie} {
			packet, err := binrpc.AppendReply(nil, cookie, strings.Repeat("x", length))
			if err != nil {
				t.Fatal(err)
			}
			if got := packetSize(packet); got != len(packet) {
				t.Errorf("a packet of %d bytes has size %d", len(packet), got)
			}
			for cut := range 3 { // the length is in the third byte, and in some after it
				if got := packetSize(packet[:cut]); got != 0 {
					t.Errorf("the first %d bytes of a packet have size %d", cut, got)
				}
			}
		}
	}
}
