package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Host says whether to read what the exporter's host knows about Kamailio's processes and sockets.
type Host string

// The values of Host.
const (
	HostAuto Host = "auto" // as HostOn, if the target is a unix: socket and auto is among the methods
	HostOn   Host = "on"
	HostFull Host = "full" // also the memory and the context switches of processes
	HostOff  Host = "off"
)

// hosts are all values of Host.
var hosts = []Host{HostAuto, HostOn, HostFull, HostOff}

// Set parses a value.
func (h *Host) Set(text string) error {
	if !slices.Contains(hosts, Host(text)) {
		var options []string
		for _, host := range hosts {
			options = append(options, string(host))
		}
		return fmt.Errorf("%q is not one of %s", text, strings.Join(options, ", "))
	}
	*h = Host(text)
	return nil
}

// String returns the value in the form of Set.
func (h *Host) String() string { return string(*h) }

// ReadsHost reports whether to read what the exporter's host knows about a target.
func (m *Module) ReadsHost(target dial.Target) bool {
	return m.Host == HostOn || m.Host == HostFull || m.Host == HostAuto && m.Auto && target.Network == "unix"
}
