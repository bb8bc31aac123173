package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// fleet is an exporter with a configuration file.
type fleet struct {
	*httptest.Server
	handler *Handler
	pool    *scrape.Pool
	file    string
	log     *logText
	t       *testing.T
}

// logText is a log that may be written and read concurrently.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *logText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// String returns the whole log.
func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newFleet starts an exporter with the content of a configuration file.
func newFleet(t *testing.T, content string, args ...string) *fleet {
	t.Helper()
	return newFleetIn(t, t.TempDir(), content, args...)
}

// newFleetIn is like newFleet with the directory of the configuration file.
func newFleetIn(t *testing.T, dir, content string, args ...string) *fleet {
	t.Helper()
	f := &fleet{file: filepath.Join(dir, "kamailio_exporter.yml"), log: &logText{}, t: t}
	f.write(content)
	load := func() (*config.Config, error) {
		return config.Parse(append([]string{"--config.file", f.file}, args...))
	}
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(f.log, nil))
	f.pool = scrape.NewPool(cfg, logger)
	if f.handler, err = NewHandler(cfg, f.pool, load, logger); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(f.handler)
	t.Cleanup(func() {
		if err := f.pool.Close(); err != nil {
			t.Error(err)
		}
		f.Close()
	})
	return f
}

func (f *fleet) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.file, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// want gets a page and checks its status and parts of its text.
func (f *fleet) want(path string, status int, parts ...string) (text string) {
	f.t.Helper()
	got, text := get(f.t, f.Client(), f.URL+path)
	if got != status {
		f.t.Errorf("%s: status %d, want %d: %s", path, got, status, text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			f.t.Errorf("%s: %q is not in the page:\n%s", path, part, text)
		}
	}
	return text
}

// uptimeServer returns the URI of a server that replies to core.uptime.
func uptimeServer(t *testing.T, uptime int) string {
	t.Helper()
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method != "core.uptime" {
			return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
		}
		return []any{rpc.Members{{Name: "uptime", Value: uptime}}}, nil
	})
	t.Cleanup(func() { _ = server.Close() })
	return server.URI
}

const twoTargets = `
modules:
  default: {methods: [core.uptime]}
  slow: {methods: [core.uptime, tm.stats], timeout: 30s}
targets:
- {name: sbc1, uri: %q, modules: [default, slow], labels: {site: ams, role: sbc}}
- {name: down, uri: "tcp://127.0.0.1:1"}
`

func TestProbe(t *testing.T) {
	f := newFleet(t, fmt.Sprintf(twoTargets, uptimeServer(t, 42)))
	page := f.want("/probe?target=sbc1", 200, "kamailio_up 1\n", "kamailio_core_uptime_uptime_total 42\n", "kamailio_exporter_scrape_duration_seconds ", "kamailio_exporter_scrape_timeout_seconds 4.5\n")
	for _, other := range []string{"go_goroutines", "kamailio_exporter_targets", "process_", "tm.stats"} {
		if strings.Contains(page, other) {
			t.Errorf("the page has %s:\n%s", other, page)
		}
	}
	f.want("/probe?target=sbc1&module=slow", 200, "kamailio_up 1\n", `kamailio_exporter_collector_success{collector="tm.stats"} 0`)
	if page := f.want("/probe?target=sbc1&module=slow&collect[]=core.uptime", 200, "kamailio_up 1\n"); strings.Contains(page, "tm.stats") {
		t.Errorf("the page has a method that is not selected:\n%s", page)
	}
	if page := f.want("/probe?target=sbc1&name[]=kamailio_up", 200); !strings.HasSuffix(page, "kamailio_up 1\n") || strings.Count(page, "# HELP") != 1 {
		t.Errorf("want one family:\n%s", page)
	}
	f.want("/probe?target=down", 200, "kamailio_up 0\n", `kamailio_exporter_scrape_error{reason="refused"} 1`)
	own := f.want("/metrics", 200, "kamailio_exporter_targets 2\n", "kamailio_exporter_polls_running 0\n", "kamailio_exporter_requests_rejected_total 0\n",
		"kamailio_exporter_config_last_reload_successful 1\n", "kamailio_exporter_config_last_reload_success_timestamp_seconds 1.")
	if strings.Contains(own, "kamailio_up") || strings.Contains(own, "scrape_error") {
		t.Errorf("the exporter's own page has series of a target:\n%s", own)
	}
	f.want("/-/ready", 200, "Ready")
}

