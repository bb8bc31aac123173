//go:build linux

package main

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// lostOverJSON are prefixes of the series of methods that Kamailio answers over BINRPC
// only, or whose replies have only the last record over JSON-RPC.
var lostOverJSON = []string{"kamailio_ctl_", "kamailio_ratelimit_", "kamailio_dns_cache_"}

// TestLiveJSONRPC scrapes one Kamailio over both protocols. The series over JSON-RPC must
// be the same, and their values between those of two scrapes over BINRPC. Gauges can
// change in between, so there are several tries.
func TestLiveJSONRPC(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		port := freePort(t)
		config := fmt.Sprintf(`modparam("jsonrpcs", "dgram_socket", "udp:127.0.0.1:%d")`, port)
		if suite != lab.Bookworm { // since 6.0, jsonrpcs has tcp_socket
			config = fmt.Sprintf(`modparam("jsonrpcs", "tcp_socket", "tcp:127.0.0.1:%d")`, port)
		}
		k := lab.StartTest(t, lab.Options{Suite: suite, Destinations: 20, Config: config})
		uris := []string{k.JSONRPCURL(), fmt.Sprintf("jsonrpc+udp://127.0.0.1:%d", port)}
		if suite != lab.Bookworm {
			uris = []string{k.JSONRPCURL(), fmt.Sprintf("jsonrpc+tcp://127.0.0.1:%d", port),
				"jsonrpc+unixgram:" + filepath.Join(k.Dir, "kamailio_rpc.sock")}
		}
		binrpc := start(t, "-u", k.URI("unix"), "--kamailio.host=off")
		for _, uri := range uris {
			checkSameSeries(t, binrpc, start(t, "-u", uri))
		}
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func checkSameSeries(t *testing.T, binrpc, jsonrpc *exporter) {
	t.Helper()
	var wrong map[string]string
	for range 20 {
		before := binrpc.scrape()
		// Each process of Kamailio caches some statistics (sl, tmx) for a second.
		time.Sleep(1100 * time.Millisecond)
		p := jsonrpc.scrape()
		time.Sleep(1100 * time.Millisecond)
		after := binrpc.scrape()
		wrong = p.outside(before, after)
		maps.DeleteFunc(wrong, func(series, fault string) bool {
			return fault == isMissing && slices.ContainsFunc(lostOverJSON, func(prefix string) bool { return strings.HasPrefix(series, prefix) }) ||
				strings.HasPrefix(series, "kamailio_exporter_") || strings.HasPrefix(series, "go_") ||
				strings.HasPrefix(series, "process_") || strings.HasPrefix(series, "promhttp_") ||
				// HTTP requests take memory of the process that serves them.
				fault != isMissing && strings.HasPrefix(series, "kamailio_pkg_") && strings.Contains(series, `role="tcp receiver"`)
		})
		if len(wrong) == 0 {
			p.check(t, "kamailio_up", 1)
			return
		}
	}
	t.Errorf("JSON-RPC and BINRPC differ:\n%s", linesOf(wrong))
}

// TestLiveHTTPConfig scrapes a Kamailio behind an HTTPS proxy. The CA and the password are
// in files.
func TestLiveHTTPConfig(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	target, err := url.Parse(k.JSONRPCURL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL, r.Out.Host = target, target.Host }}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "prometheus" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	ca := write("ca.pem", pemOf(server.Certificate().Raw))
	password := write("password", "secret")
	config := write("http.yml", fmt.Sprintf("tls_config:\n  ca_file: %s\nbasic_auth:\n  username: prometheus\n  password_file: %s\n", ca, password))

	p := start(t, "-u", server.URL+"/RPC", "--kamailio.http-config.file", config).scrape()
	p.check(t, "kamailio_up", 1)
	p.check(t, "kamailio_exporter_failed_scrapes", 0)

	withoutPassword := write("tls.yml", fmt.Sprintf("tls_config:\n  ca_file: %s\n", ca))
	e := start(t, "-u", server.URL+"/RPC", "--kamailio.http-config.file", withoutPassword)
	e.scrape().check(t, "kamailio_up", 0)
	e.awaitLog(`--kamailio.http-config.file`)
}

// TestLiveUserMetrics gets the metrics of the lab's routing script.
func TestLiveUserMetrics(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		lab.StartTraffic(t, k)
		e := start(t, "-u", k.URI("unix"), "--kamailio.xhttp-prom-url", "http://"+k.SIPAddr()+"/metrics")
		const calls = `kamailio_lab_calls_total{method="INVITE",result="relayed"}`
		p := e.scrape()
		for deadline := time.Now().Add(time.Minute); p[calls] < 2 && time.Now().Before(deadline); {
			p = e.scrape()
		}
		if p[calls] < 2 {
			t.Errorf("%s is %v", calls, p[calls])
		}
		p.check(t, `kamailio_exporter_collector_success{collector="xhttp_prom"}`, 1)
		p.check(t, "kamailio_lab_level", 1.5)
		_, body := e.get("/metrics")
		for _, want := range []string{
			"# TYPE kamailio_lab_seconds histogram",
			`kamailio_lab_seconds_bucket{method="INVITE",le="1"} `,
			`kamailio_lab_seconds_sum{method="INVITE"} `,
			"# TYPE kamailio_lab_calls_total counter",
		} {
			if !strings.Contains(string(body), want) {
				t.Errorf("the page lacks %s", want)
			}
		}
	})
}

func pemOf(certificate []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}
