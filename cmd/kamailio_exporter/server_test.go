package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

func TestExternalURLAndRoutePrefix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--web.external-url", "https://example.net/kamailio/"}, "/kamailio/metrics"},
		{[]string{"--web.route-prefix", "kamailio"}, "/kamailio/metrics"},
		{[]string{"--web.external-url", "https://example.net/kamailio", "--web.route-prefix", "/"}, "/metrics"},
		{[]string{"--web.external-url", "https://example.net/kamailio", "--web.telemetry-path", "/deep/metrics"}, "/kamailio/deep/metrics"},
	} {
		e := start(t, append(test.args, "-u", noKamailio)...)
		if response, body := e.get(test.want); response.StatusCode != http.StatusOK || !strings.Contains(string(body), "kamailio_up 0") {
			t.Errorf("%q: %s: %s", test.args, test.want, response.Status)
		}
	}
}

// TestServerClosesIdleConnections checks the settings, because waiting for the timeouts would take long.
func TestServerClosesIdleConnections(t *testing.T) {
	server := newServer(http.NotFoundHandler(), func() int { return 1 }, slog.New(slog.DiscardHandler))
	if server.IdleTimeout != 30*time.Second || server.ReadHeaderTimeout <= 0 || server.ReadHeaderTimeout > 30*time.Second {
		t.Errorf("idle connections are closed after %v and %v", server.IdleTimeout, server.ReadHeaderTimeout)
	}
}

// TestLongRequestIsRefused sends a URL that is longer than a request may be.
func TestLongRequestIsRefused(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio)
	if response, _ := e.get("/metrics?name[]=" + strings.Repeat("x", maxHeader+8<<10)); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a URL of more than %d bytes: %s", maxHeader, response.Status)
	}
}

// certificate returns a file for --web.config.file with a certificate for 127.0.0.1.
func certificate(t *testing.T) (webConfig string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"web.yml":  []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "web.yml")
}

// TestNetHTTPUsesTheLogFormat sends a bad TLS handshake, which package net/http logs.
func TestNetHTTPUsesTheLogFormat(t *testing.T) {
	t.Parallel()
	cmd := command(context.WithoutCancel(t.Context()), "-l", "127.0.0.1:0", "-u", noKamailio, "--log.format", "json", "--web.config.file", certificate(t))
	e := startCommand(t, cmd)
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "\x16\x03\x01\x00\x01\x00"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
	e.awaitLog(`"level":"WARN",.*TLS handshake error`)
	for line := range strings.Lines(e.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line that is not JSON: %s", line)
		}
	}
}

// TestStreamsAreLimited reads the settings that the exporter sends to a client of HTTP/2 (RFC 9113, section 6.5).
func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", noKamailio, "--web.config.file", certificate(t))
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 9)
	if _, err := io.ReadFull(conn, header); err != nil {
		t.Fatal(err)
	}
	settings := make([]byte, int(header[1])<<8|int(header[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
			if got := binary.BigEndian.Uint32(settings[2:]); got != maxStreams {
				t.Errorf("a connection may have %d requests, want %d", got, maxStreams)
			}
			return
		}
	}
	t.Error("the number of requests on a connection is not limited")
}

// TestListenErrors has errors of listening, whose hints say what to change.
func TestListenErrors(t *testing.T) {
	for code, want := range map[syscall.Errno]string{
		syscall.EADDRINUSE: "another program listens there",
		syscall.EACCES:     "CAP_NET_BIND_SERVICE",
	} {
		err := withListenFlag(&net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", code)}, &toolkit.FlagConfig{})
		if text := err.Error(); !strings.HasPrefix(text, "--web.listen-address: listen tcp: bind: ") || !strings.Contains(text, want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
