package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// TestRedirectsDoNotCarryCredentials has a server that redirects with each status to another server, to another port of the same
// host, and from HTTPS to HTTP. Basic authentication, a token, and headers go to the server of the URI only.
func TestRedirectsDoNotCarryCredentials(t *testing.T) {
	thief := newRecorder(t, "")
	for _, location := range []string{thief.URL + "/RPC", strings.Replace(thief.URL, "127.0.0.1", "localhost", 1) + "/RPC", "//" + thief.Listener.Addr().String() + "/RPC"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			var asked atomic.Int32
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, password, _ := r.BasicAuth(); password == "secret" && r.Header.Get("X-Key") == "header-key" {
					asked.Add(1)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			}))
			defer server.Close()
			cfg, err := load(t, fmt.Sprintf(`
auths: {noc: {basic_auth: {username: u, password: secret}, http_headers: {X-Key: {secrets: [header-key]}}, tls_config: {insecure_skip_verify: true}}}
targets: [{name: a, uri: "%[1]s/RPC", auth: noc, xhttp_prom_url: "%[1]s/metrics", xhttp_prom_auth: noc}]
`, server.URL))
			if err != nil {
				t.Fatal(err)
			}
			contact(t, cfg.Targets[0])
			if asked.Load() != 2 {
				t.Errorf("%s, status %d: the server got the credentials %d times, want 2", location, status, asked.Load())
			}
		}
	}
	if got := thief.requests(); len(got) > 0 {
		t.Errorf("the other server got %q", got)
	}
}

// TestHTTPConfigFileDoesNotFollowRedirects has the flags of a target whose server redirects, with a file that allows redirects.
func TestHTTPConfigFileDoesNotFollowRedirects(t *testing.T) {
	thief := newRecorder(t, "")
	server := newRecorder(t, thief.URL+"/RPC")
	file := filepath.Join(writeFiles(t, map[string]string{"http.yml": "bearer_token: token\nfollow_redirects: true\n"}), "http.yml")
	target := parse(t, "-u", server.URL+"/RPC", "--kamailio.http-config.file", file, "--kamailio.xhttp-prom-url", server.URL+"/metrics").Target
	contact(t, target)
	if got, want := server.requests(), []string{"/RPC Bearer token", "/metrics Bearer token"}; !slices.Equal(got, want) {
		t.Errorf("the server got %q, want %q", got, want)
	}
	if got := thief.requests(); len(got) > 0 {
		t.Errorf("the other server got %q", got)
	}
	if _, err := Parse([]string{"-u", server.URL + "/RPC", "--kamailio.http-config.file", file, "--kamailio.xhttp-prom-url", thief.URL + "/metrics"}); err == nil {
		t.Error("credentials for two servers are not an error")
	}
}

// TestProxiesOfTheEnvironmentAreNotUsed runs itself in a process whose environment has a proxy. Go's HTTP client uses no proxy for
// 127.0.0.1, and reads the environment once.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	if os.Getenv("HTTP_PROXY_TEST") != "" {
		cfg, err := load(t, "auths: {noc: {bearer_token: token}}\ntargets: [{name: a, uri: 'http://kamailio.invalid/RPC', auth: noc, xhttp_prom_url: 'http://kamailio.invalid/', xhttp_prom_auth: noc}]\n")
		if err != nil {
			t.Fatal(err)
		}
		contact(t, cfg.Targets[0])
		contact(t, parse(t, "-u", "http://kamailio.invalid/RPC", "--kamailio.xhttp-prom-url=http://kamailio.invalid/").Target)
		if response, err := http.Get("http://kamailio.invalid/control"); err != nil { //nolint:noctx // the server is on this host
			t.Error(err)
		} else {
			response.Body.Close()
		}
		return
	}
	proxy := newRecorder(t, "")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "HTTP_PROXY_TEST=1", "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := proxy.requests(), []string{"/control "}; !slices.Equal(got, want) {
		t.Errorf("the proxy got %q, want %q", got, want)
	}
}

