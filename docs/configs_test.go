//go:build linux

package docs_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/config"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	exporterconfig "github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestYAML gives each block of YAML to the program that reads it; all of them refuse a field that they do not know.
func TestYAML(t *testing.T) {
	for _, b := range blocks(t, "yaml") {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(b.page), b.line), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "block.yml")
			writeFile(t, file, b.text)
			var err error
			switch {
			case strings.HasPrefix(b.text, "scrape_configs:"):
				promtool(t, "check", "config", file)
			case strings.HasPrefix(b.text, "groups:"):
				promtool(t, "check", "rules", file)
			case b.page == "fleet.md" && (b.mark == "exporter-config" || b.mark == "targets"):
				// TestFleet starts an exporter with it.
			case b.page == "configuring.md" && b.mark == "exporter-config":
				_, err = exporterconfig.Parse([]string{"--config.file", file})
			case b.mark == "http-config":
				_, _, err = config.LoadHTTPConfigFile(file)
			case b.mark == "custom-metrics":
				_, err = exporterconfig.Parse([]string{"--config.file", file})
			case b.mark == "web-config":
				k := lab.StartTest(t, lab.Options{}) // has a certificate
				writeFile(t, file, strings.ReplaceAll(b.text, "/etc/kamailio_exporter.", k.Dir+"/tls."))
				err = toolkit.Validate(file)
			default:
				t.Error("no program is known to read it: mark it, and add its reader here")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("fetches promtool; run without -short")
	}
	program, err := lab.Tool(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", program, args...)
}

// TestUnits lets systemd read the exporter's unit, followed by each block of ini.
func TestUnits(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "systemd-analyze", "--recursive-errors=no", "--version").Run(); err != nil {
		t.Skip("SKIPPED: needs systemd-analyze 250 or newer: ", err)
	}
	unit := filepath.Join(t.TempDir(), "kamailio_exporter.service")
	text := strings.ReplaceAll(readPage(t, "../packaging/systemd/kamailio_exporter.service"), "/usr/bin", programs)
	for _, b := range blocks(t, "ini") {
		writeFile(t, unit, text+b.text)
		// Units that it depends on need not exist.
		if said := run(t, "", "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit); strings.Contains(said, unit) {
			t.Errorf("%s:%d: %s", b.page, b.line, said)
		}
	}
}

// TestKamailioConfigs starts a Kamailio with each block of its configuration, and checks that it answers.
func TestKamailioConfigs(t *testing.T) {
	for _, b := range blocks(t, "kamailio") {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(b.page), b.line), func(t *testing.T) {
			dir, err := os.MkdirTemp("", "kd") // short: it is a socket's
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			address := freeAddress(t)
			own := strings.NewReplacer(
				`loadmodule "ctl.so"`, "", // the lab's configuration has it,
				"tcp_accept_no_cl=yes", "", // and this, above the modules
				"/var/run/kamailio/", dir+"/",
				"/var/run/", dir+"/",
				"127.0.0.1:2046", address,
				`"group", "kamailio_exporter"`, fmt.Sprintf(`"group", "%d"`, os.Getgid()),
			).Replace(b.text)
			usesOthers := strings.Contains(own, "prom_counter_inc") // Kamailio modules that only the lab's whole configuration has
			k := lab.StartTest(t, lab.Options{Minimal: !usesOthers, Config: own})
			if strings.Contains(own, "tcp:") {
				checkUp(t, "tcp://"+address)
			}
			if sockets, _ := filepath.Glob(filepath.Join(dir, "*ctl")); len(sockets) == 1 {
				checkUp(t, "unix:"+sockets[0])
				info, err := os.Stat(sockets[0])
				if group := strings.Contains(own, "0660"); err != nil || (info.Mode().Perm() == 0o660) != group {
					t.Errorf("the socket is %v: %v", info, err)
				}
			}
			if strings.Contains(own, "jsonrpc_dispatch") {
				checkUp(t, k.JSONRPCURL())
			}
			if strings.Contains(own, "prom_dispatch") {
				get(t, "http://"+k.SIPAddr()+"/metrics")
			}
			if strings.Contains(own, "event_route[xhttp:request]") {
				if _, status := fetch(t, "http://"+k.SIPAddr()+"/other"); status != http.StatusNotFound {
					t.Errorf("another path gives status %d", status)
				}
			}
		})
	}
}

// checkUp checks that Kamailio answers there.
func checkUp(t *testing.T, uri string) {
	t.Helper()
	if page := start(t, "-u", uri).scrape(); !strings.Contains(page, "\nkamailio_up 1\n") {
		t.Errorf("%s gives\n%s", uri, page)
	}
}

// freeAddress returns an address where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
