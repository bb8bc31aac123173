//go:build linux

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are chosen below the range from which the kernel takes those of outgoing connections (32768 and up), so that a
// server which is restarted finds its ports free again.
const firstPort, portCount = 10000, 20000

// freePort returns a port of the loopback address that is free for both UDP and TCP. Somebody else may take it before it
// is used: Kamailio's UDP sockets would not even notice, but those for TCP do, and so Start tries again.
func freePort() (int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(portCount)
		if last = tryPort(port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s: %w", loopback, last)
}

func tryPort(port int) error {
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	udp, udpErr := net.ListenPacket("udp", address) //nolint:noctx // binding does not block
	if udpErr == nil {
		udpErr = udp.Close()
	}
	tcp, tcpErr := net.Listen("tcp", address) //nolint:noctx // binding does not block
	if tcpErr == nil {
		tcpErr = tcp.Close()
	}
	return errors.Join(udpErr, tcpErr)
}
