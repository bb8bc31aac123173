package hint

import (
	"errors"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
)

// ErrNoUnixSocket means that the host's series cannot be shown, because the connection to Kamailio does not prove where it runs.
var ErrNoUnixSocket = errors.New("only a connection to a unix: socket proves which processes and sockets are Kamailio's")

// ForHost returns the hint for a reason why series of Kamailio's host are missing.
func ForHost(err error) Hint {
	const orOff = "; or set {host} to off"
	switch {
	case errors.Is(err, ErrNoUnixSocket):
		return "name a unix: socket of ctl on this host with {uri}" + orOff
	case errors.Is(err, host.ErrOtherNamespace):
		return "run the exporter in the PID namespace of Kamailio: in Kubernetes with shareProcessNamespace or hostPID, in Docker with the option pid of the container" + orOff
	case errors.Is(err, host.ErrHidden):
		return "let the exporter see the processes of other users: ProtectProc=default in its systemd unit, and no option hidepid of the mount of /proc, or hidepid and gid= with a group of the exporter" + orOff
	case errors.Is(err, host.ErrOtherNetwork):
		return "run the exporter in the network namespace of Kamailio, for example in the same pod, and allow AF_NETLINK in RestrictAddressFamilies= of its systemd unit" + orOff
	default:
		return ""
	}
}