// TestWrongParametersGet400 also checks that a URI of a user is never connected to.
func TestWrongParametersGet400(t *testing.T) {
	connected := false
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) {
		connected = true
		return nil, nil
	})
	defer server.Close()
	f := newFleet(t, fmt.Sprintf(twoTargets, uptimeServer(t, 42)))
	for path, want := range map[string]string{
		"/probe":                                 "the parameter target is missing; the targets are sbc1, down",
		"/probe?target=":                         "the parameter target must not be empty",
		"/probe?target=sbc2":                     `there is no target "sbc2"; the targets are sbc1, down`,
		"/probe?target=" + server.URI:            "URIs are not allowed",
		"/probe?target=http://127.0.0.1/RPC":     "URIs are not allowed",
		"/probe?target=sbc1&target=down":         "the parameter target must not be repeated",
		"/probe?target=sbc1&Target=down":         `unknown parameter "Target"; the parameters are target, module, collect[], name[], debug`,
		"/probe?target=sbc1&collect=core.uptime": `unknown parameter "collect"`,
		"/probe?target=sbc1&module=none":         `no module "none"; its modules are default, slow`,
		"/probe?target=down&module=slow":         `no module "slow"; its modules are default`,
		"/probe?target=sbc1&collect[]=tm.stats":  `"tm.stats" is not a method of module default; its methods are core.uptime`,
		"/probe?target=sbc1&debug=yes":           "debug must be true or false",
		"/probe?target=sbc1;module=slow":         "the query of the URL is not valid",
		"/probe?target=%zz":                      "the query of the URL is not valid",
		"/metrics?target=sbc1":                   `unknown parameter "target"; the parameters are collect[], name[]`,
		"/metrics?collect[]=core.uptime":         "use /probe",
		"/sd?target=sbc1":                        "no parameters",
		"/probe?target=" + strings.Repeat("x", 1000) + "&auth_password=abc":     "unknown parameter",
		"/probe?target=sbc1&module=slow&module=default&collect[]=core.uptime":   "must not be repeated",
		"/probe?target=sbc1&module=slow&collect[]=core.uptime&collect[]=nosuch": `"nosuch" is not a method`,
	} {
		f.want(path, 400, want)
	}
	if connected {
		t.Error("the exporter connected to a URI of a URL")
	}
}

// TestDiscovery checks the list for Prometheus with and without an external URL.
func TestDiscovery(t *testing.T) {
	labels := func(target, scheme, path string, more ...string) map[string]string {
		all := map[string]string{"__param_target": target, "instance": target, "__scheme__": scheme, "__metrics_path__": path}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	for name, test := range map[string]struct {
		args               []string
		scheme, host, path string
	}{
		"the host of the request": {nil, "http", "", "/probe"},
		"an external URL":         {[]string{"--web.external-url=https://exporter.example.net:8443/kamailio/"}, "https", "exporter.example.net:8443", "/kamailio/probe"},
		"an external path":        {[]string{"--web.external-url=/kamailio"}, "http", "", "/kamailio/probe"},
		"a proxy that cuts paths": {[]string{"--web.external-url=https://example.net/kamailio", "--web.route-prefix=/"}, "https", "example.net", "/kamailio/probe"},
		"a prefix":                {[]string{"--web.route-prefix=/k"}, "http", "", "/k/probe"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, fmt.Sprintf(twoTargets, "unix:/run/secret/ctl"), test.args...)
			prefix := f.prefix()
			text := f.want(prefix+"/sd", 200)
			host := test.host
			if host == "" {
				host = f.Listener.Addr().String()
			}
			var got []targetGroup
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			want := []targetGroup{
				{[]string{host}, labels("sbc1", test.scheme, test.path, "site", "ams", "role", "sbc")},
				{[]string{host}, labels("down", test.scheme, test.path)},
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "tcp:") {
				t.Errorf("the list has a URI: %s", text)
			}
		})
	}
}

