package hint

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// Reasons are the values that Reason returns.
var Reasons = []string{
	"permission", "no_socket", "refused", "unreachable", "timeout", "not_binrpc", "not_json_rpc", "auth", "tls", "dns", "too_large", "protocol", "no_methods", "other",
}

// Reason returns why a target is down, given the error of its calls. It does not contain text of the server.
func Reason(err error, _ dial.Target) string {
	_, dns := errors.AsType[*net.DNSError](err)
	switch {
	case dns:
		return "dns"
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	case errors.Is(err, fs.ErrNotExist):
		return "no_socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case IsTimeout(err):
		return "timeout"
	default:
		return "other"
	}
}
