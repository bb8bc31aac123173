// Package hint returns what a user can do about an error of a scrape.
package hint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// The lines of Kamailio's configuration in a hint are complete, so that users can copy
// them. Kamailio 5.6 and 6.0 accept each line, except if the hint names a version.

// A Hint says what a user can do about an error. Settings in it are keys of a configuration file in braces, for example
// {timeout}, which Text replaces. The hint is empty if the error says everything.
type Hint string

// keys are the keys of the settings that hints have.
var keys = []string{"auth", "host", "methods", "shv", "stats_groups", "timeout", "uri", "xhttp_prom_url"}

// Text returns the hint with the names of settings that users know, for example flags. name returns the name of a setting for
// its key.
func (h Hint) Text(name func(key string) string) string {
	text := string(h)
	for _, key := range keys {
		text = strings.ReplaceAll(text, "{"+key+"}", name(key))
	}
	return text
}

// Errors that package scrape returns.
var (
	// ErrLostReply means that a method got no reply although others did, over a transport that loses large replies.
	ErrLostReply = errors.New("no reply arrived, although other methods were answered: most polls do not call the method until a reply arrives")
	// ErrNotKamailio means that a server replied but has none of the methods of a Kamailio.
	ErrNotKamailio = errors.New("the server has none of the methods of a Kamailio")
)

// XHTTPProm is the hint for errors of the page of the Kamailio module xhttp_prom.
const XHTTPProm Hint = "check that {xhttp_prom_url} is the page for which event_route[xhttp:request] of Kamailio's configuration calls prom_dispatch(), " +
	"and that it lets this host in. Kamailio also needs tcp_accept_no_cl=yes, because the request has no Content-Length"

// For returns the hint for an error of the RPC methods of a target.
func For(err error, target dial.Target) Hint { return Hint(hint(err, target)) }

// hint returns the text of the hint.
func hint(err error, target dial.Target) string {
	socket := isSocket(target)
	if text := hintOnFile(err, target); socket && text != "" {
		return text
	}
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "the exporter has no file descriptors left, which each target and each client needs: raise their limit, with LimitNOFILE= of the systemd unit or with ulimit -n"
	case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && socket:
		return fmt.Sprintf("there is no such socket: check that Kamailio is running, with %s. If its socket is elsewhere, name it with {uri}", configOf(target))
	case errors.Is(err, fs.ErrPermission) && socket:
		return hintOnPermission(target)
	case is[*net.DNSError](err):
		return "the name of the host has no address: check it in {uri}, and the name servers of this host"
	case isAny(err, refused):
		return "nothing listens there: check that Kamailio is running, with " + configOf(target)
	case errors.Is(err, syscall.EAGAIN) && socket:
		return "Kamailio does not accept the connection: it is overloaded, or it hangs"
	case errors.Is(err, syscall.EPROTOTYPE) && socket:
		return hintOnSocketType(target)
	case errors.Is(err, binrpc.ErrClosedUnanswered):
		return "Kamailio closed the connection before it replied: ctl serves at most 128 connections at once and closes all others. " +
			"Stop programs that keep connections to it open, or wait until ctl closes idle connections"
	case isTLS(err, target):
		return hintOnTLS(err, target)
	case isAuth(err, target):
		return hintOnAuth(err)
	case isUnreachable(err, target):
		return "packets do not reach the host: check its address in {uri}, the routes and firewalls on the way, and IPAddressDeny= of the exporter's systemd unit"
	case errors.Is(err, ErrLostReply):
		return hintOnLostReply(target)
	}
	return hintOnReply(err, target)
}

// hintOnSocketType returns the hint for a datagram socket with the URI of a stream socket, and the reverse.
func hintOnSocketType(target dial.Target) string {
	if target.Network == "unix" {
		return fmt.Sprintf("it is a datagram socket: use unixd:%[1]s if it is of the Kamailio module ctl, jsonrpc+unixgram:%[1]s if it is of jsonrpcs", target.Address)
	}
	return "it is a stream socket, which only the Kamailio module ctl has: use unix:" + target.Address
}