// prefix returns the prefix of the paths of all pages.
func (f *fleet) prefix() string {
	for _, prefix := range []string{"", "/kamailio", "/k"} {
		if status, _ := get(f.t, f.Client(), f.URL+prefix+"/-/healthy"); status == http.StatusOK {
			return prefix
		}
	}
	f.t.Fatal("no prefix works")
	return ""
}

func TestDiscoveryWithoutTargetsIsAnEmptyList(t *testing.T) {
	f := newFleet(t, "targets: []\n")
	if text := f.want("/sd", 200); text != "[]\n" {
		t.Errorf("got %q", text)
	}
	f.want("/probe?target=x", 400, "no targets are configured: list them in the file of --config.file")
}

// TestDiscoveryTakesLittleMemory has clients that do not read a long list.
func TestDiscoveryTakesLittleMemory(t *testing.T) {
	const clients, targets = 50, 10_000
	for _, encoding := range []string{"identity", "gzip"} {
		cfg := &config.Config{}
		for i := range targets {
			cfg.Targets = append(cfg.Targets, &config.Target{Name: fmt.Sprintf("target%d", i), Modules: []*config.Module{{}}})
		}
		logger := slog.New(slog.DiscardHandler)
		pool := scrape.NewPool(cfg, logger)
		defer pool.Close()
		handler := newDiscovery(config.Web{}, pool, logger)
		w := &unreadWriter{reached: make(chan struct{}, clients), read: make(chan struct{})}
		before := heap()
		var requests sync.WaitGroup
		for range clients {
			requests.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd", http.NoBody)
				r.Header.Set("Accept-Encoding", encoding)
				handler.ServeHTTP(w.forRequest(), r)
			})
		}
		for range clients {
			<-w.reached
		}
		used := int(heap()) - int(before)
		close(w.read)
		requests.Wait()
		if most := clients << 20; used > most {
			t.Errorf("%s: %d clients that do not read a list take %d bytes, want at most %d", encoding, clients, used, most)
		}
	}
}

// unreadWriter is a client that does not read until read is closed.
type unreadWriter struct {
	http.ResponseWriter
	reached chan struct{} // gets a value for each client that does not read
	read    chan struct{}
	once    *sync.Once
}

// forRequest returns a writer for one request.
func (w *unreadWriter) forRequest() http.ResponseWriter {
	return &unreadWriter{httptest.NewRecorder(), w.reached, w.read, &sync.Once{}}
}

// Write implements io.Writer.
func (w *unreadWriter) Write(part []byte) (int, error) {
	w.once.Do(func() { w.reached <- struct{}{} })
	<-w.read
	return len(part), nil
}

