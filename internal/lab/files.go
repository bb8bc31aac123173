//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed kamailio.cfg.tmpl
var configText string

var configTemplate = template.Must(template.New("kamailio.cfg").Option("missingkey=error").Parse(configText))

// writeFiles writes all that Kamailio reads: configuration, tables, destinations, TLS key and certificate.
func (k *Kamailio) writeFiles() error {
	files, err := k.tables()
	if err != nil {
		return err
	}
	var config strings.Builder
	if err := configTemplate.Execute(&config, k.configData()); err != nil {
		return fmt.Errorf("fill in kamailio.cfg: %w", err)
	}
	files["kamailio.cfg"] = []byte(config.String())
	files["dispatcher.list"] = []byte(k.destinations())
	if files["tls.key"], files["tls.crt"], err = newCertificate(); err != nil {
		return fmt.Errorf("make a TLS certificate: %w", err)
	}
	if err := os.Mkdir(filepath.Join(k.Dir, "dbtext"), 0o700); err != nil {
		return fmt.Errorf("make the directory of the tables: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(k.Dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write Kamailio's files: %w", err)
		}
	}
	return nil
}

// configData is what kamailio.cfg.tmpl refers to.
func (k *Kamailio) configData() any {
	return struct {
		Options
		Dir, Modules                       string
		SIPPort, TLSPort, CtlPort, UASPort int
	}{k.options, k.Dir, k.install.modules, k.sipPort, k.tlsPort, k.ctlPort, k.uasPort}
}

// rows are added to the package's empty db_text tables: remote registrations of uac and addresses of permissions.
func (k *Kamailio) rows() map[string]string {
	registration := func(id int, user string, flags int) string {
		return fmt.Sprintf("%d:u%[1]d:%s:local.example:%[2]s:remote.example:remote.example:%[2]s:secret:"+
			"0123456789abcdef0123456789abcdef:sip\\:127.0.0.1\\:5999:3600:%d:5:sip\\:127.0.0.1\\:5060:udp\\:127.0.0.1\\:%d\n",
			id, user, flags, k.sipPort)
	}
	return map[string]string{
		"uacreg":  registration(1, "alice", 0) + registration(2, "bob", 1),
		"address": "1:1:10.0.0.0:8:0:lan\n2:2:192.168.1.7:32:5060:peer\n",
	}
}

// tables returns the db_text tables, which depend on Kamailio's version and so come from the package.
func (k *Kamailio) tables() (map[string][]byte, error) {
	if k.options.Minimal {
		return map[string][]byte{}, nil
	}
	names, err := os.ReadDir(k.install.tables)
	if err != nil {
		return nil, fmt.Errorf("read Kamailio's db_text tables: %w", err)
	}
	files, rows := make(map[string][]byte), k.rows()
	for _, entry := range names {
		table, err := os.ReadFile(filepath.Join(k.install.tables, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read Kamailio's db_text tables: %w", err)
		}
		files[filepath.Join("dbtext", entry.Name())] = append(table, rows[entry.Name()]...)
	}
	return files, nil
}

// destinations is the dispatcher's list: set, destination, flags, priority, attributes.
func (k *Kamailio) destinations() string {
	if k.options.NoDestinations {
		return ""
	}
	var list strings.Builder
	fmt.Fprintf(&list, "1 sip:%s 0 10 weight=50;rweight=10;duid=gw1\n", k.UASAddr())
	list.WriteString("1 sip:127.0.0.1:5071 0 5\n2 sip:127.0.0.1:5072;transport=tcp 2\n")
	// The same destination twice in one set, told apart by its socket alone.
	fmt.Fprintf(&list, "3 sip:127.0.0.1:5073 8 1 socket=udp:%s\n3 sip:127.0.0.1:5073 8 2 socket=tcp:%[1]s\n", k.SIPAddr())
	for i := range k.options.Destinations {
		fmt.Fprintf(&list, "%d sip:127.1.%d.%d:5070 4 %d weight=50;duid=gw%d\n", 10+i%20, i/250, i%250+1, i%100, i+2)
	}
	return list.String()
}

// newCertificate returns a new key and a certificate for the loopback address that it signed itself, in PEM.
func newCertificate() (key, certificate []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "lab"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		IPAddresses:  []net.IP{net.ParseIP(loopback)},
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
