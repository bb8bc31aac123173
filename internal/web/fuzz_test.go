package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// FuzzQuery sends requests with any query and any timeout of Prometheus to the pages that have parameters. The status must be one of
// those that are documented, and the page what its status says.
func FuzzQuery(f *testing.F) {
	file := filepath.Join(f.TempDir(), "kamailio_exporter.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, twoTargets, "tcp://127.0.0.1:1"), 0o600); err != nil {
		f.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Parse([]string{"--config.file", file}) }
	cfg, err := load()
	if err != nil {
		f.Fatal(err)
	}
	pool := scrape.NewPool(cfg, slog.New(slog.DiscardHandler))
	f.Cleanup(func() { _ = pool.Close() })
	handler, err := NewHandler(cfg, pool, load, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}

	for i, query := range []string{
		"", "target=sbc1", "target=sbc1&module=slow", "target=down&debug=true", "target=sbc1&collect[]=tm.stats", "name[]=kamailio_up",
		"target=%00", "target=sbc1&target=down", "target=sbc1;module=slow", "collect[]=&collect[]=", "%zz", "debug=maybe", "module=" + strings.Repeat("x", 5000),
	} {
		f.Add(uint(i), query, "10")
	}
	f.Add(uint(0), "target=sbc1", "-1e308")
	f.Add(uint(1), "", "NaN")

	paths := []string{"/probe", "/metrics", "/sd"}
	statuses := map[int]bool{http.StatusOK: true, http.StatusBadRequest: true, http.StatusNotFound: true}
	f.Fuzz(func(t *testing.T, page uint, query, timeout string) {
		path := paths[page%uint(len(paths))]
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		request.URL = &url.URL{Path: path, RawQuery: query}
		request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		text := response.Body.String()
		switch {
		case !statuses[response.Code]:
			t.Fatalf("status %d: %s", response.Code, text)
		case response.Code != http.StatusOK:
			checkErrorText(t, text)
		case path == "/sd":
			if !json.Valid([]byte(text)) {
				t.Errorf("not JSON: %s", text)
			}
		case !strings.Contains(query, debugParameter):
			parser := expfmt.NewTextParser(model.LegacyValidation)
			if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
				t.Errorf("%v: %s", err, text)
			}
		}
	})
}

// checkErrorText checks that an error page is a few lines of printable text, whatever the client sent.
func checkErrorText(t *testing.T, text string) {
	t.Helper()
	if len(text) == 0 || len(text) > 16<<10 {
		t.Errorf("the error has %d bytes", len(text))
	}
	for _, r := range text {
		if r < ' ' && r != '\n' || r == 0x7f {
			t.Fatalf("the error has the character %q: %q", r, text)
		}
	}
}
