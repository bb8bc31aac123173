//go:build !linux

package binrpc

import "net"

// peerPID returns 0: only Linux reports the process at the other end.
func peerPID(net.Conn) int { return 0 }
