// Package datagram opens the sockets of clients that use datagrams, and contains
// their errors.
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

// MaxUnrelated is the number of datagrams that are not a reply to the last request,
// after which a client closes its socket. Some may arrive, because an earlier owner
// of the client's address sent a request.
const MaxUnrelated = 100

// ErrUnrelated is the error of a call after MaxUnrelated datagrams arrived that are
// not its reply.
var ErrUnrelated = fmt.Errorf("%d datagrams arrived that are not a reply to the request", MaxUnrelated)

// Timeout returns the error of a request that was sent and got no datagram in reply
// before the deadline. It wraps [rpc.ErrNoDatagram] and err.
func Timeout(err error) error { return fmt.Errorf("%w: %w", rpc.ErrNoDatagram, err) }

// Dial opens a socket that is connected to a datagram socket; network is "unixgram"
// or "udp". It sends no datagram. Closing the connection removes the files that Dial
// created.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s := &socket{}
	var dialer net.Dialer
	if network == "unixgram" {
		// Kamailio sends the reply to the address of the client, so the client's
		// socket needs one.
		local, err := s.localAddress()
		if err != nil {
			return nil, fmt.Errorf("create a socket address for replies: %w", err)
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

// socket is a connected datagram socket.
type socket struct {
	net.Conn
	dir string // directory of its file, "" if it has none
}

func (s *socket) Close() error { return errors.Join(s.Conn.Close(), s.remove()) }

func (s *socket) remove() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// localAddress returns an address for the client's socket. On Linux it is an abstract
// one, so that Kamailio needs no permission to write to a file. On other systems it
// is a file in a new directory.
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
