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

// Target is the address of a Kamailio's RPC socket or URL.
type Target struct {
	// Protocol is the protocol of the socket.
	Protocol Protocol
	// Network is "unix", "unixgram", "tcp", "udp", or "http" for HTTP and HTTPS.
	Network string
	// Address is a path for "unix" and "unixgram", host:port for "tcp" and "udp", and
	// a URL for "http".
	Address string
}

// Protocol is an RPC protocol.
type Protocol string

// The protocols: BINRPC of the Kamailio module ctl, and JSON-RPC of the Kamailio module
// jsonrpcs.
const (
	BINRPC  Protocol = "binrpc"
	JSONRPC Protocol = "jsonrpc"
)

// schemes maps the URI schemes to targets without an address.
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

// ParseTarget parses the URI of a target.
//
//   - For the Kamailio module ctl: unix:/path or unix:///path, unixd:/path for a unix
//     datagram socket, tcp://host:port, udp://host:port.
//   - For the Kamailio module jsonrpcs: the http:// or https:// URL at which Kamailio's
//     configuration calls jsonrpc_dispatch(), jsonrpc+unixgram:/path,
//     jsonrpc+udp://host:port, jsonrpc+tcp://host:port.
//
// The slashes before the host may be omitted, except for http and https, and unixs is a
// synonym of unix. So the values of ctl's parameter binrpc can be used unchanged, unless
// they stand for all addresses of a host. ParseTarget does not check whether the target
// exists. Its errors do not contain parts of the URI that may be a password.
func ParseTarget(uri string) (Target, error) {
	scheme, rest, found := strings.Cut(uri, ":")
	target, known := schemeOf(scheme)
	if !found && strings.HasPrefix(uri, "/") {
		return Target{}, fmt.Errorf("%[1]q is not the URI of a Kamailio: use unix:%[1]s for a socket of ctl, jsonrpc+unixgram:%[1]s for one of jsonrpcs", redacted(uri))
	}
	if !found || !known {
		return Target{}, fmt.Errorf("%q is not the URI of a Kamailio: use %s", redacted(uri), forms)
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
		return Target{}, fmt.Errorf("%q is not the URI of a Kamailio: %w", redacted(uri), err)
	}
	target.Address = address
	return target, nil
}

// schemeOf returns the target of a scheme without its address. Like ctl, it accepts
// unixs for unix, and upper case.
func schemeOf(scheme string) (Target, bool) {
	scheme = strings.ToLower(scheme)
	if scheme == "unixs" {
		scheme = "unix"
	}
	target, known := schemes[scheme]
	return target, known
}

// redacted returns a URI for error messages: only its scheme if the rest may contain a
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
		return errors.New("the URL is not valid")
	case u.User != nil:
		return errors.New("a URL must not contain a password, because process lists and logs show URLs")
	case u.Host == "":
		return errors.New("the host is missing: use for example http://127.0.0.1:5060/RPC")
	case u.Fragment != "":
		return errors.New("the URL must not contain #")
	case u.Port() != "" && !isPort(u.Port()):
		return errPort
	}
	return nil
}

// longestPath is the maximum length in bytes of a unix socket's path on all supported
// systems.
const longestPath = 103

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the path is missing: use %s", forms)
	case !filepath.IsAbs(path) && !strings.HasPrefix(path, "/"):
		return errors.New("the path must start with a slash")
	case strings.ContainsRune(path, 0):
		return errors.New("the path contains a zero byte")
	case len(path) > longestPath:
		return fmt.Errorf("the path has %d bytes, the path of a unix socket has at most %d", len(path), longestPath)
	}
	return nil
}

// checkHostPort checks an address of ctl or jsonrpcs. In Kamailio's configuration, "*"
// and a port alone mean all addresses of the host, which a client cannot connect to.
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
		return fmt.Errorf("* means all addresses of Kamailio's host: use one of them, for example %s://127.0.0.1:%s", scheme, port)
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

// notInHost reports whether a character is not allowed in a host. It finds URIs with a
// path, a user or a space.
func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("/?#@", r)
}

// Redacted returns the target as a URI for logs: without the query of a URL, which may
// contain a password.
func (t Target) Redacted() string {
	uri, _, _ := strings.Cut(t.String(), "?")
	return uri
}

// String returns the target as a URI that [ParseTarget] accepts. It may contain a
// password in the query of a URL; see [Target.Redacted].
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

// withSlashes adds two slashes to a path that starts with two, because [ParseTarget]
// removes two slashes after the scheme.
func withSlashes(path string) string {
	if strings.HasPrefix(path, "//") {
		return "//" + path
	}
	return path
}
