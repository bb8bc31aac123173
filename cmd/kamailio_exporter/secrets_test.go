//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// secrets are the secrets that a test has planted, by the place where each is.
type secrets struct {
	t  *testing.T
	of map[string]string

	mu   sync.Mutex
	used map[string]bool
}

// plant returns a new secret for a place.
func (s *secrets) plant(place string) string {
	secret := fmt.Sprintf("planted%dSecret", len(s.of))
	s.of[place] = secret
	return secret
}

// see marks the secrets of a request to a server as used.
func (s *secrets) see(request *http.Request) {
	dump, err := httputil.DumpRequest(request, false)
	if err != nil {
		s.t.Error(err)
	}
	_, password, _ := request.BasicAuth()
	s.mu.Lock()
	defer s.mu.Unlock()
	for place, secret := range s.of {
		if strings.Contains(string(dump)+password, secret) {
			s.used[place] = true
		}
	}
}

// checkUsed checks that the exporter sent a secret to a server. Otherwise it could not show it by mistake.
func (s *secrets) checkUsed(places ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, place := range places {
		if !s.used[place] {
			s.t.Errorf("the secret of %s was not sent to the server", place)
		}
	}
}

// checkAbsent checks that a text has no secret, as it is or in the header of Basic authentication.
func (s *secrets) checkAbsent(where, text string) {
	s.t.Helper()
	for place, secret := range s.of {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte("noc:" + secret))} {
			if i := strings.Index(text, form); i >= 0 {
				s.t.Errorf("%s has the secret of %s: %q", where, place, text[max(0, i-100):i+len(form)])
			}
		}
	}
}

// registrations is a reply of uac.reg_dump, with the secrets of an account.
func (s *secrets) registrations() []any {
	return []any{rpc.Members{
		{Name: "l_uuid", Value: "1"}, {Name: "l_username", Value: "alice"}, {Name: "l_domain", Value: "example.net"},
		{Name: "r_username", Value: "alice"}, {Name: "r_domain", Value: "example.org"}, {Name: "realm", Value: "example.org"},
		{Name: "auth_username", Value: "alice"}, {Name: "auth_password", Value: s.of["auth_password"]}, {Name: "auth_ha1", Value: s.of["auth_ha1"]},
		{Name: "auth_proxy", Value: "sip:192.0.2.1"}, {Name: "expires", Value: 360}, {Name: "flags", Value: 20}, {Name: "diff_expires", Value: 100},
		{Name: "timer_expires", Value: 1}, {Name: "reg_init", Value: 1}, {Name: "reg_delay", Value: 0}, {Name: "contact_addr", Value: "192.0.2.2"},
	}}
}

// servers starts servers that reply with the registrations, and returns the URIs of those for BINRPC and HTTP. The HTTP server repeats
// the headers of a request if it refuses it, and in a page that is not JSON-RPC.
func (s *secrets) servers() (binrpcURI, httpURL string) {
	replies := func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method != "uac.reg_dump" {
			return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
		}
		return s.registrations(), nil
	}
	kamailio := binrpctest.NewServer(replies)
	s.t.Cleanup(func() { kamailio.Close() })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.see(r)
		w.Header().Set("X-Repeated", r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/RPC":
			s.replyJSON(w, r)
		case "/metrics":
			_, _ = io.WriteString(w, "calls_total 1\n")
		case "/refuse":
			w.WriteHeader(http.StatusUnauthorized)
			fallthrough
		default:
			_, _ = fmt.Fprint(w, r.URL, r.Header)
		}
	}))
	s.t.Cleanup(web.Close)
	return kamailio.URI, web.URL
}

func (s *secrets) replyJSON(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Method string `json:"method"`
		ID     int    `json:"id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		s.t.Error(err)
	}
	if request.Method != "uac.reg_dump" {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%d}`, request.ID)
		return
	}
	value, err := rpc.ValueOf(s.registrations()...)
	if err != nil {
		s.t.Error(err)
	}
	text, err := value.MarshalJSON()
	if err != nil {
		s.t.Error(err)
	}
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","result":%s,"id":%d}`, text, request.ID)
}

// secretConfig is a configuration file with a secret in each place where one can be. The first target of each auth replies, the others
// do not.
const secretConfig = `
modules:
  default: {methods: [uac.reg_dump], custom_metrics: [texts], timeout: 30s}
custom_metrics:
  texts:
    method: uac.reg_dump
    rows: '.. | strings'
    metrics: [{name: planted_text, type: gauge, help: Every text of the reply., labels: {text: .}, value: '1'}]
auths:
  password: {basic_auth: {username: noc, password: %[1]s}}
  password_file: {basic_auth: {username: noc, password_file: password}}
  environment: {basic_auth: {username: noc, password: $PLANTED_PASSWORD}}
  credentials: {authorization: {credentials: %[2]s}}
  bearer: {bearer_token: %[3]s}
  header: {http_headers: {X-Api-Key: {secrets: [%[4]s]}}}
  page: {basic_auth: {username: noc, password: %[5]s}}
targets:
- {name: binrpc, uri: %[6]q}
- {name: password, uri: "%[7]s/RPC", auth: password, xhttp_prom_url: "%[7]s/metrics?key=%[8]s", xhttp_prom_auth: page}
- {name: password_file, uri: "%[7]s/RPC?key=%[9]s", auth: password_file}
- {name: environment, uri: "%[7]s/RPC", auth: environment}
- {name: credentials, uri: "%[7]s/RPC", auth: credentials}
- {name: bearer, uri: "%[7]s/RPC", auth: bearer}
- {name: header, uri: "%[7]s/RPC", auth: header}
- {name: refused, uri: "%[7]s/refuse?key=%[9]s", auth: password, xhttp_prom_url: "%[7]s/refuse?key=%[8]s", xhttp_prom_auth: page}
- {name: other, uri: "%[7]s/other?key=%[9]s", auth: header}
- {name: closed, uri: "http://127.0.0.1:1/RPC?key=%[9]s", auth: bearer}
`

