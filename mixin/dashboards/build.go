package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const project = "https://github.com/kamailio-exporter/kamailio_exporter/blob/main/"

// selector stands in a query as SELECTOR. The label site is one that the user gives to targets; series without it match "All".
const selector = `job=~"$job",site=~"$site",instance=~"$instance"`

// Widths and heights of panels. A row has 24 columns.
const (
	third, half, full = 8, 12, 24
	statHeight        = 4
	graphHeight       = 8
)

// The format of dashboards that all versions of Grafana import. Those before 12 do not read its successor.
type (
	model   = dashboard.Dashboard        //nolint:staticcheck // see above
	builder = dashboard.DashboardBuilder //nolint:staticcheck // see above
)

// source is the data source that the user chooses.
var source = common.DataSourceRef{Type: new("prometheus"), Uid: new("$datasource")}

// query is a query of a panel with the legend of its series.
type query struct{ expr, legend string }

func (q query) expression() string { return strings.ReplaceAll(q.expr, "SELECTOR", selector) }

// newDashboard returns an empty dashboard with the variables of all.
func newDashboard(uid, title, description string, variables ...cog.Builder[dashboard.VariableModel]) *builder {
	d := dashboard.NewDashboardBuilder("Kamailio / " + title) //nolint:staticcheck // see model
	d.Uid(uid).
		Description(description).
		Tags([]string{"kamailio"}).
		Refresh("30s").
		Time("now-3h", "now").
		Timezone(common.TimeZoneBrowser).
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Kamailio").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"kamailio"}).
			AsDropdown(true).IncludeVars(true).KeepTime(true)).
		Link(dashboard.NewDashboardLinkBuilder("Runbooks").Type(dashboard.DashboardLinkTypeLink).Url(project + "docs/alerts.md").TargetBlank(true)).
		Annotation(restarts).
		Annotation(versions).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(labelVariable("job", "Job", `kamailio_up`)).
		WithVariable(labelVariable("site", "Site", `kamailio_up{job=~"$job"}`))
	for _, v := range variables {
		d.WithVariable(v)
	}
	return d
}

// labelVariable returns a variable with the values of a label. It may have several values.
func labelVariable(name, label, series string) *dashboard.QueryVariableBuilder {
	return oneLabel(name, label, series).Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{Selected: new(true), Text: option("All"), Value: option("$__all")})
}

// oneLabel returns a variable with one of the values of a label.
func oneLabel(name, label, series string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).
		Datasource(source).
		Query(dashboard.StringOrMap{String: new("label_values(" + series + ", " + name + ")")}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc)
}

func option(text string) dashboard.StringOrArrayOfString {
	return dashboard.StringOrArrayOfString{String: new(text)}
}

// instances is the variable of dashboards that show several Kamailios.
func instances() *dashboard.QueryVariableBuilder {
	return labelVariable("instance", "Instance", `kamailio_up{job=~"$job",site=~"$site"}`)
}

// oneInstance is the variable of dashboards that show one Kamailio.
func oneInstance() *dashboard.QueryVariableBuilder {
	return oneLabel("instance", "Instance", `kamailio_up{job=~"$job",site=~"$site"}`)
}

// The annotations: a start of Kamailio at the time that Kamailio reports, and the first minutes of a version that was another before.
var (
	restarts = annotation("Kamailio started", "blue", "{{instance}} started", `1000 * kamailio_start_time_seconds{SELECTOR}`, true)
	versions = annotation("Version changed", "purple", "{{instance}} runs {{version}}",
		`(kamailio_build_info{SELECTOR} unless on (job, instance, version, revision) kamailio_build_info{SELECTOR} offset 5m) and on (job, instance) (kamailio_build_info{SELECTOR} offset 5m)`, false)
)

func annotation(name, color, title, expr string, valueIsTime bool) cog.Builder[dashboard.AnnotationQuery] {
	return dashboard.NewAnnotationQueryBuilder().
		Name(name).
		Datasource(source).
		Enable(true).
		IconColor(color).
		Expr(query{expr: expr}.expression()).
		TitleFormat(title).
		UseValueForTime(valueIsTime)
}

// target returns a query for a range of time.
func target(q query) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(q.expression()).LegendFormat(q.legend).Range()
}

// graph returns a panel with lines over time. Its description says what to look for.
func graph(title, description, unit string, queries ...query) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().
		Title(title).
		Description(description).
		Datasource(source).
		Unit(unit).
		Min(0).
		LineWidth(1).
		FillOpacity(8).
		ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeTable).Placement(common.LegendPlacementBottom).
			Calcs([]string{"lastNotNull", "max"})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Span(half).
		Height(graphHeight)
	for _, q := range queries {
		p.WithTarget(target(q))
	}
	return p
}

