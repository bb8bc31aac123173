package config

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
)

// listenAddresses is the value of a repeatable flag with addresses to listen on, in the
// forms of the exporter-toolkit.
type listenAddresses []string

// Set adds an address. It does not check whether a host name can be resolved.
func (l *listenAddresses) Set(text string) error {
	if !isListenAddress(text) {
		return fmt.Errorf("%q is not an address to listen on: use :port, host:port, [address]:port for IPv6 or vsock://:port",
			cli.Redacted(text))
	}
	*l = append(*l, text)
	return nil
}

// isListenAddress reports whether text is an address to listen on.
func isListenAddress(text string) bool {
	vsock, isVsock := strings.CutPrefix(text, "vsock://")
	if isVsock {
		text = vsock
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" || strings.ContainsAny(host, "/?#@ ") {
		return false
	}
	if isVsock {
		_, err = strconv.ParseUint(port, 10, 32)
	} else {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	return err == nil
}

// String returns the addresses, separated by commas.
func (l *listenAddresses) String() string { return strings.Join(*l, ",") }

// IsCumulative tells kingpin that the flag may be repeated.
func (l *listenAddresses) IsCumulative() bool { return true }
