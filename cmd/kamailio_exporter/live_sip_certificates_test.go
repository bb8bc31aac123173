//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// nowhere is an address where no process listens.
const nowhere = "127.0.0.1:1"

// certificates are TLS sockets of a Kamailio with different certificates, and files in a directory.
type certificates struct {
	dir string
	all []tlsSocket
}

// tlsSocket is a TLS socket with a certificate.
type tlsSocket struct {
	what       string
	valid      time.Duration // from now on
	selfSigned bool
	port       int
}

// newCertificates writes certificates for 127.0.0.1, their key, that of their CA, and Kamailio's configuration of TLS.
func newCertificates(t *testing.T) *certificates {
	t.Helper()
	const day = 24 * time.Hour
	c := &certificates{dir: t.TempDir(), all: []tlsSocket{
		{"valid", 90 * day, false, freePort(t)},
		{"short-lived", 6 * time.Hour, false, freePort(t)},
		{"expired", -day, false, freePort(t)},
		{"self-signed", 90 * day, true, freePort(t)},
	}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "key.pem", "PRIVATE KEY", private)
	begin := time.Now().Add(-2 * day)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: begin, NotAfter: begin.Add(365 * day),
	}
	sign := func(name string, leaf, issuer *x509.Certificate) {
		der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, name+".pem", "CERTIFICATE", der)
	}
	sign("ca", ca, ca)
	var config strings.Builder
	config.WriteString(c.section("server:default", "valid") + "[client:default]\nmethod = TLSv1.2+\n")
	for i, each := range c.all {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: each.what}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: begin, NotAfter: time.Now().Add(each.valid),
		}
		issuer := ca
		if each.selfSigned {
			issuer = leaf
		}
		sign(each.what, leaf, issuer)
		config.WriteString(c.section("server:"+each.address(), each.what))
	}
	if err := os.WriteFile(c.path("tls.cfg"), []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// section returns a section of Kamailio's configuration of TLS.
func (c *certificates) section(name, certificate string) string {
	return fmt.Sprintf("[%s]\nmethod = TLSv1.2+\nprivate_key = %s\ncertificate = %s\n", name, c.path("key.pem"), c.path(certificate+".pem"))
}

func (c *certificates) path(name string) string { return filepath.Join(c.dir, name) }

// write writes a file in PEM.
func (c *certificates) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(c.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// address returns the address with the port.
func (s tlsSocket) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// config returns Kamailio's configuration of the TLS sockets.
func (c *certificates) config() string {
	lines := []string{fmt.Sprintf("modparam(\"tls\", \"config\", %q)", c.path("tls.cfg"))}
	for _, each := range c.all {
		lines = append(lines, "listen=tls:"+each.address())
	}
	return strings.Join(lines, "\n")
}

// exporterConfig writes a configuration of the exporter and returns its path. The target "auto" is Kamailio with the sockets that
// it lists. The target "nowhere" has sockets where no process listens, and "certificates" those of c.
func (c *certificates) exporterConfig(t *testing.T, k *lab.Kamailio) string {
	t.Helper()
	var sockets []string
	for _, each := range c.all {
		sockets = append(sockets, "sips:"+each.address())
	}
	file := c.path("exporter.yml")
	text := fmt.Sprintf(`
modules:
  default: {timeout: 30s, sip: {sockets: auto}}
  new: {timeout: 30s, sip: {sockets: auto}}
  verified: {methods: [core.uptime], timeout: 30s, sip: {sockets: auto, ca_file: ca.pem}}
targets:
- {name: auto, uri: %[1]q, modules: [default, new]}
- {name: nowhere, uri: %[1]q, sip: ["sip:%[2]s", "sip:%[2]s;transport=tcp", "sips:%[2]s"]}
- {name: certificates, uri: %[1]q, sip: [%[3]s], modules: [default, verified]}
`, k.URI("unix"), nowhere, `"`+strings.Join(sockets, `", "`)+`"`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// table scrapes the target "certificates" with both modules, and returns the table of docs/sip.md.
func (c *certificates) table(e *exporter) string {
	plain, verified := e.probe("certificates"), e.probe("certificates&module=verified")
	var table strings.Builder
	table.WriteString("| certificate | verified | `kamailio_sip_up` | `kamailio_sip_response_code` | `kamailio_sip_failure` | hours until `kamailio_sip_certificate_expiry_timestamp_seconds` |\n" +
		"|---|---|---|---|---|---|\n")
	for _, each := range c.all {
		s := sipSocket{each.address(), "tls"}
		for i, p := range []page{plain, verified} {
			cells := s.cells(p, outage{})
			hours := math.Round((p["kamailio_sip_certificate_expiry_timestamp_seconds"+s.labels()] - float64(time.Now().Unix())) / 3600)
			fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %v |\n", each.what, []string{"no", "yes"}[i], cells.up, cells.code, cells.failure, hours)
		}
	}
	return table.String()
}
