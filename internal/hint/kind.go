package hint

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// Kind returns the kind of an error. It does not contain text of the server, so that the
// number of kinds is limited. ofMethod reports whether the error is about the method that
// failed; otherwise it is about the connection.
func Kind(err error) (kind string, ofMethod bool) {
	if fault, ok := errors.AsType[*rpc.Fault](err); ok {
		return kindOfFault(fault), true
	}
	if _, ok := errors.AsType[*rpc.LimitError](err); ok {
		return "limit", true
	}
	if is[*net.DNSError](err) {
		return "name of the host", false
	}
	for _, known := range []error{binrpc.ErrOutOfStep, binrpc.ErrClosedUnanswered, rpc.ErrClosed, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error(), false
		}
	}
	if _, ok := errors.AsType[*binrpc.StallError](err); ok { // which is a timeout, too
		return "stall", false
	}
	if IsTimeout(err) || errors.Is(err, rpc.ErrNoDatagram) || errors.Is(err, context.Canceled) {
		return "timeout", false
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed.Op + ": " + failed.Err.Error(), false // Err is an error of the operating system
	}
	return kindOfReply(err)
}

// kindOfFault returns the kind of a fault.
func kindOfFault(fault *rpc.Fault) string {
	switch {
	case fault.NoSuchMethod():
		return "no such method"
	case isBufferFault(fault):
		return "buffer"
	default:
		return "fault"
	}
}

// kindOfReply is Kind for replies that are not valid.
func kindOfReply(err error) (kind string, ofMethod bool) {
	if _, ok := errors.AsType[*binrpc.SyntaxError](err); ok {
		return "not BINRPC", false
	}
	if _, ok := errors.AsType[*jsonrpc.SyntaxError](err); ok {
		return "not JSON-RPC", false
	}
	if _, ok := errors.AsType[*jsonrpc.StatusError](err); ok {
		return "HTTP status", false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate", false
	}
	return "other", true
}