// TestHosts checks to which hosts an auth may be sent. The host of a URL follows a list of hosts.
func TestHosts(t *testing.T) {
	for hosts, urls := range map[string]map[string]bool{
		"192.0.2.0/24": {
			"192.0.2.0": true, "192.0.2.255": true, "192.0.3.0": false, "[::ffff:192.0.2.1]": true, "[::ffff:c000:201]": true, "[::192.0.2.1]": false,
			"192.0.2": false, "192.0.2.1.": false, "3221225985": false, "0xc0000201": false, "192.0.2.01": false, "192.0.2.1.example.net": false,
		},
		"192.0.2.1/24":         {"192.0.2.200": true},
		"0.0.0.0/0":            {"192.0.2.1": true, "[2001:db8::1]": false, "sbc": false},
		"192.0.2.1":            {"192.0.2.1": true, "192.0.2.10": false, "[::ffff:192.0.2.1]": true},
		"'::ffff:192.0.2.1'":   {"192.0.2.1": true, "[::ffff:192.0.2.1]": true},
		"'2001:db8::/32'":      {"[2001:db8::1]": true, "[2001:0DB8:0:0::1]": true, "[2001:db9::1]": false},
		"'2001:DB8::1'":        {"[2001:db8::1]": true, "[2001:db8:0::0:1]": true, "[2001:db8::2]": false},
		"'[2001:db8::1]'":      {"[2001:db8::1]": true},
		"'fe80::/10'":          {"[fe80::1]": true, "[fe80::1%25eth0]": false},
		"'fe80::1%eth0'":       {"[fe80::1%25eth0]": true, "[fe80::1%25eth1]": false, "[fe80::1]": false},
		"SBC1.example.net":     {"sbc1.Example.NET": true, "sbc1.example.net.": false, "sbc1.example.net.evil": false, "xsbc1.example.net": false, "sbc1": false},
		"sbc1.example.net.":    {"sbc1.example.net.": true, "sbc1.example.net": false},
		"xn--bcher-kva.net":    {"xn--bcher-kva.net": true, "bücher.net": false},
		"sbc1, 192.0.2.128/25": {"sbc1": true, "192.0.2.129": true, "192.0.2.127": false},
	} {
		for host, want := range urls {
			for _, port := range []string{"", ":81"} {
				_, err := load(t, fmt.Sprintf("auths: {a: {hosts: [%s]}}\ntargets: [{name: a, uri: 'https://%s%s/RPC', auth: a}]\n", hosts, host, port))
				if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "must not be sent to") {
					t.Errorf("hosts %s, host %s: error %v, allowed is %t", hosts, host, err, want)
				}
			}
		}
	}
	for _, host := range []string{"''", "'*'", "'*.example.net'", "192.0.2.1:80", "'[2001:db8::1]:80'", "192.0.2.0/33", "192.0.2.0/", "a/24", "http://h", "u@h", "'.h'", "-h", "'h h'", "bücher.net", "'[h]'"} {
		if _, err := load(t, "auths: {a: {hosts: ["+host+"]}}\n"); err == nil {
			t.Errorf("hosts may have %s", host)
		}
	}
}

// TestSecretFilesAreReadAgain changes the password and the header in files. The next request has the new ones, without a reload.
func TestSecretFilesAreReadAgain(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		seen = user + " " + password + " " + request.Header.Get("X-Key")
	}))
	defer server.Close()
	dir := writeFiles(t, map[string]string{
		"c.yml": "auths: {a: {basic_auth: {username_file: secrets/user, password_file: secrets/password}, http_headers: {X-Key: {files: [secrets/key]}}}}\n" +
			"targets: [{name: a, uri: '" + server.URL + "', auth: a}]\n",
		"secrets/user": "u\n", "secrets/password": "p\n", "secrets/key": "k\n",
	})
	target := parse(t, "--config.file", filepath.Join(dir, "c.yml")).Targets[0]
	contact(t, target)
	if seen != "u p k" {
		t.Errorf("the request has %q", seen)
	}
	for name, content := range map[string]string{"user": " v ", "password": "q", "key": "l"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	contact(t, target)
	if seen != "v q l" {
		t.Errorf("with other files, the request has %q", seen)
	}
}

// TestSecretFilesHaveALimit has files around the maximum size, and none.
func TestSecretFilesHaveALimit(t *testing.T) {
	path := filepath.Join(writeFiles(t, map[string]string{"secret": ""}), "secret")
	for size, want := range map[int64]string{
		maxFileSize - 1: "<nil>",
		maxFileSize:     "<nil>",
		maxFileSize + 1: "read " + path + ": more than 4194304 bytes",
	} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if err := checkSecretFile(path); fmt.Sprint(err) != want {
			t.Errorf("%d bytes: error %v, want %s", size, err, want)
		}
	}
	if err := checkSecretFile(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
}

// closeRecorder is the body of a request, and records that it was closed.
type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return nil
}

// TestRequestWithoutSecretIsClosed sends a request, with and without a body, whose secret is in a file that is gone.
func TestRequestWithoutSecretIsClosed(t *testing.T) {
	transport := &secretFiles{[]string{filepath.Join(t.TempDir(), "none")}, http.DefaultTransport}
	body := &closeRecorder{Reader: strings.NewReader("x")}
	for _, b := range []io.ReadCloser{body, nil} {
		request := &http.Request{URL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Body: b}
		response, err := transport.RoundTrip(request)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		if err == nil {
			response.Body.Close()
		}
	}
	if !body.closed {
		t.Error("the body is not closed")
	}
}

// idleTransport records that its idle connections were closed.
type idleTransport struct {
	http.RoundTripper
	closed bool
}

func (i *idleTransport) CloseIdleConnections() { i.closed = true }

func TestIdleConnectionsAreClosed(t *testing.T) {
	next := &idleTransport{}
	(&http.Client{Transport: &secretFiles{nil, next}}).CloseIdleConnections()
	if !next.closed {
		t.Error("the idle connections are open")
	}
}
