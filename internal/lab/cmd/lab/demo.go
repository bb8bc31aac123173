//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// demoConfig is the configuration of Prometheus, with places for the files of rules and the addresses of the exporter and Alertmanager.
const demoConfig = `global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files: ["%s", "%s"]
scrape_configs:
- job_name: kamailio
  static_configs: [{targets: ["%s"]}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ["%s"]}]
`

// config returns the configuration of Prometheus.
func config(mixin string, exporter, alertmanager *lab.Server) []byte {
	return fmt.Appendf(nil, demoConfig, filepath.Join(mixin, "rules.yml"), filepath.Join(mixin, "alerts.yml"),
		strings.TrimPrefix(exporter.URL, "http://"), strings.TrimPrefix(alertmanager.URL, "http://"))
}

// demo runs a Kamailio with traffic, the exporter, and a Prometheus and an Alertmanager with the rules in the directory mixin,
// until ctx or one of them ends. mixin must be an absolute path.
func demo(ctx context.Context, out io.Writer, exporter, mixin string) (err error) {
	_, _ = fmt.Fprintln(out, "Programs that are not in your cache yet are downloaded, some 150 MB at the first time. Nothing is installed.")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Stop()) }()
	playing := make(chan error, 1)
	go func() { playing <- lab.Traffic(ctx, k) }()
	defer func() { cancel(); err = errors.Join(err, <-playing) }()

	exporting, err := lab.StartServer(ctx, exporter, "--web.listen-address=127.0.0.1:0", "-u", k.URI("unix"), "--kamailio.sip-probe=auto")
	if err != nil {
		return err
	}
	defer exporting.Stop()
	alertmanager, err := lab.RunAlertmanager(ctx, filepath.Join(mixin, "alertmanager.yml"), filepath.Join(k.Dir, "alertmanager"))
	if err != nil {
		return err
	}
	defer alertmanager.Stop()
	file := filepath.Join(k.Dir, "prometheus.yml")
	if err := os.WriteFile(file, config(mixin, exporting, alertmanager), 0o600); err != nil {
		return err
	}
	prometheus, err := lab.RunPrometheus(ctx, file, filepath.Join(k.Dir, "prometheus"))
	if err != nil {
		return err
	}
	defer prometheus.Stop()
	_, _ = fmt.Fprintf(out, `Kamailio      sip:%s, %s
Exporter      %s/
Prometheus    %s/graph and %s/alerts
Alertmanager  %s/
Ctrl-C ends everything.
`, k.SIPAddr(), k.URI("unix"), exporting.URL, prometheus.URL, prometheus.URL, alertmanager.URL)
	select {
	case <-ctx.Done():
		return nil
	case <-exporting.Done():
		return ended("the exporter", exporting)
	case <-prometheus.Done():
		return ended("Prometheus", prometheus)
	case <-alertmanager.Done():
		return ended("Alertmanager", alertmanager)
	}
}

// ended returns the error of a server that ended by itself.
func ended(name string, s *lab.Server) error {
	return fmt.Errorf("%s ended; its log:\n%s", name, s.Log)
}
