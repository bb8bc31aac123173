package config

import (
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/cli"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// SIP says which SIP sockets of a target to probe and how.
type SIP struct {
	// Auto reports whether the sockets are those that Kamailio lists, as far as they are on the host of the target.
	Auto bool
	// Sockets are the sockets if Auto is false.
	Sockets []sipprobe.Socket
	// Timeout is the maximum time of a probe. It is positive.
	Timeout time.Duration
	// CA has the certificates in PEM to verify servers with. If CA and ServerName are empty, certificates are not verified.
	CA string
	// ServerName is the name that certificates must have, "" for the host of the socket.
	ServerName string
}

// defaultSIPTimeout is the default of SIP.Timeout. A request over UDP is sent three times within it.
const defaultSIPTimeout = 2 * time.Second

// MaxSIPSockets is the maximum number of SIP sockets of a target.
const MaxSIPSockets = 32

const (
	sipAuto = "auto"
	sipOff  = "off"
)

// readSIP returns a function that reads the key sip of a module.
func readSIP(dst **SIP) func(node) error {
	return func(n node) error {
		if n.Kind == yaml.ScalarNode {
			return n.wrongValue("must be a mapping, for example {sockets: %s}; it has the keys ca_file, server_name, sockets, timeout", sipAuto)
		}
		sip := &SIP{Timeout: defaultSIPTimeout}
		off, given := false, false
		caFile := ""
		err := n.readFields(fields{
			"sockets": func(value node) error {
				given, off = true, value.Kind == yaml.ScalarNode && value.Value == sipOff
				return sip.readSockets(value)
			},
			"timeout":     intoValue((*cli.Duration)(&sip.Timeout)),
			"ca_file":     intoFile(&caFile),
			"server_name": into(&sip.ServerName),
		})
		switch {
		case err != nil:
			return err
		case !given:
			return n.wrong("sip must have the key sockets: %s, %s or a list of URIs", sipAuto, sipOff)
		}
		if err := sip.readCA(caFile); err != nil {
			return n.wrong("%w", err)
		}
		if !off {
			*dst = sip
		}
		return nil
	}
}

// readCA reads the file with the certificates, "" for none.
func (s *SIP) readCA(file string) error {
	if file == "" {
		return nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // the user's configuration names the file
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(content) {
		return fmt.Errorf("%s has no certificate in PEM", file)
	}
	s.CA = string(content)
	return nil
}

// readSockets reads auto, off or a list of URIs.
func (s *SIP) readSockets(n node) error {
	if n.Kind == yaml.ScalarNode {
		s.Auto = n.Value == sipAuto
		if !s.Auto && n.Value != sipOff {
			return n.wrong("must be %s, %s or a list of URIs such as [\"sip:192.0.2.1:5060\"]", sipAuto, sipOff)
		}
		return nil
	}
	if err := readSockets(&s.Sockets)(n); err != nil {
		return err
	}
	if len(s.Sockets) == 0 {
		return n.wrong("must have at least one URI; %s switches probes off", sipOff)
	}
	return nil
}

// readSockets returns a function that reads a list of URIs of SIP sockets.
func readSockets(dst *[]sipprobe.Socket) func(node) error {
	return func(n node) error {
		if err := intoList(dst, sipprobe.ParseURI)(n); err != nil {
			return err
		}
		if len(*dst) > MaxSIPSockets {
			return n.wrong("must have at most %d URIs", MaxSIPSockets)
		}
		return nil
	}
}

// sipFlag is the value of --kamailio.sip-probe.
type sipFlag struct{ sip **SIP }

// Set parses auto, off or URIs that are separated by commas.
func (f sipFlag) Set(text string) error {
	sip := &SIP{Timeout: defaultSIPTimeout}
	switch text {
	case sipOff:
		*f.sip = nil
		return nil
	case sipAuto:
		sip.Auto = true
		*f.sip = sip
		return nil
	}
	for uri := range strings.SplitSeq(text, ",") {
		socket, err := sipprobe.ParseURI(strings.TrimSpace(uri))
		if err != nil {
			return fmt.Errorf("%q is not %s, %s or a list of URIs: %w", text, sipAuto, sipOff, err)
		}
		if !slices.Contains(sip.Sockets, socket) {
			sip.Sockets = append(sip.Sockets, socket)
		}
	}
	if len(sip.Sockets) > MaxSIPSockets {
		return fmt.Errorf("must have at most %d URIs", MaxSIPSockets)
	}
	*f.sip = sip
	return nil
}

// String returns auto, off, or the sockets separated by commas.
func (f sipFlag) String() string {
	if f.sip == nil || *f.sip == nil {
		return sipOff
	}
	if (*f.sip).Auto {
		return sipAuto
	}
	var uris []string
	for _, socket := range (*f.sip).Sockets {
		uris = append(uris, socket.String())
	}
	return strings.Join(uris, ",")
}
