package docs_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
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
	if err := page.Execute(&got, map[string]any{"Exporter": scrape.Metrics(), "Sections": sections()}); err != nil {
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
