package config

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestRoutePrefix expects the same prefixes as Prometheus and blackbox_exporter have for these flags.
func TestRoutePrefix(t *testing.T) {
	for _, test := range []struct{ external, prefix, want string }{
		{"", "", ""},
		{"", "/", ""},
		{"", "kamailio", "/kamailio"},
		{"", "/kamailio/", "/kamailio"},
		{"", "/a/b", "/a/b"},
		{"https://example.net", "", ""},
		{"https://example.net/", "", ""},
		{"https://example.net/kamailio", "", "/kamailio"},
		{"https://example.net:8443/a/b/", "", "/a/b"},
		{"/kamailio/", "", "/kamailio"},
		{"https://example.net/kamailio", "/", ""},
		{"https://example.net/kamailio", "/inside", "/inside"},
	} {
		external, err := parseExternalURL(test.external)
		if err != nil {
			t.Errorf("%s: %v", test.external, err)
			continue
		}
		if got, err := routePrefix(test.prefix, external); err != nil || got != test.want {
			t.Errorf("external URL %q, prefix %q: got %q, %v, want %q", test.external, test.prefix, got, err, test.want)
		}
	}
	for _, bad := range []string{"example.net", "example.net/kamailio", "ftp://example.net/", "http://", "http:kamailio", "//example.net/kamailio", `"http://example.net"`,
		"https://u:secret@example.net/", "https://u:secret%zz@x/", "https://example.net/?a=secret", "https://example.net/#secret", "http://secret\x7f/"} {
		if _, err := parseExternalURL(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	for _, bad := range []string{"/a//b", "/a/../b", "/a b", "/{a}", "/a?b", "/a%20b"} {
		if _, err := routePrefix(bad, &url.URL{}); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestPagePaths has values of --web.telemetry-path that are accepted, and errors.
func TestPagePaths(t *testing.T) {
	const other = " is that of another page: it must not be /probe, /sd, /style.css or start with /-/ or /status/"
	for path, want := range map[string]string{
		"/metrics":    "<nil>",
		"/metrics/":   "<nil>",
		"/":           "<nil>",
		"/probes":     "<nil>",
		"/status":     "<nil>",
		"metrics":     `the path "metrics" must start with a slash`,
		"":            `the path "" must start with a slash`,
		"/a//b":       `the path "/a//b" must not have //, {, }, ?, #, % or a space in it`,
		"/a b":        `the path "/a b" must not have //, {, }, ?, #, % or a space in it`,
		"/a/../b":     `the path "/a/../b" must not have . or .. in it`,
		"/a/./":       `the path "/a/./" must not have . or .. in it`,
		"/probe":      `the path "/probe"` + other,
		"/sd":         `the path "/sd"` + other,
		"/style.css":  `the path "/style.css"` + other,
		"/-/healthy":  `the path "/-/healthy"` + other,
		"/status/sbc": `the path "/status/sbc"` + other,
	} {
		if err := checkPagePath(path); fmt.Sprint(err) != want {
			t.Errorf("%q: error %v, want %s", path, err, want)
		}
	}
}
