package dial

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Target is where a Kamailio listens for RPC.
type Target struct {
	// Network is "unix", "unixgram", "tcp" or "udp".
	Network string
	// Address is a path for the first two, host:port for the others.
	Address string
}

// schemes are the URI schemes, and the network that each one stands for.
var schemes = map[string]string{
	"unix":  "unix",
	"unixd": "unixgram",
	"tcp":   "tcp",
	"udp":   "udp",
}

const forms = "unix:/path, unixd:/path (datagram), tcp://host:port or udp://host:port"

// ParseTarget reads the URI of a ctl socket: unix:/path or unix:///path,
// unixd:/path for a unix datagram socket, tcp://host:port, udp://host:port, each
// also without the slashes. It does not look whether the target exists.
func ParseTarget(uri string) (Target, error) {
	scheme, rest, found := strings.Cut(uri, ":")
	network, known := schemes[scheme]
	if !found || !known {
		return Target{}, fmt.Errorf("%q is no URI of a Kamailio: use %s", uri, forms)
	}
	rest = strings.TrimPrefix(rest, "//")
	var err error
	if network == "unix" || network == "unixgram" {
		err = checkPath(rest)
	} else {
		err = checkHostPort(rest)
	}
	if err != nil {
		return Target{}, fmt.Errorf("%q is no URI of a Kamailio: %w", uri, err)
	}
	return Target{network, rest}, nil
}

// longestPath is the longest path that a unix socket can have on every system.
const longestPath = 103

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the path is missing: use %s", forms)
	case !filepath.IsAbs(path) && !strings.HasPrefix(path, "/"):
		return fmt.Errorf("the path %q must start with a slash", path)
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("the path %q has a zero byte", path)
	case len(path) > longestPath:
		return fmt.Errorf("the path has %d bytes, a unix socket's has at most %d", len(path), longestPath)
	}
	return nil
}

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q must be host:port, or [address]:port for IPv6", address)
	}
	if host == "" {
		return fmt.Errorf("%q has no host", address)
	}
	if strings.ContainsFunc(host, notInHost) {
		return fmt.Errorf("%q is neither a host name nor an address", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the port %q must be a number from 1 to 65535", port)
	}
	return nil
}

// notInHost tells of a character that cannot be part of a host, so that a URI
// with a path, a user or a stray space is noticed at once.
func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("/?#@", r)
}

// String is the target as a URI.
func (t Target) String() string {
	switch t.Network {
	case "unix":
		return "unix:" + withSlashes(t.Address)
	case "unixgram":
		return "unixd:" + withSlashes(t.Address)
	default:
		return t.Network + "://" + t.Address
	}
}

// withSlashes keeps a path that starts with two slashes from being read as one
// behind an authority.
func withSlashes(path string) string {
	if strings.HasPrefix(path, "//") {
		return "//" + path
	}
	return path
}
