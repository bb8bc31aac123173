//go:build linux

package sipprobe

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLiveProbe probes real Kamailios over UDP, TCP and TLS, twice on the same connections.
func TestLiveProbe(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite})
		p := New(Options{UserAgent: "kamailio_exporter test"})
		defer p.Close()
		for _, uri := range []string{"sip:" + k.SIPAddr(), "sip:" + k.SIPAddr() + ";transport=tcp", "sips:" + k.TLSAddr()} {
			s, err := ParseURI(uri)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r := p.Probe(t.Context(), s)
				tls := s.Transport == "tls"
				if r.Failure != "" || r.Code != 200 || r.Response <= 0 || (r.Connect > 0) != (s.Transport != "udp") || (r.Handshake > 0) != tls ||
					r.Expiry.After(time.Now()) != tls || (r.TLSVersion != "") != tls {
					t.Errorf("%s: got %+v", uri, r)
				}
			}
		}
		// The lab's certificate is self-signed.
		verifying := New(Options{RootCAs: x509.NewCertPool()})
		defer verifying.Close()
		s, err := ParseURI("sips:" + k.TLSAddr())
		if err != nil {
			t.Fatal(err)
		}
		if r := verifying.Probe(t.Context(), s); r.Failure != Certificate || r.Expiry.IsZero() {
			t.Errorf("got %+v", r)
		}
	})
}
