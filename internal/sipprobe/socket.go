// Package sipprobe sends an OPTIONS request to a SIP socket and reports whether and how a
// SIP server responds. It sends nothing else.
package sipprobe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Socket is a SIP socket.
type Socket struct {
	// Transport is "udp", "tcp" or "tls".
	Transport string
	// Host is a host name or an IP address, without brackets. An IPv4 address is never
	// mapped to IPv6, so that equal sockets have equal hosts.
	Host string
	// Port is from 1 to 65535.
	Port int
}

// Address returns host:port, with brackets around an IPv6 address.
func (s Socket) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// String returns the socket as Kamailio writes it, for example "udp:127.0.0.1:5060".
func (s Socket) String() string { return s.Transport + ":" + s.Address() }

// uri returns the Request-URI for the socket.
func (s Socket) uri() string {
	switch s.Transport {
	case "udp":
		return "sip:" + s.Address()
	case "tcp":
		return "sip:" + s.Address() + ";transport=tcp"
	default:
		return "sips:" + s.Address()
	}
}

// hostName matches a host name.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

// errURI says what URIs are allowed.
var errURI = errors.New("use sip:host:port, sip:host:port;transport=tcp, or sips:host:port for TLS; the port is 5060 or 5061 by default")

// ParseURI parses the URI of a SIP socket: sip:host[:port] for UDP, with
// ;transport=udp, tcp or tls for another transport, and sips:host[:port] for TLS. A user
// part and headers are errors.
func ParseURI(text string) (Socket, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	rest, parameters, _ := strings.Cut(rest, ";")
	s := Socket{Transport: "udp"}
	switch strings.ToLower(scheme) {
	case "sip":
	case "sips":
		s.Transport = "tls"
	default:
		return Socket{}, fmt.Errorf("%q is not the URI of a SIP socket: %w", text, errURI)
	}
	if parameters != "" {
		transport, ok := strings.CutPrefix(strings.ToLower(parameters), "transport=")
		if !ok || transport != "udp" && transport != "tcp" && transport != "tls" || s.Transport == "tls" && transport == "udp" {
			return Socket{}, fmt.Errorf("%q has the parameters %q: %w", text, parameters, errURI)
		}
		if s.Transport != "tls" { // sips: with transport=tcp is TLS
			s.Transport = transport
		}
	}
	var err error
	if s.Host, s.Port, err = hostPort(rest, s.Transport); err != nil {
		return Socket{}, fmt.Errorf("%q is not the URI of a SIP socket: %w", text, err)
	}
	return s, nil
}

// hostPort parses host[:port]. An address has one spelling in the result: ::ffff:127.0.0.1 is 127.0.0.1.
func hostPort(text, transport string) (host string, port int, err error) {
	port = 5060
	if transport == "tls" {
		port = 5061
	}
	host = text
	if name, number, err := net.SplitHostPort(text); err == nil {
		if port, err = strconv.Atoi(number); err != nil || port < 1 || port > 65535 {
			return "", 0, errURI
		}
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), port, nil
	}
	if !hostName.MatchString(host) {
		return "", 0, errURI
	}
	return host, port, nil
}