// figure returns a panel with the latest value of a query. Its color is green below the first step, or that of below if it is given
// as the first one.
func figure(title, description, unit, expr string, steps ...dashboard.Threshold) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).
		Description(description).
		Datasource(source).
		Unit(unit).
		Thresholds(thresholds(steps...)).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).
		GraphMode(common.BigValueGraphModeArea).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		WithTarget(target(query{expr: expr})).
		Span(full / 6).
		Height(statHeight)
}

// states returns a panel that shows over time which of several states is true. The value of the query is the state.
func states(title, description string, mappings []dashboard.ValueMapping, q query) *statetimeline.PanelBuilder {
	return statetimeline.NewPanelBuilder().
		Title(title).
		Description(description).
		Datasource(source).
		Mappings(mappings).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).
		ShowValue(common.VisibilityModeNever).
		MergeValues(true).
		RowHeight(0.8).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		WithTarget(target(q)).
		Span(full).
		Height(graphHeight)
}

// column is a column of instanceTable: a query by instance, and how to show its value. A column without a title shows the other labels.
type column struct {
	title, unit, expr string
	steps             []dashboard.Threshold // nil for no color
	mappings          []dashboard.ValueMapping
}

// instanceTable returns a table with a row for each instance. The first column has its name, which leads to its dashboard.
func instanceTable(description string, columns ...column) *table.PanelBuilder {
	const label, title = "instance", "Instance"
	p := table.NewPanelBuilder().
		Title(title).
		Description(description).
		Datasource(source).
		Filterable(true).
		Span(full).
		Height(10)
	names, hidden := map[string]string{label: title}, map[string]bool{"Time": true}
	for i, c := range columns {
		id := string(rune('A' + i))
		p.WithTarget(prometheus.NewDataqueryBuilder().Datasource(source).Expr(query{expr: c.expr}.expression()).Instant().
			Format(prometheus.PromQueryFormatTable).RefId(id))
		value := "Value #" + id
		if c.title == "" {
			hidden[value] = true
			continue
		}
		names[value] = c.title
		p.OverrideByName(c.title, c.properties())
	}
	p.OverrideByName(title, []dashboard.DynamicConfigValue{{Id: "links", Value: []any{map[string]string{
		"title": "Show this Kamailio", "url": "/d/kamailio-instance?${datasource:queryparam}&${job:queryparam}&var-instance=${__value.raw}&${__url_time_range}",
	}}}})
	return p.WithTransformation(dashboard.DataTransformerConfig{Id: "joinByField", Options: map[string]any{"byField": label, "mode": "outer"}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"renameByName": names, "excludeByName": hidden}})
}

// properties returns the settings of a column in Grafana's form.
func (c column) properties() []dashboard.DynamicConfigValue {
	p := []dashboard.DynamicConfigValue{{Id: "unit", Value: c.unit}}
	if c.mappings != nil {
		p = append(p, dashboard.DynamicConfigValue{Id: "mappings", Value: c.mappings})
	}
	if c.steps != nil {
		p = append(p,
			dashboard.DynamicConfigValue{Id: "thresholds", Value: map[string]any{"mode": "absolute", "steps": append([]dashboard.Threshold{below("green")}, c.steps...)}},
			dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]string{"type": "color-text"}})
	}
	return p
}

// thresholds returns steps of colors.
func thresholds(steps ...dashboard.Threshold) cog.Builder[dashboard.ThresholdsConfig] {
	if len(steps) == 0 || steps[0].Value != nil {
		steps = append([]dashboard.Threshold{below("green")}, steps...)
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

// below returns the first step: values below the next step have the color.
func below(color string) dashboard.Threshold { return dashboard.Threshold{Color: color} }

// from returns a step: values from this one on have the color.
func from(value float64, color string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: color}
}

// named returns a mapping of values to names and colors, in order.
func named(values ...[3]string) []dashboard.ValueMapping {
	options := map[string]dashboard.ValueMappingResult{}
	for i, v := range values {
		index := int32(i)
		options[v[0]] = dashboard.ValueMappingResult{Text: &v[1], Color: &v[2], Index: &index}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}}}
}

// upDown names the values of series that are 1 or 0.
var upDown = named([3]string{"1", "up", "green"}, [3]string{"0", "down", "red"})

// row starts a row of panels.
func row(title string) *dashboard.RowBuilder { return dashboard.NewRowBuilder(title) }
