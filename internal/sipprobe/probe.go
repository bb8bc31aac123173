package sipprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Failure says why no SIP response arrived.
type Failure string

// The failures.
const (
	Timeout     Failure = "timeout"
	Refused     Failure = "refused"
	Unreachable Failure = "unreachable"
	Handshake   Failure = "handshake"
	Certificate Failure = "certificate"
	NotSIP      Failure = "not_sip"
)

// Failures are all failures.
var Failures = []Failure{Timeout, Refused, Unreachable, Handshake, Certificate, NotSIP}

// Result is the outcome of a probe.
type Result struct {
	Socket Socket
	// Failure is "" if a SIP response arrived, whatever its code is.
	Failure Failure
	// Err has the details of the failure.
	Err error
	// Code is the status code of the response, from 100 to 699. It is a final one unless
	// only a provisional response arrived in time.
	Code int
	// Response is the time from the first request to the response.
	Response time.Duration
	// Retransmissions is the number of requests that were sent again, which is over UDP
	// only: 0, 1 or 2.
	Retransmissions int
	// Connect and Handshake are the times that connecting and the TLS handshake took for
	// the connection in use; 0 if there is none, and over UDP.
	Connect, Handshake time.Duration
	// Expiry is the earliest end of validity of the server's certificates; the zero Time
	// if there are none.
	Expiry time.Time
	// TLSVersion is the version of TLS, for example "TLS 1.3", "" if there is none.
	TLSVersion string
}

// Options are the settings of a Prober.
type Options struct {
	// UserAgent is the value of the header User-Agent.
	UserAgent string
	// RootCAs are the certificates to verify servers with. If RootCAs and ServerName are
	// not set, certificates are not verified.
	RootCAs *x509.CertPool
	// ServerName is the name that a certificate must have; "" means the host of the socket.
	ServerName string
}

// Prober probes SIP sockets. It keeps TCP and TLS connections, and replaces one of TLS after
// ten minutes and when a certificate has ended, because the server may have another
// certificate by then. It may be used concurrently, but not for the same socket.
type Prober struct {
	options Options

	mu   sync.Mutex
	kept map[Socket]*connection
}

// New returns a Prober.
func New(options Options) *Prober { return &Prober{options: options, kept: map[Socket]*connection{}} }

// Close closes all kept connections. No probe may be running. A later probe connects
// again, and needs another Close.
func (p *Prober) Close() error {
	p.Keep(nil)
	return nil
}

// Keep closes the connections to all other sockets.
func (p *Prober) Keep(sockets []Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for socket, c := range p.kept {
		if !slices.Contains(sockets, socket) {
			_ = c.Close()
			delete(p.kept, socket)
		}
	}
}

// Probe sends an OPTIONS request to a socket and waits for the response until ctx is done.
// Over UDP, the request is sent again after 0.5 s and 1.5 s (RFC 3261, section 17.1.2.2).
// A response counts only if it comes from the socket and is one to the request.
func (p *Prober) Probe(ctx context.Context, s Socket) Result {
	r := Result{Socket: s}
	if s.Transport == "udp" {
		r.Err = p.probeUDP(ctx, s, &r)
	} else {
		r.Err = p.probeStream(ctx, s, &r)
	}
	if r.Err != nil {
		r.Failure = failureOf(r.Err)
	}
	return r
}

// retransmitAfter are the times at which a request over UDP is sent again, since the first one.
var retransmitAfter = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond}

// maxDatagrams is the maximum number of datagrams that are read in a probe. More are a flood.
const maxDatagrams = 1000

// probeUDP sends the request over UDP, and again until a response arrives. It sets the fields of r.
func (p *Prober) probeUDP(ctx context.Context, s Socket, r *Result) error {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", s.Address())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	q := newRequest(s, conn.LocalAddr().String(), p.options.UserAgent)
	begin := time.Now()
	if _, err := conn.Write(q.text); err != nil {
		return err
	}
	buffer := make([]byte, maxMessage)
	for range maxDatagrams {
		if r.Retransmissions < len(retransmitAfter) {
			_ = conn.SetReadDeadline(begin.Add(retransmitAfter[r.Retransmissions]))
		} else {
			_ = conn.SetReadDeadline(time.Time{})
		}
		if ctx.Err() != nil {
			_ = conn.SetReadDeadline(time.Now())
		}
		n, err := conn.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			r.Retransmissions++
			if _, err := conn.Write(q.text); err != nil {
				return err
			}
			continue
		case err != nil:
			return orProvisional(r, late(err, 1+r.Retransmissions))
		}
		if got, _, err := parse(buffer[:n], true); err == nil && got.answers(q) && r.take(got, begin) {
			return nil
		}
	}
	return orProvisional(r, errNotSIP)
}

// take records a response to the request. It returns true if the response is final.
func (r *Result) take(got response, begin time.Time) bool {
	r.Code, r.Response = got.code, time.Since(begin)
	return got.code >= 200
}

// orProvisional returns nil if a provisional response arrived, otherwise err.
func orProvisional(r *Result, err error) error {
	if r.Code != 0 {
		return nil
	}
	return err
}

// lateError is the error if no response arrived in time.
type lateError struct {
	requests int // that were sent
	err      error
}

// Error implements error.
func (e *lateError) Error() string {
	if e.requests == 1 {
		return "no response arrived in time"
	}
	return fmt.Sprintf("no response to %d requests arrived in time", e.requests)
}

// Unwrap returns the error of the connection.
func (e *lateError) Unwrap() error { return e.err }

// late returns a [lateError] if a read ended because of its deadline, and err otherwise.
func late(err error, requests int) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &lateError{requests, err}
	}
	return err
}

