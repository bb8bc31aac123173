//go:build linux

package mixin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// authority is a certificate authority with a directory for the files of a Kamailio.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority returns an authority with the files ca.pem, for clients, and tls.cfg, for Kamailio, whose certificate is valid for
// a year.
func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{dir: t.TempDir(), key: key, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.write(t, "ca.pem", "CERTIFICATE", a.sign(t, a.certificate))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "tls.key", "PRIVATE KEY", private)
	writeFile(t, a.file("tls.cfg"), fmt.Sprintf("[server:default]\nmethod = TLSv1.2+\nprivate_key = %s\ncertificate = %s\n", a.file("tls.key"), a.file("tls.crt")))
	a.issue(t, 365*24*time.Hour)
	return a
}

// issue replaces Kamailio's certificate. It has the key of the authority.
func (a authority) issue(t *testing.T, validity time.Duration) {
	t.Helper()
	a.write(t, "tls.crt", "CERTIFICATE", a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(validity), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}))
}

func (a authority) sign(t *testing.T, certificate *x509.Certificate) []byte {
	t.Helper()
	signed, err := x509.CreateCertificate(rand.Reader, certificate, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (a authority) write(t *testing.T, name, kind string, content []byte) {
	t.Helper()
	writeFile(t, a.file(name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})))
}

func (a authority) file(name string) string { return filepath.Join(a.dir, name) }
