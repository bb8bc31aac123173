// Package datagram has what the clients share that use datagram sockets.
package datagram

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// MaxForeign is how many datagrams that are no reply to the last request a client
// reads before it gives the socket up. A few may be left of an earlier owner of its
// address.
const MaxForeign = 100

// ErrForeign says that too many datagrams arrived that are no reply to the request.
var ErrForeign = fmt.Errorf("%d datagrams arrived that are no reply to the request", MaxForeign)

// Timeout is the error of a request that was sent and got no datagram in reply; err
// says that its time is over.
func Timeout(err error) error { return fmt.Errorf("%w: %w", rpc.ErrNoDatagram, err) }

// Dial opens a socket towards a datagram socket; network is "unixgram" or
// "udp". It sends nothing. Closing it removes what it left in the file system.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s := &socket{}
	var dialer net.Dialer
	if network == "unixgram" {
		// Kamailio answers to the address that a request came from, so there
		// must be one.
		local, err := s.localAddress()
		if err != nil {
			return nil, fmt.Errorf("make an address for the answers: %w", err)
		}
		dialer.LocalAddr = &net.UnixAddr{Name: local, Net: network}
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	s.Conn = conn
	return s, nil
}

// socket is a connected datagram socket, and where its own file is.
type socket struct {
	net.Conn
	dir string
}

func (s *socket) Close() error { return errors.Join(s.Conn.Close(), s.remove()) }

func (s *socket) remove() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// localAddress is a name in Linux' abstract space, which needs no file that
// Kamailio would have to be allowed to write to. Elsewhere it is a file.
func (s *socket) localAddress() (string, error) {
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("@kamailio-rpc-%d-%x", os.Getpid(), rand.Uint64()), nil
	}
	dir, err := os.MkdirTemp("", "kamailio-rpc")
	if err != nil {
		return "", err
	}
	s.dir = dir
	return filepath.Join(dir, "reply"), nil
}