// hintOnFile returns the hint for a path that is not a socket, "" for other errors. The
// system refuses connections to such a path, as if nothing listened there.
func hintOnFile(err error, target dial.Target) string {
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	info, err := os.Stat(target.Address)
	if err != nil || info.Mode()&fs.ModeSocket != 0 {
		return ""
	}
	socket := `a socket of modparam("ctl", "binrpc", "unix:/run/kamailio/kamailio_ctl")`
	if target.Protocol == dial.JSONRPC {
		socket = `a socket of modparam("jsonrpcs", "dgram_socket", "/run/kamailio/kamailio_rpc.sock")`
	}
	return fmt.Sprintf("%s is %s and not a socket: name %s with {uri}", target.Address, kindOfFile(info.Mode()), socket)
}

// kindOfFile returns the type of a file, with an article.
func kindOfFile(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a regular file"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	default:
		return "a device"
	}
}

// hintOnReply returns the hint for a reply that is a fault, is not valid or is late.
func hintOnReply(err error, target dial.Target) string {
	if fault, ok := errors.AsType[*rpc.Fault](err); ok {
		return hintOnFault(fault, target)
	}
	if errors.Is(err, collector.ErrCutShort) {
		return hintOnBuffers
	}
	if errors.Is(err, collector.ErrNoSuchStatistic) {
		return "correct {stats_groups}, or load the Kamailio module that has them. The names of all statistics are in the reply of kamrpc -u " + target.Redacted() + " stats.get_statistics all"
	}
	if is[*jsonrpc.StatusError](err) {
		return "check that event_route[xhttp:request] of Kamailio's configuration calls jsonrpc_dispatch() for the path of this URL"
	}
	if isCut(err, target) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "Kamailio closed the connection before the end of its reply: see its log"
	}
	if isNotJSONRPC(err, target) {
		return "the server there does not speak JSON-RPC as Kamailio does: {uri} must be the URL for which Kamailio's configuration calls jsonrpc_dispatch(), or a socket that jsonrpcs opens with its parameters dgram_socket or tcp_socket"
	}
	if isNotBINRPC(err, target) {
		return `the server there does not speak BINRPC as Kamailio does: {uri} must be a socket that ctl opens with modparam("ctl", "binrpc", "unix:/run/kamailio/kamailio_ctl"), not one for SIP, JSON-RPC or a FIFO`
	}
	if limit, ok := errors.AsType[*rpc.LimitError](err); ok {
		return hintOnLimit(limit)
	}
	if _, ok := errors.AsType[*binrpc.StallError](err); ok {
		return "Kamailio stopped sending a reply that was not read fast enough: check whether this host or the network to Kamailio is overloaded. A unix: socket is the safest choice"
	}
	if IsTimeout(err) {
		return hintOnTimeout(target)
	}
	return ""
}

// hintOnTimeout returns the hint for a reply that did not arrive in time.
func hintOnTimeout(target dial.Target) string {
	switch {
	case target.Protocol == dial.JSONRPC:
		return "Kamailio did not reply in time: check that its configuration calls jsonrpc_dispatch() there, and whether it takes http or https. " +
			"If Kamailio is only slow, raise {timeout}"
	case target.Network == "tcp" || target.Network == "udp":
		return fmt.Sprintf(`there was no BINRPC reply in time: check that this is the port of a socket of ctl, as in modparam("ctl", "binrpc", "%s:127.0.0.1:2046"), and not one for SIP. `, target.Network) +
			"Try " + tryCommand(target) + ". If Kamailio is only slow, raise {timeout}"
	default:
		return "Kamailio's ctl process did not reply in time: it is busy with an expensive RPC method, or Kamailio hangs. Try " + tryCommand(target) + ". If Kamailio is only slow, raise {timeout}"
	}
}

