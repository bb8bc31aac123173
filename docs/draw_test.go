//go:build linux

package docs_test

import (
	"cmp"
	"flag"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

var drawTo = flag.String("draw", "", "directory for pictures of the dashboards")

// drawing is what a picture shows of a panel.
type drawing struct {
	Title      string
	X, Y, W, H int // in the grid of the dashboard
	Figure     string
	Lines      []line
	Max        string
}

// line is a series. Points are those of an SVG polyline of 100 by 40.
type line struct {
	Legend, Last, Color string
	Points              []string // several if there are gaps
}

// page shows the panels of a dashboard where Grafana places them.
var page = template.Must(template.New("").Parse(`<!DOCTYPE html><meta charset="utf-8"><style>
body { margin: 8px; background: #f4f5f5; font: 12px Inter, sans-serif; display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 30px; gap: 6px }
section { background: #fff; padding: 6px 8px; overflow: hidden; border: 1px solid #ddd }
h2 { font-size: 12px; margin: 0 0 2px } p { margin: 0; color: #888; white-space: nowrap }
svg { width: 100%; height: 55%; display: block; border-bottom: 1px solid #ccc } b { font-size: 22px } i { display: inline-block; width: 10px; height: 10px }
</style>{{range .}}<section style="grid-column: {{.Column}}; grid-row: {{.Row}}"><h2>{{.Title}}</h2>
{{if .Figure}}<b>{{.Figure}}</b>{{else if .Lines}}<p>{{.Max}}</p><svg viewBox="0 0 100 40" preserveAspectRatio="none">
{{range .Lines}}{{$c := .Color}}{{range .Points}}<polyline points="{{.}}" fill="none" stroke="{{$c}}" stroke-width="1.5" vector-effect="non-scaling-stroke"/>{{end}}{{end}}</svg>
{{range .Lines}}<p><i style="background: {{.Color}}"></i> {{.Legend}} <strong>{{.Last}}</strong></p>{{end}}{{else}}<p>no data</p>{{end}}
</section>{{end}}`))

// Column and Row are the place of the panel in CSS.
func (d *drawing) Column() template.CSS { return template.CSS(fmt.Sprintf("%d / span %d", d.X+1, d.W)) }

// Row is like Column.
func (d *drawing) Row() template.CSS { return template.CSS(fmt.Sprintf("%d / span %d", d.Y+1, d.H)) }

// TestDraw draws the panels of each dashboard from the Prometheus of TestQueries, one picture for each, so that a reviewer sees them
// without a Grafana.
func TestDraw(t *testing.T) {
	if *drawTo == "" {
		t.Skip("make dashboard-pictures runs it")
	}
	w := watch(t)
	browser := lab.StartBrowser(t)
	for uid, panels := range dashboards(t) {
		var drawings []*drawing
		for _, p := range panels {
			if p.GridPos.H > 0 && p.Type != "row" {
				drawings = append(drawings, w.draw(p))
			}
		}
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			if err := page.Execute(out, drawings); err != nil {
				t.Error(err)
			}
		}))
		picture := browser.Open(lab.Screen{Name: uid, Width: 1500, Height: 900}, server.URL).Screenshot(5000)
		server.Close()
		if err := os.WriteFile(filepath.Join(*drawTo, uid+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// colors are those of the lines of a panel, in order.
var colors = []string{"#3274d9", "#e0752d", "#299c46", "#b877d9", "#e02f44", "#f2cc0c", "#00a3a3", "#888888"}

// draw draws a panel.
func (w *watched) draw(p panel) *drawing {
	d := &drawing{Title: p.Title, X: p.GridPos.X, Y: p.GridPos.Y, W: p.GridPos.W, H: p.GridPos.H}
	most, end := 0.0, model.Time(0)
	var all []*model.SampleStream
	var legends []string
	for _, target := range p.Targets {
		for _, series := range w.prometheus.QueryRange(variables.Replace(target.Expr), w.begin) {
			all, legends = append(all, series), append(legends, legend(target.LegendFormat, series.Metric))
			for _, sample := range series.Values {
				end = max(end, sample.Timestamp)
				if value := float64(sample.Value); !math.IsNaN(value) && !math.IsInf(value, 0) {
					most = max(most, value)
				}
			}
		}
	}
	d.Max = "0 to " + short(most)
	for i, series := range all {
		last := short(float64(series.Values[len(series.Values)-1].Value))
		if p.Type == "stat" {
			d.Figure = last
		}
		d.Lines = append(d.Lines, line{legends[i], last, colors[i%len(colors)], w.points(series.Values, most, end)})
	}
	slices.SortStableFunc(d.Lines, func(a, b line) int { return cmp.Compare(a.Legend, b.Legend) })
	return d
}

// points returns the points of a series, in a list for each part without a gap.
func (w *watched) points(values []model.SamplePair, most float64, end model.Time) []string {
	var parts []string
	var part strings.Builder
	begin := float64(w.begin.Unix())
	for i, sample := range values {
		if i > 0 && sample.Timestamp.Sub(values[i-1].Timestamp).Seconds() > 1 {
			parts = append(parts, part.String())
			part.Reset()
		}
		x, y := 100*(float64(sample.Timestamp.Unix())-begin)/(float64(end.Unix())-begin), 40-38*float64(sample.Value)/max(most, 1e-9)
		fmt.Fprintf(&part, "%.2f,%.2f ", x, y)
	}
	return append(parts, part.String())
}

// legend returns the legend of a series: the format with the values of labels, or all labels.
func legend(format string, labels model.Metric) string {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		format = strings.ReplaceAll(format, "{{"+string(name)+"}}", string(labels[name]))
	}
	return cmp.Or(format, labels.String())
}

// short returns a number with three digits.
func short(value float64) string { return strconv.FormatFloat(value, 'g', 4, 64) }
