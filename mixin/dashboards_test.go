package mixin

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofOthers are the types of series of Prometheus and of the libraries of the exporter, with which dashboards show its cost.
var ofOthers = map[string]string{
	"scrape_duration_seconds": "gauge", "scrape_samples_scraped": "gauge", "process_cpu_seconds_total": "counter",
	"process_resident_memory_bytes": "gauge", "process_open_fds": "gauge", "go_goroutines": "gauge",
}

// ofOldKamailios are series that are kept for old dashboards, and that the dashboards use for Kamailio 5.6, which has no others.
var ofOldKamailios = []string{"kamailio_core_tcp_info_opened_tls_connections", "kamailio_core_tcp_info_max_tls_connections"}

// grafana replaces the variables of the dashboards.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$site", ".*", "$instance", ".*", "$setid", ".*")

// inLegend matches a label in the legend of a series or the title of an annotation.
var inLegend = regexp.MustCompile(`{{(\w+)}}`)

// TestDashboardSeries checks that docs/metrics.md has every series and label in the queries and legends of the dashboards.
func TestDashboardSeries(t *testing.T) {
	c := checker{families(t), samples(t)}
	for name, kind := range ofOthers {
		c.families[name] = family{kind: kind}
	}
	for _, name := range ofOldKamailios {
		f := c.families[name]
		f.legacy = false
		c.families[name] = f
	}
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	for _, file := range files {
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
			Annotations struct {
				List []struct{ Name, Expr, TitleFormat string }
			}
		}
		if err := json.Unmarshal([]byte(readFile(t, file)), &dashboard); err != nil {
			t.Fatal(err)
		}
		check := func(what, expr, legend string) {
			known, err := c.check(grafana.Replace(expr))
			if err != nil {
				t.Errorf("%s: %s: %v: %s", file, what, err, expr)
				return
			}
			for _, match := range inLegend.FindAllStringSubmatch(legend, -1) {
				if !slices.Contains(known, match[1]) {
					t.Errorf("%s: %s: no series of the query has the label %s", file, what, match[1])
				}
			}
		}
		for _, p := range dashboard.Panels {
			for _, target := range p.Targets {
				check(p.Title, target.Expr, target.LegendFormat)
			}
		}
		for _, a := range dashboard.Annotations.List {
			check(a.Name, a.Expr, a.TitleFormat)
		}
	}
}
