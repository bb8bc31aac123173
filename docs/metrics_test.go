package docs_test

import (
	"bytes"
	"flag"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web"
)

var update = flag.Bool("update", false, "write the generated documentation anew")

// TestMetrics compares metrics.md with what the program has.
func TestMetrics(t *testing.T) {
	var got bytes.Buffer
	golden := goldenFiles(t)
	page := template.New("metrics.md.tmpl").Funcs(template.FuncMap{
		"anchor":  anchor,
		"flag":    config.SettingName,
		"capital": func(text string) string { return strings.ToUpper(text[:1]) + text[1:] },
		"cell":    func(text string) string { return strings.ReplaceAll(text, "|", `\|`) },
		"join":    func(words []string) string { return strings.Join(words, ", ") },
		"seen":    func(name string) []string { return seenOn(golden, name) },
		"sorted":  byName,
		"unit":    unit,
	})
	page = template.Must(page.ParseFiles("testdata/metrics.md.tmpl"))
	if err := page.Execute(&got, map[string]any{"Exporter": scrape.Metrics(), "SIP": scrape.SIPMetrics(), "Host": scrape.HostMetrics(), "Own": ownFamilies(t), "Sections": sections()}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("metrics.md", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readPage(t, "metrics.md") != got.String() {
		t.Error("metrics.md is stale: run go test ./docs -update, and look at what it changed")
	}
}

// family is a family of series on the page of the exporter itself.
type family struct {
	Name, Type, Help string
	Labels           []string
}

// clientFamily matches the families of client_golang, which have documentation of their own.
var clientFamily = regexp.MustCompile(`^(go|process|promhttp)_`)

// ownFamilies returns the families on a page of an exporter with a configuration file, sorted by name.
func ownFamilies(t *testing.T) []family {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	if err := os.WriteFile(file, []byte("targets: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Parse([]string{"--config.file", file}) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	pool := scrape.NewPool(cfg, slog.New(slog.DiscardHandler))
	defer pool.Close()
	handler, err := web.NewHandler(cfg, pool, load, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	var families []family
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if clientFamily.MatchString(name) {
			continue
		}
		f := family{Name: name, Type: strings.ToLower(found[name].GetType().String()), Help: found[name].GetHelp()}
		for _, label := range found[name].Metric[0].Label {
			f.Labels = append(f.Labels, label.GetName())
		}
		families = append(families, f)
	}
	return families
}

// entry is a method with some of its families.
type entry struct {
	*collector.Collector
	Families []*metric.Desc
}

// statistic matches the group of a statistic in the help of its family.
var statistic = regexp.MustCompile(`Statistics? (\w+)\.`)

// sections returns the methods by Kamailio module. Families of stats.fetch belong to the group of their statistics, which as a
// rule has a module's name.
func sections() map[string][]*entry {
	all := map[string][]*entry{}
	for _, c := range collector.All {
		entries := map[string]*entry{}
		for _, desc := range c.Metrics {
			section := c.Module
			if match := statistic.FindStringSubmatch(desc.Help); match != nil {
				section = match[1]
			}
			if entries[section] == nil {
				entries[section] = &entry{Collector: c}
				all[section] = append(all[section], entries[section])
			}
			entries[section].Families = append(entries[section].Families, desc)
		}
	}
	return all
}

func byName(descs []*metric.Desc) []*metric.Desc {
	return slices.SortedFunc(slices.Values(descs), func(a, b *metric.Desc) int { return strings.Compare(a.Name, b.Name) })
}

// unit returns what the values count, where the name or the help says so.
func unit(desc *metric.Desc) string {
	name := strings.TrimSuffix(desc.Name, "_total")
	for _, unit := range []string{"seconds", "bytes", "ratio"} {
		if strings.HasSuffix(name, "_"+unit) || strings.HasPrefix(strings.ToLower(desc.Help), unit) {
			return unit
		}
	}
	return ""
}

// goldenFiles returns the contents of the golden files of the collectors by path.
func goldenFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../internal/collector/testdata/*/*.prom")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := map[string]string{}
	for _, file := range files {
		all[file] = readPage(t, file)
	}
	return all
}

// seenOn returns the versions of Kamailio whose golden files have a family.
func seenOn(golden map[string]string, name string) []string {
	var versions []string
	for _, file := range slices.Sorted(maps.Keys(golden)) {
		if strings.Contains(golden[file], "# TYPE "+name+" ") {
			versions = append(versions, strings.Replace(filepath.Base(filepath.Dir(file)), "built", "source", 1))
		}
	}
	return slices.Compact(versions)
}