// TestReload changes the file, makes it wrong, and mends it.
func TestReload(t *testing.T) {
	first, second := uptimeServer(t, 1), uptimeServer(t, 2)
	target := func(name, uri string) string { return fmt.Sprintf("- {name: %s, uri: %q}\n", name, uri) }
	f := newFleet(t, "modules: {default: {methods: [core.uptime]}}\ntargets:\n"+target("a", first), "--web.enable-lifecycle")
	f.want("/probe?target=a", 200, "uptime_total 1\n", "kamailio_exporter_total_scrapes 1\n")
	f.write("modules: {default: {methods: [core.uptime]}}\ntargets:\n" + target("a", first) + target("b", second))
	f.reload(200, "")
	f.want("/probe?target=a", 200, "uptime_total 1\n", "kamailio_exporter_total_scrapes 2\n")
	f.want("/probe?target=b", 200, "uptime_total 2\n", "kamailio_exporter_total_scrapes 1\n")
	if requests := f.handler.MaxRequests(); requests != 42 {
		t.Errorf("at most %d requests are answered at the same time, want 40 and one for each target", requests)
	}
	f.write("modules: {default: {methods: [core.uptime]}}\ntargets:\n" + target("b", second) + "- {name: a}\n")
	f.reload(500, f.file+":4: the target must have the key uri")
	f.want("/metrics?name[]=kamailio_exporter_config_last_reload_successful", 200, "kamailio_exporter_config_last_reload_successful 0\n")
	f.want("/probe?target=a", 200, "uptime_total 1\n", "kamailio_exporter_total_scrapes 3\n")
	f.write("modules: {default: {method: []}}\nauths: {a: {host: []}}\n")
	f.reload(500, f.file+":2: unknown key")
	for line := 1; line <= 2; line++ {
		if want := fmt.Sprintf("err=\"%s:%d: unknown key", f.file, line); strings.Count(f.log.String(), want) != 1 {
			t.Errorf("the log does not have a line with %s: %s", want, f.log)
		}
	}
	f.write("modules: {default: {methods: [core.uptime]}}\ntargets:\n" + target("b", second))
	if err := f.handler.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	f.want("/probe?target=a", 400, `there is no target "a"`)
	f.want("/probe?target=b", 200, "kamailio_exporter_total_scrapes 2\n")
	if status, text := get(t, f.Client(), f.URL+"/-/reload"); status != http.StatusMethodNotAllowed {
		t.Errorf("GET of the page that reloads: status %d: %s", status, text)
	}
}

// reload sends a request for a reload.
func (f *fleet) reload(status int, part string, headers ...string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.URL+"/-/reload", http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := f.Client().Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status || !strings.Contains(string(text), part) {
		f.t.Errorf("reload: status %d, want %d; error %v: %s", response.StatusCode, status, err, text)
	}
}

func TestReloadIsRefused(t *testing.T) {
	f := newFleet(t, "targets: []\n")
	f.reload(403, "not enabled")
	f = newFleet(t, "targets: []\n", "--web.enable-lifecycle")
	f.reload(403, "other sites", "Sec-Fetch-Site", "cross-site")
	f.reload(403, "other sites", "Origin", "https://evil.example.net")
	f.reload(200, "", "Origin", f.URL)
	f.reload(200, "")
}

// TestReloadsRunOneAfterAnother has a reload wait for another one.
func TestReloadsRunOneAfterAnother(t *testing.T) {
	f := newFleet(t, "targets: []\n")
	load := f.handler.reloader.load
	running, start, end := 0, make(chan struct{}), make(chan struct{})
	f.handler.reloader.load = func() (*config.Config, error) {
		running++
		if running > 1 {
			t.Error("two reloads run at the same time")
		}
		start <- struct{}{}
		<-end
		running--
		return load()
	}
	var reloads sync.WaitGroup
	for range 2 {
		reloads.Go(func() {
			if err := f.handler.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	<-start
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.handler.Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a reload that cannot wait: error %v", err)
	}
	end <- struct{}{}
	<-start
	end <- struct{}{}
	reloads.Wait()
}

// TestDebug checks that the page has the story and the metrics, and no character that a terminal would act on.
func TestDebug(t *testing.T) {
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method == "core.info" {
			return []any{rpc.Members{{Name: "version", Value: "kamailio \x1b[2J\u202e6.0"}}}, nil
		}
		return nil, &rpc.Fault{Code: 500, Reason: "no\x1b]0;title\x07"}
	})
	defer server.Close()
	f := newFleet(t, fmt.Sprintf("modules: {default: {methods: [core.info, core.uptime]}}\ntargets: [{name: a, uri: %q}]\n", server.URI))
	page := f.want("/probe?target=a&debug=true", 200, "Target: a\n", "Settings of the module: methods\n", `no\x1b]0;title\a`,
		"\nMetrics:\n", "\nkamailio_up 1\n")
	for _, character := range page {
		if character != '\n' && (character < ' ' || character == '\u202e' || character == 0x7f) {
			t.Fatalf("the page has the character %q:\n%s", character, page)
		}
	}
	response, err := f.Client().Get(f.URL + "/probe?target=a&debug=true") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("the type is %s", got)
	}
}

