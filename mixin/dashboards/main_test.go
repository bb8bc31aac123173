package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// TestFiles checks that the files are those that the program writes.
func TestFiles(t *testing.T) {
	var want []string
	for _, b := range dashboards() {
		name, content, err := file(b)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s is not what make dashboards writes: %v", name, err)
		}
	}
	slices.Sort(want)
	if files, err := filepath.Glob("*.json"); err != nil || !slices.Equal(files, want) {
		t.Errorf("the files are %q, %v, want %q", files, err, want)
	}
}

// TestPanels checks what a reader of a dashboard needs: each panel has a title of its own, a description that is a sentence, a unit if
// it shows numbers, and a place of its own.
func TestPanels(t *testing.T) {
	for _, b := range dashboards() {
		d, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		t.Run(*d.Uid, func(t *testing.T) {
			titles, taken := map[string]bool{}, map[[2]uint32]string{}
			for _, p := range d.Panels {
				if p.Panel == nil {
					continue
				}
				checkPanel(t, p.Panel)
				if titles[*p.Panel.Title] {
					t.Errorf("two panels have the title %q", *p.Panel.Title)
				}
				titles[*p.Panel.Title] = true
				checkPlace(t, p.Panel, taken)
			}
		})
	}
}

func checkPanel(t *testing.T, p *dashboard.Panel) {
	t.Helper()
	if p.Description == nil || !strings.HasSuffix(*p.Description, ".") {
		t.Errorf("panel %q has no description that ends with a period", *p.Title)
	}
	numbers := p.Type == "timeseries" || p.Type == "stat"
	if numbers && (p.FieldConfig.Defaults.Unit == nil || *p.FieldConfig.Defaults.Unit == "") {
		t.Errorf("panel %q has no unit", *p.Title)
	}
	if len(p.Targets) == 0 {
		t.Errorf("panel %q has no query", *p.Title)
	}
	legends := map[string]bool{}
	for _, target := range p.Targets {
		query, ok := target.(prometheus.Dataquery)
		if !ok {
			t.Fatalf("panel %q has a query of type %T", *p.Title, target)
		}
		if strings.Contains(query.Expr, "SELECTOR") || !strings.Contains(query.Expr, `job=~"$job"`) {
			t.Errorf("panel %q has a query that does not select jobs: %s", *p.Title, query.Expr)
		}
		if query.LegendFormat == nil {
			continue
		}
		if legends[*query.LegendFormat] {
			t.Errorf("panel %q has the legend %q twice", *p.Title, *query.LegendFormat)
		}
		legends[*query.LegendFormat] = true
	}
}

// checkPlace checks that a panel covers no cell of another one, and ends within the 24 columns.
func checkPlace(t *testing.T, p *dashboard.Panel, taken map[[2]uint32]string) {
	t.Helper()
	place := p.GridPos
	if place.X+place.W > full {
		t.Errorf("panel %q ends at column %d", *p.Title, place.X+place.W)
	}
	for x := place.X; x < place.X+place.W; x++ {
		for y := place.Y; y < place.Y+place.H; y++ {
			if other := taken[[2]uint32{x, y}]; other != "" {
				t.Fatalf("panel %q covers panel %q", *p.Title, other)
			}
			taken[[2]uint32{x, y}] = *p.Title
		}
	}
}
