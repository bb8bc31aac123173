//go:build linux

package check

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// prometheusOf returns the section for a command line as text.
func prometheusOf(t *testing.T, args ...string) string {
	t.Helper()
	cfg, _ := parse(t, args...)
	var out strings.Builder
	if err := write(&out, "", []section{prometheusSection(cfg)}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestPrometheus compares the configurations for command lines with a golden file, and gives each to promtool.
func TestPrometheus(t *testing.T) {
	certificate := writeCertificate(t)
	protected := writeFile(t, "web.yml", "tls_server_config: {cert_file: "+certificate+", key_file: "+certificate+"}\n"+
		"basic_auth_users: {prometheus: $2y$05$aaaaaaaaaaaaaaaaaaaaaOMqCEBFdAqHvrW0LMvTWfhTzvxdcCzNe}\n")
	fleet := writeFile(t, "fleet.yml", `
modules: {default: {methods: [auto]}, slow: {methods: [dlg.stats_active], timeout: 20s}, once: {methods: [core.uptime], timeout: 1500ms}}
targets:
  - {name: a, uri: 'unix:/a', modules: [default, once, slow]}
  - {name: b, uri: 'unix:/b', modules: [default, slow]}
`)
	var all strings.Builder
	for _, test := range []struct {
		name string
		args []string
	}{
		{"default", nil},
		{"address, path and timeout", []string{"-l", "192.0.2.1:9999", "--web.telemetry-path", "/kamailio", "-t", "90500ms"}},
		{"all addresses", []string{"-l", "[::]:9999", "-l", "127.0.0.1:1", "--web.route-prefix", "/a"}},
		{"vsock", []string{"-l", "vsock://:9999"}},
		{"external URL", []string{"--web.external-url", "https://example.net/kamailio/"}},
		{"TLS and password", []string{"--web.config.file", protected}},
		{"fleet", []string{"--config.file", fleet}},
		{"fleet and a target", []string{"--config.file", fleet, "-u", "unix:/c"}},
		{"fleet with TLS and password", []string{"--config.file", fleet, "--web.config.file", protected}},
	} {
		text := prometheusOf(t, test.args...)
		all.WriteString("== " + test.name + "\n" + text)
		checkWithPromtool(t, test.name, text)
	}
	wantGolden(t, "prometheus.txt", all.String())
}

// checkWithPromtool checks the configuration in a section, whose files exist.
func checkWithPromtool(t *testing.T, name, text string) {
	t.Helper()
	if testing.Short() {
		return
	}
	promtool, err := lab.Tool(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	_, yaml, _ := strings.Cut(text, "\n")
	yaml, _, _ = strings.Cut(yaml, "\n   note")
	file := writeFile(t, "prometheus.yml", yaml+"\n")
	yaml = strings.ReplaceAll(yaml, "/etc/prometheus/", filepath.Dir(file)+"/")
	for _, used := range []string{"kamailio_exporter.password", "kamailio_exporter_ca.pem"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), used), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(yaml+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "config", file).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s\n%s", name, err, out, yaml)
	}
}

// writeCertificate writes a certificate and its key, those of httptest, into one file.
func writeCertificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "both.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

// TestUsersOfWebConfig has files of --web.config.file.
func TestUsersOfWebConfig(t *testing.T) {
	cfg, _ := parse(t, "--web.config.file", writeFile(t, "web.yml", "basic_auth_users: {b: $2y$05$aaaaaaaaaaaaaaaaaaaaaOMqCEBFdAqHvrW0LMvTWfhTzvxdcCzNe, a: $2y$05$aaaaaaaaaaaaaaaaaaaaaOMqCEBFdAqHvrW0LMvTWfhTzvxdcCzNe}\n"))
	if got := cfg.Web; got.TLS || strings.Join(got.Users, " ") != "a b" {
		t.Errorf("TLS %v, users %q", got.TLS, got.Users)
	}
	var none config.Web
	if cfg, _ := parse(t); cfg.Web.TLS != none.TLS || cfg.Web.Users != nil {
		t.Errorf("without a file: %+v", cfg.Web)
	}
}