// TestNoPasswordOnAnyPage has credentials in the file and a server that refuses them.
func TestNoPasswordOnAnyPage(t *testing.T) {
	const password, token = "s3cret-pass", "s3cret-token"
	kamailio := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer kamailio.Close()
	t.Setenv("NOC_PASSWORD", password)
	f := newFleet(t, fmt.Sprintf(`
auths:
  noc: {basic_auth: {username: noc, password: $NOC_PASSWORD}}
  page: {authorization: {credentials: %s}}
targets:
- {name: a, uri: "%s/RPC", auth: noc, xhttp_prom_url: "%s/metrics", xhttp_prom_auth: page}
`, token, kamailio.URL, kamailio.URL), "--config.expand-environment", "--web.enable-lifecycle")
	text := f.want("/probe?target=a&debug=true", 200, "Auth: noc\n", "auth of target a") +
		f.want("/probe?target=a", 200, "kamailio_up 0\n") + f.want("/sd", 200) + f.want("/metrics", 200) + f.want("/", 200, "401") + f.want("/status/", 200, "the credentials were refused") +
		f.want("/probe?target=b", 400) + f.log.String() + fmt.Sprintf("%+v", f.pool.Configs()[0])
	f.write("auths: {noc: {basic_auth: {username: [], password: " + password + "}, bearer_token: " + token + "}}\n")
	err := f.handler.Reload(t.Context())
	text += fmt.Sprint(err) + f.log.String()
	for _, secret := range []string{password, token, "bm9jOnMzY3JldC1wYXNz"} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a page or the log has %s: %s", secret, text[max(0, i-200):i+20])
		}
	}
}

// TestOneTargetLeavesPlacesForOthers has more requests for a target that hangs than the exporter answers at the same time.
func TestOneTargetLeavesPlacesForOthers(t *testing.T) {
	asked, wait := make(chan struct{}, 100), make(chan struct{})
	server := binrpctest.NewServer(func(ctx context.Context, _ rpc.Call) ([]any, error) {
		asked <- struct{}{}
		select {
		case <-wait:
		case <-ctx.Done():
		}
		return []any{rpc.Members{{Name: "uptime", Value: 1}}}, nil
	})
	defer server.Close()
	f := newFleet(t, fmt.Sprintf("modules: {default: {methods: [core.uptime], timeout: 1h}}\ntargets:\n- {name: hangs, uri: %q}\n- {name: works, uri: %q}\n",
		server.URI, uptimeServer(t, 1)), "--web.max-requests=6")
	const requests = 12
	statuses := make(chan int, requests)
	for range requests {
		go func() {
			status, _ := get(t, f.Client(), f.URL+"/probe?target=hangs")
			statuses <- status
		}()
	}
	<-asked
	refused := []int{}
	for range requests - 5 {
		refused = append(refused, <-statuses)
	}
	if slices.ContainsFunc(refused, func(status int) bool { return status != http.StatusServiceUnavailable }) {
		t.Errorf("statuses %v, want 503", refused)
	}
	f.want("/probe?target=works", 200, "kamailio_up 1\n")
	close(wait)
	for range 5 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d, want 200", status)
		}
	}
	f.want("/metrics?name[]=kamailio_exporter_requests_rejected_total", 200, "kamailio_exporter_requests_rejected_total 7\n")
}

