package hint

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// Reasons are the values that Reason returns. Each has a section in docs/troubleshooting.md, whose anchor has its name.
var Reasons = []string{
	"permission", "no_socket", "refused", "unreachable", "timeout", "not_binrpc", "not_json_rpc", "auth", "tls", "dns", "too_large", "protocol", "no_methods", "other",
}

// Reason returns why a target is down, given the error of its calls. It is one of Reasons, so it never contains text of the
// server.
//
// If several reasons match, the first of this order is returned, because it names what the user must change: the name of the
// host, TLS, credentials, the path of the socket, whether something listens, the methods, and the protocol of the URI. A timeout
// or a closed connection is the reason only if nothing more is known.
func Reason(err error, target dial.Target) string {
	for _, cause := range causes {
		if cause.is(err, target) {
			return cause.reason
		}
	}
	return "other"
}

// causes has the conditions of the reasons, in the order of their precedence.
var causes = []struct {
	reason string
	is     func(err error, target dial.Target) bool
}{
	{"dns", func(err error, _ dial.Target) bool { return is[*net.DNSError](err) }}, // also if the DNS server is late or refuses
	{"tls", isTLS},
	{"auth", isAuth},
	{"no_socket", isNoSocket},
	{"permission", func(err error, target dial.Target) bool { return errors.Is(err, fs.ErrPermission) && isSocket(target) }},
	{"refused", func(err error, _ dial.Target) bool { return isAny(err, refused) }},
	{"unreachable", isUnreachable},
	{"too_large", func(err error, _ dial.Target) bool { return is[*rpc.LimitError](err) || errors.Is(err, ErrLostReply) }},
	{"no_methods", isWithoutMethods},
	{"not_binrpc", isNotBINRPC},
	{"timeout", func(err error, _ dial.Target) bool { return IsTimeout(err) || errors.Is(err, rpc.ErrNoDatagram) }},
	{"protocol", isBroken},
	{"not_json_rpc", isNotJSONRPC}, // after protocol, because an HTTP response that ends early is not valid either
}

// is reports whether err wraps an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// isAny reports whether err wraps one of the errors.
func isAny(err error, errs []error) bool {
	return slices.ContainsFunc(errs, func(one error) bool { return errors.Is(err, one) })
}

// isSocket reports whether the target is a socket with a path.
func isSocket(target dial.Target) bool {
	return target.Network == "unix" || target.Network == "unixgram"
}

// isTLS reports whether TLS failed, or the server speaks TLS and the client does not, or the other way round.
func isTLS(err error, target dial.Target) bool {
	return isUntrusted(err) || strings.HasPrefix(cause(err), "tls: ") || errors.Is(err, http.ErrSchemeMismatch) || isTLSServer(err, target)
}

// isTLSServer reports whether a server that was called over plain HTTP probably expects TLS. Kamailio closes the connection
// then and has no other cause to do so, some servers send an alert of TLS, and most HTTP servers reply with status 400.
func isTLSServer(err error, target dial.Target) bool {
	if target.Network != "http" || strings.HasPrefix(strings.ToLower(target.Address), "https:") {
		return false
	}
	status, ok := errors.AsType[*jsonrpc.StatusError](err)
	return ok && status.Code == http.StatusBadRequest || errors.Is(err, io.EOF) || strings.HasPrefix(cause(err), `malformed HTTP response "\x15\x03`)
}

// cause returns the text of the innermost error. Packages crypto/tls and net/http have no types for some of their errors. Text
// of a server in the error is quoted and follows theirs.
func cause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// isAuth reports whether credentials are wrong, missing, or in a file that cannot be read.
func isAuth(err error, target dial.Target) bool {
	if status, ok := errors.AsType[*jsonrpc.StatusError](err); ok {
		return status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden || status.Code == http.StatusProxyAuthRequired
	}
	return target.Network == "http" && is[*fs.PathError](err)
}

// isNoSocket reports whether there is no file at the path of a socket, or a file that is not a socket of that type.
func isNoSocket(err error, target dial.Target) bool {
	if !isSocket(target) {
		return false
	}
	return isAny(err, []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.EPROTOTYPE}) || hintOnFile(err, target) != ""
}

// isUnreachable reports whether the network, or a filter of this host, does not let packets through to the server.
func isUnreachable(err error, target dial.Target) bool {
	return isAny(err, unreachable) || errors.Is(err, fs.ErrPermission) && !isSocket(target)
}

// isWithoutMethods reports whether a server with the right protocol has no methods.
func isWithoutMethods(err error, _ dial.Target) bool {
	fault, ok := errors.AsType[*rpc.Fault](err)
	return ok && fault.NoSuchMethod() || errors.Is(err, dial.ErrNoMethods)
}

// isNotBINRPC reports whether the reply is not one of a Kamailio over BINRPC.
func isNotBINRPC(err error, target dial.Target) bool {
	return is[*binrpc.SyntaxError](err) || errors.Is(err, ErrNotKamailio) && target.Protocol != dial.JSONRPC
}

// isNotJSONRPC reports whether the reply is not one of a Kamailio over JSON-RPC.
func isNotJSONRPC(err error, target dial.Target) bool {
	return is[*jsonrpc.SyntaxError](err) || is[*jsonrpc.StatusError](err) || errors.Is(err, ErrNotKamailio) && target.Protocol == dial.JSONRPC || isNotHTTP(err)
}

// isNotHTTP reports whether the response is not valid HTTP.
func isNotHTTP(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ") {
			return true
		}
	}
	return false
}

// isBroken reports whether the connection ended before the end of a reply, or the replies do not match the calls.
func isBroken(err error, target dial.Target) bool {
	return isAny(err, closed) || isCut(err, target)
}

// closed has the errors of connections that end before the end of a reply, except those of other systems.
var closed = slices.Concat(reset, []error{io.EOF, io.ErrUnexpectedEOF, rpc.ErrClosed, binrpc.ErrOutOfStep})

// isCut reports whether a server of JSON-RPC over TCP closed the connection before the end of its reply. Over TCP nothing but
// the JSON shows where a reply ends.
func isCut(err error, target dial.Target) bool {
	syntax, ok := errors.AsType[*jsonrpc.SyntaxError](err)
	return ok && target.Network == "tcp" && syntax.Problem == io.ErrUnexpectedEOF.Error()
}
