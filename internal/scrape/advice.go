package scrape

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// adviceOnUserMetrics is about the page of the routing script's own metrics.
const adviceOnUserMetrics = "is --kamailio.xhttp-prom-url the page at which event_route[xhttp:request] of Kamailio's configuration calls prom_dispatch(), " +
	"and may this host see it? Kamailio also needs tcp_accept_no_cl=yes, since such a request has no Content-Length"

// advise says what whoever runs Kamailio and its exporter can do about an error,
// "" where there is nothing to add.
func advise(err error, uri string) string {
	target, parseErr := dial.ParseTarget(uri)
	if parseErr != nil {
		return ""
	}
	socket := target.Network == "unix" || target.Network == "unixgram"
	switch {
	case errors.Is(err, fs.ErrNotExist) && socket:
		return fmt.Sprintf("no such socket: is Kamailio running, with %s? If its socket is elsewhere, name it with --kamailio.scrape-uri", configOf(target))
	case errors.Is(err, fs.ErrPermission):
		return adviseOnPermission(target)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens there: is Kamailio running, with %s?", configOf(target))
	case errors.Is(err, syscall.EAGAIN) && socket:
		return "the socket is there, but Kamailio takes no more connections: it is overloaded, or hangs"
	case isUntrusted(err):
		return "nobody whom this host trusts signed Kamailio's certificate, or it is for another name: name the CA as ca_file, or the name as server_name, in tls_config of the file that --kamailio.http-config.file names"
	case errors.Is(err, io.EOF) && target.Network == "http":
		return "Kamailio ended the connection: if this is its port for TLS, the URI starts with https://"
	case errors.Is(err, syscall.EPROTOTYPE) && socket:
		return "the socket is of the other kind: use unix: for a stream socket, unixd: for a datagram socket"
	}
	return adviseOnAnswer(err, target)
}

func adviseOnAnswer(err error, target dial.Target) string {
	if fault, ok := errors.AsType[*rpc.Fault](err); ok {
		return adviseOnFault(fault)
	}
	if status, ok := errors.AsType[*jsonrpc.StatusError](err); ok {
		return adviseOnStatus(status)
	}
	if _, ok := errors.AsType[*jsonrpc.SyntaxError](err); ok {
		return "what answers there does not speak JSON-RPC: --kamailio.scrape-uri must name the URL at which Kamailio's configuration calls jsonrpc_dispatch(), or a socket that jsonrpcs opens by its parameters dgram_socket or tcp_socket"
	}
	if _, ok := errors.AsType[*binrpc.SyntaxError](err); ok {
		return "what answers there does not speak BINRPC: --kamailio.scrape-uri must name a socket that ctl opens by modparam(\"ctl\", \"binrpc\", …), not one for SIP, JSON-RPC or a fifo"
	}
	if _, ok := errors.AsType[*rpc.LimitError](err); ok {
		return "the reply is larger than any that this exporter was made for, please report it"
	}
	if _, ok := errors.AsType[*binrpc.StallError](err); ok {
		return "Kamailio gave up sending a reply that was not taken in fast enough: is this host, or the network to Kamailio, overloaded? A unix: socket is the safest choice"
	}
	if isTimeout(err) && target.Protocol == dial.JSONRPC {
		return "Kamailio did not answer in time: is this where its configuration calls jsonrpc_dispatch(), and by http or https as the URI says? " +
			"If Kamailio is merely slow, raise --kamailio.timeout"
	}
	if isTimeout(err) && target.Network == "tcp" {
		return "nothing answered by BINRPC in time: is this the port of modparam(\"ctl\", \"binrpc\", …), and not one for SIP? " +
			"Try kamcmd core.uptime, and --kamailio.timeout if Kamailio is merely slow"
	}
	if isTimeout(err) {
		return "Kamailio's ctl process did not answer in time: it may be busy with an expensive RPC, or Kamailio hangs; try kamcmd core.uptime, and --kamailio.timeout if it is merely slow"
	}
	return ""
}

func adviseOnStatus(status *jsonrpc.StatusError) string {
	switch status.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "Kamailio's configuration refuses this host or its password in event_route[xhttp:request]: let it in there, or give the password with --kamailio.http-config.file"
	default:
		return "does event_route[xhttp:request] of Kamailio's configuration call jsonrpc_dispatch() for the path of this URL?"
	}
}

func isUntrusted(err error) bool {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func adviseOnFault(fault *rpc.Fault) string {
	reason := strings.ToLower(fault.Reason)
	switch {
	case fault.NoSuchMethod():
		return "this Kamailio does not have the method: load the module that it belongs to, or leave the method out of --kamailio.methods"
	case fault.Code >= 500 && (strings.Contains(reason, "internal error") || strings.Contains(reason, "creating") || strings.Contains(reason, "buffer")):
		return "the reply may be too large for ctl's buffers: set modparam(\"ctl\", \"binrpc_struct_max_body_size\", 64) " +
			"and modparam(\"ctl\", \"binrpc_max_body_size\", 256) in Kamailio's configuration; both are in KiB, 8 and 32 if not set"
	default:
		return ""
	}
}

func adviseOnPermission(target dial.Target) string {
	if target.Protocol == dial.JSONRPC {
		return "set modparam(\"jsonrpcs\", \"dgram_mode\", 0660) and modparam(\"jsonrpcs\", \"dgram_group\", …) in Kamailio's configuration, and add the exporter's user to that group"
	}
	advice := "ctl opens its sockets with mode 0600 unless told otherwise: set modparam(\"ctl\", \"mode\", 0660) in Kamailio's configuration, restart it, " +
		"and add the exporter's user to the group of the socket, which is the one that Kamailio runs as, unless Kamailio starts as root and has modparam(\"ctl\", \"group\", …)"
	info, err := os.Stat(target.Address)
	if err != nil {
		return advice + "; the directories above the socket must let that user pass too"
	}
	return fmt.Sprintf("the socket has mode %04o. %s%s", info.Mode().Perm(), advice, owner(info))
}

// configOf is what Kamailio's configuration must have for the target to be there.
func configOf(target dial.Target) string {
	address := target.Network + ":" + target.Address
	switch {
	case target.Network == "http":
		return "loadmodule \"xhttp.so\", loadmodule \"jsonrpcs.so\", and jsonrpc_dispatch() in event_route[xhttp:request]"
	case target.Protocol == dial.JSONRPC && target.Network == "unixgram":
		return fmt.Sprintf("loadmodule \"jsonrpcs.so\" and modparam(\"jsonrpcs\", \"dgram_socket\", %q)", target.Address)
	case target.Protocol == dial.JSONRPC && target.Network == "udp":
		return fmt.Sprintf("loadmodule \"jsonrpcs.so\" and modparam(\"jsonrpcs\", \"dgram_socket\", %q)", address)
	case target.Protocol == dial.JSONRPC:
		return fmt.Sprintf("loadmodule \"jsonrpcs.so\" and modparam(\"jsonrpcs\", \"tcp_socket\", %q)", address)
	case target.Network == "unixgram":
		address = "unixd:" + target.Address
	}
	return fmt.Sprintf("loadmodule \"ctl.so\" and modparam(\"ctl\", \"binrpc\", %q)", address)
}