// TestTargetOfTheFlagBesideAFile has --kamailio.scrape-uri and a file with targets.
func TestTargetOfTheFlagBesideAFile(t *testing.T) {
	f := newFleet(t, fmt.Sprintf(twoTargets, uptimeServer(t, 42)), "-u", uptimeServer(t, 7))
	f.want("/metrics", 200, "kamailio_up 1\n", "uptime_total 7\n", "kamailio_exporter_targets 3\n", "go_goroutines ")
	f.want("/metrics?collect[]=core.uptime", 200, "uptime_total 7\n")
	f.want("/metrics?collect[]=tm.stats", 400, `"tm.stats" is not a method of module default`)
	if text := f.want("/sd", 200); strings.Count(text, "__param_target") != 2 {
		t.Errorf("the list has a target without a name: %s", text)
	}
}

// closedOnce is a target that a reload has replaced by another one.
type closedOnce struct {
	noTarget
	next scraper
}

// Scrape implements scraper.
func (closedOnce) Scrape(context.Context) (scrape.Scraped, error) {
	return scrape.Scraped{}, scrape.ErrClosed
}

// TestProbeDuringReloads has many reloads replace the target, each after the choice of the target. Then the target is closed and
// not replaced.
func TestProbeDuringReloads(t *testing.T) {
	var next scraper = noTarget{}
	for i := range 20 {
		next = &closedOnce{next: next}
		current := next
		h := &metricsHandler{find: func(url.Values) (scraper, error) {
			if closed, ok := current.(*closedOnce); ok {
				current = closed.next
			}
			return current, nil
		}}
		if _, err := h.scrape(t.Context(), next, nil); err != nil {
			t.Errorf("after %d reloads: %v", i+1, err)
		}
	}
	h := &metricsHandler{find: func(url.Values) (scraper, error) { return next, nil }}
	if _, err := h.scrape(t.Context(), next, nil); !errors.Is(err, scrape.ErrClosed) {
		t.Errorf("a target that stays closed: error %v, want %v", err, scrape.ErrClosed)
	}
}

// deadlineWriter records the write deadlines of a response.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

// SetWriteDeadline implements the method that http.ResponseController calls.
func (w *deadlineWriter) SetWriteDeadline(deadline time.Time) error {
	w.deadlines = append(w.deadlines, deadline)
	return nil
}

// TestWriteDeadlineIsAfterTheWait checks that a reload with a longer timeout does not need another timeout of the server, which
// does not change.
func TestWriteDeadlineIsAfterTheWait(t *testing.T) {
	f := newFleet(t, "modules: {default: {methods: [core.uptime], timeout: 30m}}\ntargets: [{name: a, uri: 'tcp://127.0.0.1:1'}]\n")
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	ends := time.Now().Add(30 * time.Minute)
	f.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/probe?target=a", http.NoBody))
	if len(w.deadlines) == 0 || w.deadlines[0].Before(ends) {
		t.Errorf("the write deadlines are %v, want the first one after %v", w.deadlines, ends)
	}
}

// TestProbeAfterReplacement has a reload replace the target between the choice of the target and the scrape.
func TestProbeAfterReplacement(t *testing.T) {
	first, second := uptimeServer(t, 1), uptimeServer(t, 2)
	content := "modules: {default: {methods: [core.uptime]}}\ntargets: [{name: a, uri: %q}]\n"
	f := newFleet(t, fmt.Sprintf(content, first))
	old := f.pool.Target("a")
	f.write(fmt.Sprintf(content, second))
	if err := f.handler.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &metricsHandler{find: func(url.Values) (scraper, error) { return f.pool.Target("a").Select("", nil) }}
	selection, err := old.Select("", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	scraped, err := h.scrape(ctx, selection, nil)
	if err != nil || scraped.Set.Size() == 0 {
		t.Errorf("error %v", err)
	}
}
