package sipprobe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// selfSigned returns a certificate for localhost that ends at a time.
func selfSigned(t *testing.T, end time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
		NotBefore: end.Add(-time.Hour), NotAfter: end,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: certificate}
}

// tlsServer starts a SIP server with a self-signed certificate for localhost that ends at a time.
func tlsServer(t *testing.T, end time.Time) (Socket, *x509.CertPool) {
	t.Helper()
	certificate := selfSigned(t, end)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	plain := tcpServer(t, func(conn net.Conn, _ int) {
		encrypted := tls.Server(conn, config)
		for r := readRequest(encrypted); r != ""; r = readRequest(encrypted) {
			_, _ = io.WriteString(encrypted, responseTo(r, 200))
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return Socket{"tls", "localhost", plain.Port}, roots
}

// TestCertificates has certificates that are valid, expired, for another name, and of another CA. The end of validity is always
// shown; a certificate is verified only if that is asked for.
func TestCertificates(t *testing.T) {
	valid, expired := time.Now().Add(time.Minute).Truncate(time.Second), time.Now().Add(-time.Minute).Truncate(time.Second)
	other := x509.NewCertPool()
	for name, test := range map[string]struct {
		end     time.Time
		verify  bool
		name    string
		roots   *x509.CertPool
		failure Failure
	}{
		"valid":                     {valid, true, "", nil, ""},
		"expired, not verified":     {expired, false, "", nil, ""},
		"expired":                   {expired, true, "", nil, Certificate},
		"of another CA":             {valid, true, "", other, Certificate},
		"for another name":          {valid, true, "sbc.example.net", nil, Certificate},
		"self-signed, name only":    {valid, false, "localhost", nil, Certificate},
		"self-signed, not verified": {valid, false, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, roots := tlsServer(t, test.end)
			options := Options{ServerName: test.name}
			if test.roots != nil {
				roots = test.roots
			}
			if test.verify {
				options.RootCAs = roots
			}
			p := New(options)
			defer p.Close()
			r := p.Probe(t.Context(), socket)
			if r.Failure != test.failure || !r.Expiry.Equal(test.end) || r.TLSVersion != "TLS 1.2" || (r.Code == 200) != (test.failure == "") {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestOutdatedConnectionIsReplaced makes a kept connection old, and then lets its certificate end.
func TestOutdatedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	socket, roots := tlsServer(t, time.Now().Add(time.Hour))
	p := New(Options{RootCAs: roots})
	defer p.Close()
	probed := func() *connection {
		t.Helper()
		if r := p.Probe(t.Context(), socket); r.Failure != "" {
			t.Fatalf("got %+v", r)
		}
		return p.kept[socket]
	}
	first := probed()
	second := probed()
	if second != first {
		t.Error("a new connection is replaced")
	}
	second.made = second.made.Add(-maxTLSAge)
	third := probed()
	if third == second {
		t.Error("an old connection is not replaced")
	}
	third.expiry = time.Now()
	if probed() == third {
		t.Error("a connection whose certificate has ended is not replaced")
	}
}

// TestRenewedCertificate has a server that closes each connection after one response, and has a later certificate on the second one.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	first := time.Now().Add(time.Minute).Truncate(time.Second)
	ends := []time.Time{first, first.Add(time.Hour)}
	certificates := []tls.Certificate{selfSigned(t, ends[0]), selfSigned(t, ends[1])}
	plain := tcpServer(t, func(conn net.Conn, n int) {
		encrypted := tls.Server(conn, &tls.Config{Certificates: certificates[n : n+1], MinVersion: tls.VersionTLS12})
		_, _ = io.WriteString(encrypted, responseTo(readRequest(encrypted), 200))
		_ = encrypted.Close()
	})
	p := New(Options{})
	defer p.Close()
	for _, end := range ends {
		if r := p.Probe(t.Context(), Socket{"tls", "localhost", plain.Port}); r.Failure != "" || !r.Expiry.Equal(end) {
			t.Errorf("got %+v, want a certificate that ends at %v", r, end)
		}
	}
}
