package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{}
	a.certificate, a.key = a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue signs a certificate that is valid for an hour. The zero authority signs with the new key itself.
func (a authority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// server returns a certificate for 127.0.0.1.
func (a authority) server(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// client returns a certificate of a client.
func (a authority) client(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// clientPair is like client in the form that crypto/tls needs.
func (a authority) clientPair(t *testing.T) tls.Certificate {
	t.Helper()
	certificate, key := a.client(t)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// writePEM writes a certificate to NAME.pem, and its key, if it is not nil, to NAME.key.
func writePEM(t *testing.T, dir, name string, certificate *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	writeFile(t, filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	if key == nil {
		return
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// secretHash is the bcrypt hash of the password "secret".
const secretHash = "$2a$04$zINBUwZTcg7XFON/Kn861egqTRRsLAhD8ULIGA.qkDbXOtIFedgbC"

// protected is an exporter that requires a certificate of its clients, and a password.
type protected struct {
	*exporter
	dir     string
	ca, own authority // of the clients, and of the exporter
}

func startProtected(t *testing.T) protected {
	t.Helper()
	p := protected{dir: t.TempDir(), ca: newAuthority(t, "clients"), own: newAuthority(t, "exporters")}
	certificate, key := p.own.server(t, "first")
	writePEM(t, p.dir, "server", certificate, key)
	writePEM(t, p.dir, "clients", p.ca.certificate, nil)
	web := filepath.Join(p.dir, "web.yml")
	writeFile(t, web, fmt.Appendf(nil, "tls_server_config: {cert_file: server.pem, key_file: server.key, client_ca_file: clients.pem, client_auth_type: RequireAndVerifyClientCert}\n"+
		"basic_auth_users: {prometheus: %q}\n", secretHash))
	p.exporter = start(t, "-u", noKamailio, "--web.config.file", web)
	p.url = strings.Replace(p.url, "http://", "https://", 1)
	return p
}

// scrapeAs requests the metrics with a new connection, a version of TLS, and certificates. It returns the status, 0 if the handshake
// fails, and the name in the certificate of the exporter.
func (p protected) scrapeAs(t *testing.T, password string, version uint16, certificates ...tls.Certificate) (status int, name string) {
	t.Helper()
	authorities := x509.NewCertPool()
	authorities.AddCert(p.own.certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, Certificates: certificates, MinVersion: version, MaxVersion: version}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("prometheus", password)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || (response.StatusCode == http.StatusOK) != strings.Contains(string(body), "\nkamailio_up 0\n") {
		t.Errorf("status %s, %v: %.100s", response.Status, err, body)
	}
	return response.StatusCode, response.TLS.PeerCertificates[0].Subject.CommonName
}

// TestClientCertificatesAndPasswords has clients with and without a certificate and a password.
func TestClientCertificatesAndPasswords(t *testing.T) {
	t.Parallel()
	p := startProtected(t)
	valid, foreign := p.ca.clientPair(t), newAuthority(t, "clients").clientPair(t)
	for _, test := range []struct {
		name, password string
		version        uint16
		certificates   []tls.Certificate
		status         int
	}{
		{"certificate and password", "secret", tls.VersionTLS13, []tls.Certificate{valid}, http.StatusOK},
		{"certificate and password", "secret", tls.VersionTLS12, []tls.Certificate{valid}, http.StatusOK},
		{"wrong password", "Secret", tls.VersionTLS13, []tls.Certificate{valid}, http.StatusUnauthorized},
		{"no password", "", tls.VersionTLS13, []tls.Certificate{valid}, http.StatusUnauthorized},
		{"no certificate", "secret", tls.VersionTLS13, nil, 0},
		{"certificate of another authority", "secret", tls.VersionTLS13, []tls.Certificate{foreign}, 0},
		{"certificate of the exporter's authority", "secret", tls.VersionTLS13, []tls.Certificate{p.own.clientPair(t)}, 0},
		{"TLS 1.1", "secret", tls.VersionTLS11, []tls.Certificate{valid}, 0},
	} {
		if status, _ := p.scrapeAs(t, test.password, test.version, test.certificates...); status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, status, test.status)
		}
	}
	p.awaitLog(`level=WARN .*TLS handshake error`)
	for _, secret := range []string{"secret", "Secret", secretHash} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestCertificatesAreReloaded replaces the certificate of the exporter and the authority of its clients. New connections use them,
// without a signal.
func TestCertificatesAreReloaded(t *testing.T) {
	t.Parallel()
	p := startProtected(t)
	before := p.ca.clientPair(t)
	if status, name := p.scrapeAs(t, "secret", tls.VersionTLS13, before); status != http.StatusOK || name != "first" {
		t.Fatalf("status %d, certificate %q", status, name)
	}
	certificate, key := p.own.server(t, "second")
	writePEM(t, p.dir, "server", certificate, key)
	p.ca = newAuthority(t, "other clients")
	writePEM(t, p.dir, "clients", p.ca.certificate, nil)
	if status, name := p.scrapeAs(t, "secret", tls.VersionTLS13, p.ca.clientPair(t)); status != http.StatusOK || name != "second" {
		t.Errorf("status %d, certificate %q", status, name)
	}
	if status, _ := p.scrapeAs(t, "secret", tls.VersionTLS13, before); status != 0 {
		t.Errorf("a certificate of the old authority: status %d", status)
	}
}

// TestHostileRequests sends requests that are too long, malformed, or ask for what is not served. The exporter responds with an error
// or closes the connection, and answers the next request.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio, "--web.disable-exporter-metrics")
	tooLarge := strings.Repeat("x", maxHeader+8<<10)
	for _, test := range []struct {
		name, request string
		status        string // the start of the response
	}{
		{"long URL", "GET /metrics?" + tooLarge + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431 "},
		{"long header", "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + tooLarge + "\r\n\r\n", "HTTP/1.1 431 "},
		{"many headers", "GET /metrics HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", len(tooLarge)/6) + "\r\n", "HTTP/1.1 431 "},
		{"header without end", "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + tooLarge, "HTTP/1.1 431 "},
		{"announced body", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n", "HTTP/1.1 4"},
		{"chunked body", "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 4"},
		{"two lengths", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 "},
		{"length and chunks", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 4"},
		{"POST", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "},
		{"CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", "HTTP/1.1 4"},
		{"a proxy's request", "GET http://127.0.0.1:1/metrics?nosuch HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "HTTP/1.1 400 "},
		{"path with dots", "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 "},
		{"another protocol", "OPTIONS sip:a SIP/2.0\r\n\r\n", "HTTP/1.1 400 "},
		{"reload without permission", "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 4"},
		{"profiles", "GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
		{"a profile", "GET /debug/pprof/heap HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
		{"variables", "GET /debug/vars HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
	} {
		got := e.exchange(t, test.request)
		if !strings.HasPrefix(got, test.status) || strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s: got %.200q, want %q", test.name, got, test.status)
		}
	}
	e.scrape().check(t, "kamailio_up", 0)
}

// exchange sends a request on a new connection and returns the start of the response.
func (e *exporter) exchange(t *testing.T, request string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), logPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = io.WriteString(conn, request) // the exporter may close the connection before it has read the whole request
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}
