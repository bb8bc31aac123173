package config

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// recorder is an HTTP server that records the credentials of requests. If location is not "", it redirects to it.
type recorder struct {
	*httptest.Server
	location string

	mu   sync.Mutex
	seen []string
}

func newRecorder(t *testing.T, location string) *recorder {
	t.Helper()
	r := &recorder{location: location}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.seen = append(r.seen, request.URL.Path+" "+request.Header.Get("Authorization")+request.Header.Get("X-Key"))
		r.mu.Unlock()
		if r.location != "" {
			http.Redirect(w, request, r.location, http.StatusTemporaryRedirect)
			return
		}
		_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// contact calls a method of a target and gets its page.
func contact(t *testing.T, target *Target) {
	t.Helper()
	client := dial.NewTarget(target.URI, dial.Options{HTTP: target.HTTP})
	defer client.Close()
	_, _ = rpc.One(t.Context(), client, "core.uptime")
	if target.XHTTPProm != nil {
		_, _ = target.XHTTPProm.Fetch(context.WithoutCancel(t.Context()))
	}
}

// TestAuthStaysWithItsURL has a target that redirects to another server, and pages on the same and on another server. Only the
// URL that names an auth gets its credentials.
func TestAuthStaysWithItsURL(t *testing.T) {
	thief := newRecorder(t, "")
	kamailio := newRecorder(t, "")
	redirecting := newRecorder(t, thief.URL+"/RPC")
	cfg, err := load(t, fmt.Sprintf(`
auths:
  noc: {authorization: {credentials: rpc-token}, http_headers: {X-Key: {secrets: [header-key]}}}
  page: {bearer_token: page-token}
targets:
- {name: redirects, uri: "%[1]s/RPC", auth: noc, xhttp_prom_url: "%[1]s/metrics", xhttp_prom_auth: page}
- {name: page-without-auth, uri: "%[2]s/RPC", auth: noc, xhttp_prom_url: "%[2]s/metrics"}
- {name: page-elsewhere, uri: "%[2]s/RPC", auth: noc, xhttp_prom_url: "%[3]s/metrics"}
- {name: without-auth, uri: "%[2]s/RPC"}
- {name: page-alone, uri: "%[2]s/RPC", xhttp_prom_url: "%[2]s/metrics", xhttp_prom_auth: page}
`, redirecting.URL, kamailio.URL, thief.URL))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range cfg.Targets {
		contact(t, target)
	}
	if got, want := redirecting.requests(), []string{"/RPC Bearer rpc-tokenheader-key", "/metrics Bearer page-token"}; !slices.Equal(got, want) {
		t.Errorf("the server that redirects got %q, want %q", got, want)
	}
	if got, want := kamailio.requests(), []string{"/RPC Bearer rpc-tokenheader-key", "/metrics ", "/RPC Bearer rpc-tokenheader-key", "/RPC ", "/RPC ", "/metrics Bearer page-token"}; !slices.Equal(got, want) {
		t.Errorf("Kamailio got %q, want %q", got, want)
	}
	if got, want := thief.requests(), []string{"/metrics "}; !slices.Equal(got, want) {
		t.Errorf("the other server got %q, want %q", got, want)
	}
}

// TestHTTPConfigStaysWithOneServer gives --kamailio.http-config.file with two servers, which is an error, and with one.
func TestHTTPConfigStaysWithOneServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("bearer_token: PW\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for page, allowed := range map[string]bool{
		"http://192.0.2.1:80/metrics":  true,
		"http://192.0.2.1:81/metrics":  false,
		"https://192.0.2.1/metrics":    false,
		"http://192.0.2.2/metrics":     false,
		"http://192.0.2.1.evil/metric": false,
	} {
		_, err := Parse([]string{"-u", "http://192.0.2.1/RPC", "--kamailio.http-config.file", file, "--kamailio.xhttp-prom-url", page})
		if (err == nil) != allowed {
			t.Errorf("%s: error %v", page, err)
		}
	}
	if _, err := Parse([]string{"-u", "unix:/x", "--kamailio.http-config.file", file, "--kamailio.xhttp-prom-url", "https://192.0.2.2/metrics"}); err != nil {
		t.Error(err)
	}
}
