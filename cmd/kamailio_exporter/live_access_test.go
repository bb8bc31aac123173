//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLivePrometheusWithCertificateAndPassword has a real Prometheus with a certificate and a password, and one job of it without the
// password.
func TestLivePrometheusWithCertificateAndPassword(t *testing.T) {
	t.Parallel()
	p := startProtected(t)
	writePEM(t, p.dir, "own", p.own.certificate, nil)
	certificate, key := p.ca.client(t)
	writePEM(t, p.dir, "client", certificate, key)
	files := fmt.Sprintf("{ca_file: %[1]q, cert_file: %[2]q, key_file: %[3]q}",
		filepath.Join(p.dir, "own.pem"), filepath.Join(p.dir, "client.pem"), filepath.Join(p.dir, "client.key"))
	targets := fmt.Sprintf("static_configs: [{targets: [%q]}]", strings.TrimPrefix(p.url, "https://"))
	scraper := lab.StartPrometheus(t, fmt.Sprintf(`{global: {scrape_interval: 1s}, scrape_configs: [
		{job_name: password, scheme: https, tls_config: %[1]s, basic_auth: {username: prometheus, password: secret}, %[2]s},
		{job_name: none, scheme: https, tls_config: %[1]s, %[2]s}]}`, files, targets))
	for job, want := range map[string]model.SampleValue{"password": 1, "none": 0} {
		scraper.Await(fmt.Sprintf("up{job=%q}", job), fmt.Sprint("value ", want), func(samples model.Vector) bool {
			return len(samples) == 1 && samples[0].Value == want
		})
	}
}