// TestSecretsAreNotShown plants a secret in each place where one can be, and looks for all of them on each page, in the log and in the
// output of each command.
func TestSecretsAreNotShown(t *testing.T) {
	s := &secrets{t: t, of: map[string]string{"the hash of the exporter's password": secretHash}, used: map[string]bool{}}
	for _, place := range []string{"auth_password", "auth_ha1"} {
		s.plant(place)
	}
	binrpcURI, httpURL := s.servers()
	file := writeConfig(t, "")
	writeFile(t, filepath.Join(filepath.Dir(file), "password"), []byte(s.plant("password_file")))
	t.Setenv("PLANTED_PASSWORD", s.plant("environment"))
	config := fmt.Sprintf(secretConfig, s.plant("password"), s.plant("credentials"), s.plant("bearer"), s.plant("header"), s.plant("page"),
		binrpcURI, httpURL, s.plant("the page's URL"), s.plant("the URL"))
	writeFile(t, file, []byte(config))
	web := filepath.Join(t.TempDir(), "web.yml")
	writeFile(t, web, fmt.Appendf(nil, "basic_auth_users: {prometheus: %q}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n", secretHash))
	flags := []string{"--config.file", file, "--config.expand-environment"}

	e := start(t, append(flags, "--web.config.file", web, "--web.enable-lifecycle", "--log.level", "debug")...)
	e.url = strings.Replace(e.url, "http://", "http://prometheus:secret@", 1)
	for _, name := range targetNames(config) {
		e.checkPages(s, "/probe?target="+name, "/probe?target="+name+"&debug=true", "/status/"+name)
	}
	s.checkUsed("password", "password_file", "environment", "credentials", "bearer", "header", "page", "the page's URL", "the URL")
	if _, body := e.get("/probe?target=binrpc"); !strings.Contains(string(body), `planted_text{text="example.net"} 1`) {
		t.Errorf("the texts of the reply are not on the page:\n%s", body)
	}
	request := s.plant("a request")
	e.checkPages(s, "/", "/status/", "/metrics", "/sd", "/nosuch", "/probe?auth_password="+request, "/probe?target=password&debug="+request)

	s.plant("a configuration file that is not valid")
	writeFile(t, file, []byte("auths: {noc: {basic_auth: {username: [], password: "+s.of["password"]+"}, bearer_token: "+s.of["a configuration file that is not valid"]+"}}\n"))
	response, body := e.request(http.MethodPost, "/-/reload")
	s.checkAbsent("the response to a reload", string(body))
	if response.StatusCode < 400 {
		t.Errorf("a reload with a file that is not valid: %s", response.Status)
	}
	e.checkPages(s, "/", "/status/", "/metrics")
	checkCommands(s, append(flags, "--config.check"))
	writeFile(t, file, []byte(config))
	checkCommands(s, append(flags, "--config.check"), append([]string{"check"}, flags...))
	for _, name := range targetNames(config) {
		checkCommands(s, append(flags, "--once", "--target", name, "--log.level", "debug"), append([]string{"check", "--target", name}, flags...))
	}
	reply := filepath.Join(t.TempDir(), "reply.json")
	value, err := rpc.ValueOf(s.registrations()...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := value.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, reply, text)
	checkCommands(s, []string{"custom-metrics", "test", "--config.file", file, "--reply", reply, "texts"})
	s.checkAbsent("the log", e.log.String())
}

// targetNames returns the names of the targets of a configuration file.
func targetNames(config string) []string {
	var names []string
	for _, part := range strings.Split(config, "- {name: ")[1:] {
		name, _, _ := strings.Cut(part, ",")
		names = append(names, name)
	}
	return names
}

// checkPages requests pages in each format with secrets in the headers, and checks that neither the pages nor their headers have one.
func (e *exporter) checkPages(s *secrets, paths ...string) {
	e.t.Helper()
	for _, path := range paths {
		for _, accept := range []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
			response, body := e.get(path, "Accept", accept, "Cookie", s.of["password"], "X-Api-Key", s.of["header"], "Accept-Encoding", "identity")
			s.checkAbsent(path, fmt.Sprint(response.Status, response.Header, string(body)))
		}
	}
}

// checkCommands runs command lines of the exporter and checks that their output has no secret.
func checkCommands(s *secrets, lines ...[]string) {
	s.t.Helper()
	for _, args := range lines {
		cmd := command(s.t.Context(), args...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		output, err := cmd.CombinedOutput()
		if len(output) == 0 {
			s.t.Errorf("%q has no output: %v", args, err)
		}
		s.checkAbsent(fmt.Sprintf("the output of %q", args), string(output))
	}
}
