//go:build linux

package lab

import (
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed kamailio.cfg.tmpl
var configText string

var configTemplate = template.Must(template.New("kamailio.cfg").Option("missingkey=error").Parse(configText))

// writeFiles writes all that Kamailio reads: configuration, tables, destinations, TLS key and certificate.
func (k *Kamailio) writeFiles() error {
	files, err := k.tables()
	if err != nil {
		return fmt.Errorf("read Kamailio's db_text tables: %w", err)
	}
	var config strings.Builder
	if err := configTemplate.Execute(&config, struct {
		Options
		Dir, Modules                       string
		SIPPort, TLSPort, CtlPort, UASPort int
	}{k.options, k.Dir, k.install.modules, k.sipPort, k.tlsPort, k.ctlPort, k.uasPort}); err != nil {
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

// tables returns the db_text tables. Their columns depend on Kamailio's version, so the empty tables come from the package;
// remote registrations of uac, addresses of permissions and the rows of the options are added.
func (k *Kamailio) tables() (map[string][]byte, error) {
	files := make(map[string][]byte)
	if k.options.Minimal {
		return files, nil
	}
	const registration = "%d:u%[1]d:%s:local.example:%[2]s:remote.example:remote.example:%[2]s:secret:" +
		"0123456789abcdef0123456789abcdef:sip\\:127.0.0.1\\:5999:3600:%d:5:sip\\:127.0.0.1\\:5060:udp\\:127.0.0.1\\:%d\n"
	rows := map[string]string{
		"uacreg":  fmt.Sprintf(registration, 1, "alice", 0, k.sipPort) + fmt.Sprintf(registration, 2, "bob", 1, k.sipPort),
		"address": "1:1:10.0.0.0:8:0:lan\n2:2:192.168.1.7:32:5060:peer\n",
	}
	entries, err := os.ReadDir(k.install.tables)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		table, err := os.ReadFile(filepath.Join(k.install.tables, entry.Name()))
		if err != nil {
			return nil, err
		}
		files["dbtext/"+entry.Name()] = append(table, rows[entry.Name()]+k.options.Rows[entry.Name()]...)
	}
	return files, nil
}

// destinations returns the dispatcher's list: set, destination, flags, priority, attributes.
func (k *Kamailio) destinations() string {
	if k.options.NoDestinations {
		return ""
	}
	var list strings.Builder
	fmt.Fprintf(&list, "1 sip:%s 0 10 weight=50;rweight=10;duid=gw1\n", k.UASAddr())
	list.WriteString("1 sip:127.0.0.1:5071 0 5\n2 sip:127.0.0.1:5072;transport=tcp 2\n")
	// The same destination twice in one set, with different sockets.
	fmt.Fprintf(&list, "3 sip:127.0.0.1:5073 8 1 socket=udp:%s\n3 sip:127.0.0.1:5073 8 2 socket=tcp:%[1]s\n", k.SIPAddr())
	for i := range k.options.Destinations {
		fmt.Fprintf(&list, "%d sip:127.1.%d.%d:5070 4 %d weight=50;duid=gw%d\n", 10+i%20, i/250, i%250+1, i%100, i+2)
	}
	return list.String()
}

// newCertificate returns the key and the self-signed certificate that net/http/httptest uses for the loopback address, in PEM.
func newCertificate() (key, certificate []byte, err error) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), nil
}
