package web

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// handlerAt returns the handler of all pages with a prefix.
func handlerAt(t *testing.T, prefix, telemetryPath string) http.Handler {
	t.Helper()
	return newTestHandler(t, io.Discard, "-u", "unix:/no/such/socket", "--web.route-prefix", prefix, "--web.telemetry-path", telemetryPath)
}

var links = regexp.MustCompile(`href="([^"]*)"`)

// TestLinksWorkBehindProxies follows the links of the status page as a browser does: without a proxy, behind one that keeps
// the prefix, and behind one that removes it.
func TestLinksWorkBehindProxies(t *testing.T) {
	for _, test := range []struct{ name, prefix, telemetryPath, public string }{
		{"no proxy", "", "/metrics", "/"},
		{"no proxy, a deep path", "", "/deep/metrics", "/"},
		{"a prefix", "/kamailio", "/metrics", "/kamailio/"},
		{"a prefix without a slash", "/kamailio", "/metrics", "/kamailio"},
		{"the root of a prefix", "/a/kamailio", "/deep/metrics", "/"},
		{"a proxy that removes a prefix", "", "/metrics", "/removed/prefix/"},
		{"a proxy that removes one of two prefixes", "/kamailio", "/metrics", "/removed/prefix/kamailio/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := httptest.NewServer(handlerAt(t, test.prefix, test.telemetryPath))
			defer inner.Close()
			to, err := url.Parse(inner.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httptest.NewServer(http.StripPrefix("/removed/prefix", httputil.NewSingleHostReverseProxy(to)))
			defer proxy.Close()
			base := inner.URL
			if strings.HasPrefix(test.public, "/removed/prefix") {
				base = proxy.URL
			}
			response, err := http.Get(base + test.public) //nolint:noctx // the server is in this process
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			found := checkLinks(t, response.Request.URL, string(text))
			for _, want := range []string{"--back:", "kamailio_up 0", "Healthy"} {
				if !strings.Contains(found, want) {
					t.Errorf("no link leads to a page with %q, the pages are\n%s", want, found)
				}
			}
		})
	}
}

// checkLinks follows the relative links of a page, and returns the text of all pages.
func checkLinks(t *testing.T, from *url.URL, text string) string {
	t.Helper()
	var all strings.Builder
	for _, match := range links.FindAllStringSubmatch(text, -1) {
		link, err := from.Parse(html.UnescapeString(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		if link.Host != from.Host {
			continue // the documentation
		}
		status, body := get(t, http.DefaultClient, link.String())
		if status != http.StatusOK {
			t.Errorf("%s: status %d, %s", link, status, body)
		}
		all.WriteString(body)
	}
	return all.String()
}

// TestPagesAreOnlyBehindThePrefix requests the paths that the pages have without a prefix.
func TestPagesAreOnlyBehindThePrefix(t *testing.T) {
	server := httptest.NewServer(handlerAt(t, "/kamailio", "/metrics"))
	defer server.Close()
	for _, path := range []string{"/metrics", "/-/healthy", "/kamailio/nosuch"} {
		if status, _ := get(t, http.DefaultClient, server.URL+path); status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// TestMetricsInsteadOfStatusPage has the telemetry path /.
func TestMetricsInsteadOfStatusPage(t *testing.T) {
	server := httptest.NewServer(handlerAt(t, "/kamailio", "/"))
	defer server.Close()
	for _, path := range []string{"/", "/kamailio/"} {
		if status, body := get(t, http.DefaultClient, server.URL+path); status != http.StatusOK || !strings.Contains(body, "kamailio_up 0") {
			t.Errorf("%s: status %d, %s", path, status, body)
		}
	}
	status, body := get(t, http.DefaultClient, server.URL+"/kamailio/status/")
	if status != http.StatusOK || !strings.Contains(body, "<h1>Targets</h1>") {
		t.Errorf("status page: status %d, %s", status, body)
	}
}

// TestSecurityHeaders checks all kinds of responses.
func TestSecurityHeaders(t *testing.T) {
	server := httptest.NewServer(handlerAt(t, "/kamailio", "/metrics"))
	defer server.Close()
	pages := 0
	for _, test := range []struct{ method, path, body string }{
		{http.MethodGet, "/kamailio/", ""},
		{http.MethodGet, "/kamailio/status/", ""},
		{http.MethodGet, "/kamailio/status/-", ""},
		{http.MethodGet, "/kamailio/metrics", ""},
		{http.MethodHead, "/kamailio/metrics", ""},
		{http.MethodGet, "/kamailio/-/healthy", ""},
		{http.MethodGet, "/", ""},           // a redirect
		{http.MethodGet, "/nosuch", ""},     // 404
		{http.MethodPost, "/kamailio/", ""}, // 405
		{http.MethodGet, "/kamailio/metrics", "body"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		wanted := map[string]string{"X-Content-Type-Options": "nosniff"}
		if strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") && response.StatusCode == http.StatusOK {
			wanted["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
			wanted["X-Frame-Options"] = "DENY"
			wanted["Referrer-Policy"] = "no-referrer"
			pages++
		}
		for name, want := range wanted {
			if got := response.Header.Values(name); len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("%s %s: %s: header %s is %q", test.method, test.path, response.Status, name, got)
			}
		}
	}
	if pages != 3 {
		t.Errorf("%d pages are HTML, want the three status pages", pages)
	}
}

// TestConfiguredHeadersAreKept sets a header as the exporter-toolkit does.
func TestConfiguredHeadersAreKept(t *testing.T) {
	recorder := httptest.NewRecorder()
	recorder.Header().Set("X-Frame-Options", "sameorigin")
	handlerAt(t, "", "/metrics").ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if got := recorder.Header().Values("X-Frame-Options"); len(got) != 1 || got[0] != "sameorigin" {
		t.Errorf("header %q", got)
	}
}
