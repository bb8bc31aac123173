//go:build linux

package scrape

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// sipTarget returns a target of a Kamailio with probes.
func sipTarget(t *testing.T, args ...string) *Target {
	t.Helper()
	cfg, err := config.Parse(append([]string{"-m", "core.uptime", "-t", "10s"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	target := NewTarget(cfg.Target, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

// sipState returns kamailio_up, and for each socket its transport with "up CODE" or the failure.
func sipState(t *testing.T, target *Target) string {
	t.Helper()
	text := samples(scraped(t.Context(), target), "kamailio_up", "kamailio_sip_up", "kamailio_sip_response_code", "kamailio_sip_failure")
	var state []string
	for line := range strings.Lines(text) {
		fields := regexp.MustCompile(`^(up|sip_response_code|sip_failure)\[(.*)\] (\d+)\n$`).FindStringSubmatch(line)
		if fields == nil || fields[3] == "0" {
			continue
		}
		transport := fields[2][strings.LastIndex(fields[2], " ")+1:]
		switch fields[1] {
		case "up":
			state = append(state, "RPC "+fields[3])
		case "sip_response_code":
			state = append(state, transport+" "+fields[3])
		case "sip_failure":
			reason, _, _ := strings.Cut(fields[2], " ")
			state = append(state, transport+" "+reason)
		}
	}
	return strings.Join(state, ", ")
}

// signalReceivers sends a signal to the processes whose description has a prefix.
func signalReceivers(t *testing.T, k *lab.Kamailio, prefix string, signal syscall.Signal) {
	t.Helper()
	out, err := k.Kamcmd(t.Context(), "core.psx")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`PID: (\d+)\s+DSC: `+prefix).FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		t.Fatalf("no process %q in\n%s", prefix, out)
	}
	for _, match := range found {
		pid, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLiveSIP stops the processes of a real Kamailio that receive SIP. RPC still answers; the series of SIP show the outage, and
// that it is over one scrape after its end.
func TestLiveSIP(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		target := sipTarget(t, "-u", k.URI("unix"), "--kamailio.sip-probe=auto")
		const healthy = "tcp 200, tls 200, udp 200, RPC 1"
		check := func(what, want string) {
			t.Helper()
			time.Sleep(minSIPInterval) // a socket gets one request a second
			got := sipState(t, target)
			parts := map[string]bool{}
			for part := range strings.SplitSeq(got, ", ") {
				parts[part] = true
			}
			for part := range strings.SplitSeq(want, ", ") {
				if !parts[part] {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
		}
		check("at the start", healthy)
		signalReceivers(t, k, "udp receiver", syscall.SIGSTOP)
		check("receivers of UDP are stopped", "tcp 200, tls 200, udp timeout, RPC 1")
		signalReceivers(t, k, "udp receiver", syscall.SIGCONT)
		check("after that", healthy)
		signalReceivers(t, k, "tcp receiver", syscall.SIGSTOP)
		check("receivers of TCP are stopped", "tcp timeout, udp 200, RPC 1")
		signalReceivers(t, k, "tcp receiver", syscall.SIGCONT)
		check("after that", healthy)
		if err := k.Stop(); err != nil {
			t.Fatal(err)
		}
		check("Kamailio is stopped", "tcp refused, tls refused, udp refused")
	})
}

// TestLiveSIPScripts has a routing script that drops OPTIONS, sleeps as with a slow database, and spins as on a lock. A key of a
// hash table switches these on and off.
func TestLiveSIPScripts(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Config: `loadmodule "cfgutils.so"` + "\nmax_while_loops=0\n", Route: `
  if (is_method("OPTIONS")) {
    if ($sht(a=>mode) == 1) exit;
    if ($sht(a=>mode) == 2) { usleep("2500000"); }
    $var(spins) = 1;
    while ($var(spins) == 1) { if ($sht(a=>mode) != 3) { $var(spins) = 0; } }
  }`})
		target := sipTarget(t, "-u", k.URI("unix"), "--kamailio.sip-probe=sip:"+k.SIPAddr())
		for _, mode := range []struct{ mode, want string }{
			{"0", "udp 200, RPC 1"},
			{"1", "udp timeout, RPC 1"}, {"0", "udp 200, RPC 1"},
			{"2", "udp timeout, RPC 1"}, {"0", "udp 200, RPC 1"},
			{"3", "udp timeout, RPC 1"}, {"0", "udp 200, RPC 1"},
		} {
			if out, err := k.Kamcmd(t.Context(), "htable.seti", "a", "mode", mode.mode); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := ""
			for range 30 {
				time.Sleep(minSIPInterval) // a socket gets one request a second
				if got = sipState(t, target); got == mode.want || mode.mode != "0" {
					break // the receivers may still sleep for the requests that they have
				}
			}
			if got != mode.want {
				t.Errorf("mode %s: %s, want %s", mode.mode, got, mode.want)
			}
		}
	})
}

// TestLiveSIPSockets names sockets: one where nobody listens, and one of TLS that is verified.
func TestLiveSIPSockets(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	target := sipTarget(t, "-u", k.URI("unix"), "--kamailio.sip-probe=sip:127.0.0.1:1,sips:"+k.TLSAddr())
	if got := sipState(t, target); !strings.Contains(got, "tls 200") || !strings.Contains(got, "udp refused") {
		t.Errorf("got %s", got)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"ca.pem": otherCA(t),
		"c.yml": fmt.Appendf(nil, "modules: {default: {methods: [core.uptime], sip: {sockets: auto, ca_file: ca.pem}}}\ntargets: [{name: a, uri: %q, sip: [\"sips:%s\"]}]\n",
			k.URI("unix"), k.TLSAddr()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.TrimSpace(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
	if err != nil {
		t.Fatal(err)
	}
	verified := NewTarget(cfg.Targets[0], slog.New(slog.DiscardHandler))
	defer verified.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text := samples(scraped(ctx, verified), "kamailio_sip_")
	if !strings.Contains(text, "sip_failure[certificate "+k.TLSAddr()+" tls] 1\n") || !strings.Contains(text, "sip_certificate_expiry_timestamp_seconds[") || strings.Contains(text, "udp") {
		t.Errorf("got\n%s", text)
	}
}

// otherCA returns a certificate with which the server's was not signed.
func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
