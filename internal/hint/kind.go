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

// Kind returns what kind of error it is, without anything that a server can make
// up, and whether it is about the method that failed rather than about the
// connection.
func Kind(err error) (kind string, ofMethod bool) {
	if fault, ok := errors.AsType[*rpc.Fault](err); ok {
		return kindOfFault(fault), true
	}
	if _, ok := errors.AsType[*rpc.LimitError](err); ok {
		return "limit", true
	}
	for _, known := range []error{binrpc.ErrOutOfStep, binrpc.ErrClosedUnanswered, rpc.ErrClosed, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error(), false
		}
	}
	if IsTimeout(err) || errors.Is(err, rpc.ErrNoDatagram) || errors.Is(err, context.Canceled) {
		return "timeout", false
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed.Op + ": " + failed.Err.Error(), false // it is the operating system's
	}
	return kindOfReply(err)
}

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

// kindOfReply is Kind for replies that could not be read.
func kindOfReply(err error) (kind string, ofMethod bool) {
	if _, ok := errors.AsType[*binrpc.StallError](err); ok {
		return "stall", false
	}
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
