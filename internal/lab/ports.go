//go:build linux

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort returns a port of the loopback address that is free for both UDP and TCP, below the range from which the kernel
// takes those of outgoing connections (32768 and up), so that a server which is restarted finds its ports free again. Another
// program may take it before it is used.
func FreePort() (int, error) {
	var last error
	for range 100 {
		port := 10000 + rand.IntN(20000)
		if last = checkFree(port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s: %w", loopback, last)
}

// checkFree returns an error if a server uses a port of the loopback address.
func checkFree(port int) error {
	udp, udpErr := net.ListenPacket("udp", address(port)) //nolint:noctx // binding does not block
	if udpErr == nil {
		udpErr = udp.Close()
	}
	tcp, tcpErr := net.Listen("tcp", address(port)) //nolint:noctx // binding does not block
	if tcpErr == nil {
		tcpErr = tcp.Close()
	}
	return errors.Join(udpErr, tcpErr)
}