// connection is a TCP or TLS connection.
type connection struct {
	net.Conn
	connect, handshake time.Duration
	made               time.Time // of a TLS connection
	expiry             time.Time
	version            string
	rest               []byte // received, not parsed yet
}

// maxTLSAge is the maximum age of a TLS connection that is used for another probe.
const maxTLSAge = 10 * time.Minute

// outdated reports whether the certificates of a new connection may be other ones.
func (c *connection) outdated() bool {
	return c.version != "" && (time.Since(c.made) > maxTLSAge || time.Now().After(c.expiry))
}

// probeStream sends the request on the kept connection, or on a new one if there is none or the server has closed it. It sets the
// fields of r.
func (p *Prober) probeStream(ctx context.Context, s Socket, r *Result) error {
	if c := p.take(s); c != nil {
		err := p.ask(ctx, s, c, r)
		if ctx.Err() != nil || !isClosed(err) {
			return err
		}
	}
	*r = Result{Socket: s} // without the times and the certificate of a kept connection that was closed
	c, err := p.connect(ctx, s, r)
	if err != nil {
		return err
	}
	return p.ask(ctx, s, c, r)
}

// take returns the kept connection of a socket, nil if there is none that can be used. The caller owns it.
func (p *Prober) take(s Socket) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.kept[s]
	delete(p.kept, s)
	if c != nil && c.outdated() {
		_ = c.Close()
		return nil
	}
	return c
}

// keep keeps a connection for the next probe.
func (p *Prober) keep(s Socket, c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[s] = c
}

// connect connects to a socket.
func (p *Prober) connect(ctx context.Context, s Socket, r *Result) (*connection, error) {
	begin := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, connect: time.Since(begin)}
	r.Connect = c.connect
	if s.Transport != "tls" {
		return c, nil
	}
	begin = time.Now()
	encrypted := tls.Client(conn, p.config(s, r))
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{err}
	}
	c.Conn, c.handshake = encrypted, time.Since(begin)
	c.made, c.expiry, c.version = time.Now(), r.Expiry, r.TLSVersion
	return c, nil
}

// handshakeError is an error of a TLS handshake.
type handshakeError struct{ err error }

// Error implements error.
func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }

// Unwrap returns the error without the prefix.
func (e *handshakeError) Unwrap() error { return e.err }

// maxCertificates is the maximum number of certificates of a server. A connection keeps them in memory: 3 MB for as many as
// crypto/tls accepts.
const maxCertificates = 32

// config returns the TLS settings. The certificate is always read, and verified if the user wants that.
func (p *Prober) config(s Socket, r *Result) *tls.Config {
	name := p.options.ServerName
	if name == "" {
		name = s.Host
	}
	return &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,             //nolint:gosec // VerifyConnection verifies, after it has read the end of validity
		MinVersion:         tls.VersionTLS10, // the probe shows the version, and sends no secrets
		VerifyConnection: func(state tls.ConnectionState) error {
			r.TLSVersion = tls.VersionName(state.Version)
			for _, certificate := range state.PeerCertificates {
				if r.Expiry.IsZero() || certificate.NotAfter.Before(r.Expiry) {
					r.Expiry = certificate.NotAfter
				}
			}
			switch {
			case len(state.PeerCertificates) > maxCertificates:
				return fmt.Errorf("the server has %d certificates, more than %d", len(state.PeerCertificates), maxCertificates)
			case p.options.RootCAs == nil && p.options.ServerName == "":
				return nil
			default:
				return verify(state, p.options.RootCAs, name)
			}
		},
	}
}

// verify verifies the certificates of a connection.
func verify(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(state.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("the server has no certificate")}
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: name})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// ask sends a request on a connection and waits for the response. It keeps the connection if that is usable, and closes it
// otherwise.
func (p *Prober) ask(ctx context.Context, s Socket, c *connection, r *Result) error {
	r.Connect, r.Handshake, r.Expiry, r.TLSVersion = c.connect, c.handshake, c.expiry, c.version
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	err := c.exchange(newRequest(s, c.LocalAddr().String(), p.options.UserAgent), r)
	if !stop() || err != nil {
		_ = c.Close()
		return orProvisional(r, err)
	}
	p.keep(s, c)
	return nil
}

// exchange sends a request and reads messages until the final response to it.
func (c *connection) exchange(q request, r *Result) error {
	begin := time.Now()
	if _, err := c.Write(q.text); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	for read := 0; read < 4*maxMessage; {
		c.rest = trimKeepAlive(c.rest)
		got, length, err := parse(c.rest, false)
		switch {
		case err == nil:
			c.rest = slices.Delete(c.rest, 0, length)
			if got.answers(q) && r.take(got, begin) {
				return nil
			}
			continue
		case !errors.Is(err, errIncomplete):
			return err
		}
		n, err := c.Read(buffer)
		if err != nil {
			return late(err, 1)
		}
		read += n
		c.rest = append(c.rest, buffer[:n]...)
	}
	return errNotSIP
}

// trimKeepAlive removes line breaks between messages, which keep connections alive (RFC 5626, section 4.4.1).
func trimKeepAlive(data []byte) []byte {
	for len(data) > 0 && (data[0] == '\r' || data[0] == '\n') {
		data = data[1:]
	}
	return data
}

// isClosed reports whether an error means that the server closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// failureOf returns the failure for an error.
func failureOf(err error) Failure {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, handshake := errors.AsType[*handshakeError](err)
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case certificate:
		return Certificate
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded), isNetwork && network.Timeout():
		return Timeout
	case handshake:
		return Handshake
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, errNotSIP), isClosed(err):
		return NotSIP
	default:
		return Unreachable
	}
}