// tryCommand returns a command that makes a cheap call.
func tryCommand(target dial.Target) string { return "kamrpc -u " + target.Redacted() + " core.uptime" }

// hintOnLostReply returns the hint for a reply that does not fit in a datagram.
func hintOnLostReply(target dial.Target) string {
	if target.Protocol == dial.JSONRPC {
		return `the reply is probably larger than a datagram can be, which Kamailio logs as "Message too long": use http:// or https://, or a unix: or tcp:// socket of ctl, ` +
			"or remove the method from {methods}"
	}
	return "the reply is probably larger than a datagram can be: use a unix: or tcp:// socket of ctl, or remove the method from {methods}"
}

// hintOnTLS returns the hint for a failure of TLS.
func hintOnTLS(err error, target dial.Target) string {
	switch {
	case isUntrusted(err):
		return "Kamailio's certificate is not signed by a CA that this host trusts, or is for another host name: set ca_file or server_name in tls_config of {auth}"
	case errors.Is(err, io.EOF):
		return "Kamailio closed the connection: if this is its port for TLS, use https:// in the URI"
	case isTLSServer(err, target):
		return "if this is a port for TLS, use https:// in {uri}; otherwise check that the URL is one of Kamailio"
	case errors.Is(err, http.ErrSchemeMismatch) || is[tls.RecordHeaderError](err):
		return "the server does not speak TLS there: use http:// in {uri}, or the port of Kamailio for TLS"
	default:
		return "Kamailio and the exporter could not agree on TLS: check the versions that the Kamailio module tls accepts, whether it requires a certificate, and tls_config of {auth}"
	}
}

// hintOnAuth returns the hint for credentials that are refused or cannot be read.
func hintOnAuth(err error) string {
	if is[*fs.PathError](err) {
		return "the exporter's user must be able to read the files that {auth} names"
	}
	return "event_route[xhttp:request] of Kamailio's configuration refuses this host or its password: allow this host there, or correct the user name and the password of {auth}"
}

// hintOnLimit returns the hint for replies that exceed a limit.
func hintOnLimit(limit *rpc.LimitError) string {
	if strings.HasSuffix(limit.What, " in all replies of a batch") {
		return fmt.Sprintf("the replies of one poll together are larger than the exporter accepts, which is %d %s: remove methods with large replies from {methods}", limit.Limit, limit.What)
	}
	return "the reply is larger than the exporter accepts: remove the method from {methods}, and please report it"
}

// isUntrusted reports whether a TLS certificate was refused.
func isUntrusted(err error) bool { return is[*tls.CertificateVerificationError](err) }

// IsTimeout reports whether err is a timeout.
func IsTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// hintOnBuffers is the hint for a reply that does not fit in ctl's buffers.
const hintOnBuffers = `the reply is probably larger than ctl's buffers: set modparam("ctl", "binrpc_struct_max_body_size", 64) and modparam("ctl", "binrpc_max_body_size", 256) in Kamailio's configuration, ` +
	`which are in KiB and 8 and 32 by default. If it sets binrpc_buffer_size, which is in bytes, use at least the default: modparam("ctl", "binrpc_buffer_size", 1024)`

// hintOnFault returns the hint for a fault.
func hintOnFault(fault *rpc.Fault, target dial.Target) string {
	switch {
	case fault.NoSuchMethod():
		return "this Kamailio does not have the method: load the Kamailio module that it belongs to, or remove the method from {methods}"
	case isBufferFault(fault):
		return hintOnBuffers
	case fault.Reason == "Variable not found": // of pv.shvGet
		return `correct {shv}, or define the variable in Kamailio's configuration: modparam("pv", "shvset", "NAME=i:0"). ` +
			"The names of all variables are in the reply of kamrpc -u " + target.Redacted() + " pv.shvGet"
	default:
		return ""
	}
}

