package dial

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Target is where a Kamailio listens for RPC.
type Target struct {
	// Protocol is the protocol of the socket.
	Protocol Protocol
	// Network is "unix", "unixgram", "tcp" or "udp", or "http" for both HTTP
	// and HTTPS.
	Network string
	// Address is a path for the first two, host:port for the next two, and a
	// URL for the last.
	Address string
}

// Protocol is a way to speak RPC.
type Protocol string

// The protocols: that of Kamailio's ctl module, and that of its jsonrpcs module.
const (
	BINRPC  Protocol = "binrpc"
	JSONRPC Protocol = "jsonrpc"
)

// schemes are the URI schemes, and the target that each one stands for, still
// without its address.
var schemes = map[string]Target{
	"unix":             {Protocol: BINRPC, Network: "unix"},
	"unixd":            {Protocol: BINRPC, Network: "unixgram"},
	"tcp":              {Protocol: BINRPC, Network: "tcp"},
	"udp":              {Protocol: BINRPC, Network: "udp"},
	"http":             {Protocol: JSONRPC, Network: "http"},
	"https":            {Protocol: JSONRPC, Network: "http"},
	"jsonrpc+unixgram": {Protocol: JSONRPC, Network: "unixgram"},
	"jsonrpc+tcp":      {Protocol: JSONRPC, Network: "tcp"},
	"jsonrpc+udp":      {Protocol: JSONRPC, Network: "udp"},
}

const forms = "unix:/path, unixd:/path (datagram), tcp://host:port or udp://host:port for ctl; " +
	"http://host:port/RPC, https://, jsonrpc+unixgram:/path, jsonrpc+tcp:// or jsonrpc+udp:// for jsonrpcs"

// ParseTarget reads the URI of a socket. For ctl: unix:/path or unix:///path,
// unixd:/path for a unix datagram socket, tcp://host:port, udp://host:port. For
// jsonrpcs: the http:// or https:// URL at which the configuration calls
// jsonrpc_dispatch(), jsonrpc+unixgram:/path, jsonrpc+udp://host:port,
// jsonrpc+tcp://host:port. All but the URLs may leave out the slashes, and unixs is
// another word for unix, so that the values of ctl's parameter binrpc can be used
// as they are, unless they name every address of a host. ParseTarget does not look
// whether the target exists. An error repeats no part of the URI that may be a
// password.
func ParseTarget(uri string) (Target, error) {
	scheme, rest, found := strings.Cut(uri, ":")
	target, known := schemeOf(scheme)
	if !found || !known {
		return Target{}, fmt.Errorf("%q is no URI of a Kamailio: use %s", redacted(uri), forms)
	}
	address := strings.TrimPrefix(rest, "//")
	var err error
	switch target.Network {
	case "http":
		address = uri
		err = checkURL(uri)
	case "unix", "unixgram":
		err = checkPath(address)
	default:
		err = checkHostPort(scheme, address)
	}
	if err != nil {
		return Target{}, fmt.Errorf("%q is no URI of a Kamailio: %w", redacted(uri), err)
	}
	target.Address = address
	return target, nil
}

// schemeOf returns the target that a scheme stands for. ctl knows unixs for unix,
// and takes capital letters.
func schemeOf(scheme string) (Target, bool) {
	scheme = strings.ToLower(scheme)
	if scheme == "unixs" {
		scheme = "unix"
	}
	target, known := schemes[scheme]
	return target, known
}

// redacted is a URI that can be shown: no more than its scheme where it may have a
// password.
func redacted(uri string) string {
	if !strings.ContainsAny(uri, "@?#") {
		return uri
	}
	scheme, _, _ := strings.Cut(uri, ":")
	if _, known := schemeOf(scheme); known {
		return scheme + ":…"
	}
	return "…"
}

func checkURL(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return errors.New("the URL cannot be read")
	case u.User != nil:
		return errors.New("a URL must not contain a password, because process lists and logs show URLs")
	case u.Host == "":
		return errors.New("the host is missing: use for example http://127.0.0.1:5060/RPC")
	case u.Fragment != "":
		return errors.New("a URL of a server has no #")
	case u.Port() != "" && !isPort(u.Port()):
		return errPort
	}
	return nil
}

// longestPath is the longest path that a unix socket can have on every system.
const longestPath = 103

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the path is missing: use %s", forms)
	case !filepath.IsAbs(path) && !strings.HasPrefix(path, "/"):
		return errors.New("the path must start with a slash")
	case strings.ContainsRune(path, 0):
		return errors.New("the path has a zero byte")
	case len(path) > longestPath:
		return fmt.Errorf("the path has %d bytes, a unix socket's has at most %d", len(path), longestPath)
	}
	return nil
}

// checkHostPort checks an address of ctl or jsonrpcs, which may be written as in
// Kamailio's configuration. There, "*" and a port alone mean every address.
// Source: parse_listen_id in Kamailio's src/modules/ctl/ctrl_socks.c.
func checkHostPort(scheme, address string) error {
	if isPort(address) {
		return fmt.Errorf("the host is missing: use for example %s://127.0.0.1:%s", scheme, address)
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return fmt.Errorf("the address must be host:port, for example %s://localhost:2049, or [address]:port for IPv6", scheme)
	case !isPort(port):
		return errPort
	case host == "":
		return fmt.Errorf("the host is missing: use for example %s://127.0.0.1:%s", scheme, port)
	case host == "*":
		return fmt.Errorf("* means every address of Kamailio's host: name one of them, for example %s://127.0.0.1:%s", scheme, port)
	case strings.ContainsFunc(host, notInHost):
		return errors.New("the host is neither a name nor an address")
	}
	return nil
}

var errPort = errors.New("the port must be a number from 1 to 65535")

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// notInHost reports whether a character cannot be part of a host, so that a URI
// with a path, a user or a space is refused.
func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("/?#@", r)
}

// Redacted is the target as a URI that can be shown: without the query of a URL,
// which may be a password.
func (t Target) Redacted() string {
	uri, _, _ := strings.Cut(t.String(), "?")
	return uri
}

// String is the target as a URI.
func (t Target) String() string {
	if t.Network == "http" {
		return t.Address
	}
	for scheme, target := range schemes {
		if target.Protocol != t.Protocol || target.Network != t.Network {
			continue
		}
		if strings.HasPrefix(t.Network, "unix") {
			return scheme + ":" + withSlashes(t.Address)
		}
		return scheme + "://" + t.Address
	}
	return t.Address
}

// withSlashes keeps a path that starts with two slashes from being read as one
// behind an authority.
func withSlashes(path string) string {
	if strings.HasPrefix(path, "//") {
		return "//" + path
	}
	return path
}