// isBufferFault reports whether ctl, or a method, returned a fault because a buffer is too
// small. The fault does not say which buffer.
func isBufferFault(fault *rpc.Fault) bool {
	reason := strings.ToLower(fault.Reason)
	return fault.Code >= 500 && (strings.Contains(reason, "internal error") || strings.Contains(reason, "creating") || strings.Contains(reason, "buffer") ||
		strings.Contains(reason, "failed to add data"))
}

// hintOnPermission returns the hint for a socket that the user may not connect to.
func hintOnPermission(target dial.Target) string {
	if dir, info := closedDirectory(target.Address); dir != "" {
		return fmt.Sprintf("the exporter's user may not enter the directory %s, which has mode %04o%s: add the user to that group, "+
			"let the group enter the directory, for example with chmod g+x, and restart the exporter", dir, info.Mode().Perm(), owner(info))
	}
	if target.Protocol == dial.JSONRPC {
		return `set modparam("jsonrpcs", "dgram_mode", 0660) and modparam("jsonrpcs", "dgram_group", "kamailio") in Kamailio's configuration, and add the exporter's user to that group`
	}
	text := `ctl opens its sockets with mode 0600 by default: set modparam("ctl", "mode", 0660) in Kamailio's configuration, restart it, ` +
		"add the exporter's user to the group of the socket, which is the group that Kamailio runs as, and restart the exporter. " +
		"If Kamailio starts as root, ctl's parameter group can name another group, which must exist"
	info, err := os.Stat(target.Address)
	if err != nil {
		return text + ". That user must also be allowed to enter the directories above the socket"
	}
	return fmt.Sprintf("the socket has mode %04o%s. %s", info.Mode().Perm(), owner(info), text)
}

// closedDirectory returns the first directory on the way to a file that this process may not enter, "" if there is none or it is not known.
func closedDirectory(path string) (dir string, info fs.FileInfo) {
	for i, c := range path {
		if c != '/' {
			continue
		}
		dir := path[:i+1]
		info, err := os.Stat(dir)
		if err != nil {
			return "", nil
		}
		if _, err := os.Stat(dir + "."); errors.Is(err, fs.ErrPermission) {
			return filepath.Clean(dir), info
		}
	}
	return "", nil
}

// configOf returns the lines of Kamailio's configuration that open the socket of a target.
func configOf(target dial.Target) string {
	address := target.Network + ":" + target.Address
	switch {
	case target.Network == "http":
		return `loadmodule "xhttp.so", loadmodule "jsonrpcs.so", and jsonrpc_dispatch() in event_route[xhttp:request]`
	case target.Protocol == dial.JSONRPC && target.Network == "unixgram":
		return fmt.Sprintf(`loadmodule "jsonrpcs.so" and modparam("jsonrpcs", "dgram_socket", %q)`, target.Address)
	case target.Protocol == dial.JSONRPC && target.Network == "udp":
		return fmt.Sprintf(`loadmodule "jsonrpcs.so" and modparam("jsonrpcs", "dgram_socket", %q)`, address)
	case target.Protocol == dial.JSONRPC:
		return fmt.Sprintf(`loadmodule "jsonrpcs.so" and, since Kamailio 6.0, modparam("jsonrpcs", "tcp_socket", %q)`, address)
	case isIPv6(target.Address):
		return fmt.Sprintf(`loadmodule "ctl.so" and a socket of ctl for a host name, because ctl does not accept an IPv6 address: modparam("ctl", "binrpc", "%s:localhost:2046")`, target.Network)
	case target.Network == "unixgram":
		address = "unixd:" + target.Address
	}
	return fmt.Sprintf(`loadmodule "ctl.so" and modparam("ctl", "binrpc", %q)`, address)
}

// isIPv6 reports whether the host of an address is an IPv6 address.
func isIPv6(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && parsed.Addr().Is6()
}
