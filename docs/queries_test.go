//go:build linux

package docs_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// watched is a Kamailio of the lab with traffic, an exporter and a Prometheus.
type watched struct {
	*lab.Kamailio
	prometheus *lab.Prometheus
	begin      time.Time
	stopCalls  func()
}

// watch starts a Kamailio with the snippet of questions.md, an exporter that shows as much as possible, and a Prometheus. Then it makes
// calls, has the gateway end and come back, and restarts Kamailio.
func watch(t *testing.T) *watched {
	t.Helper()
	snippet := ""
	for _, b := range blocks(t, "kamailio") {
		if b.page == "questions.md" {
			snippet = b.text
		}
	}
	w := &watched{begin: time.Now()}
	w.Kamailio = lab.StartTest(t, lab.Options{
		Config: snippet + "\nmodparam(\"tm\", \"fr_timer\", 2000)\n", // a gateway that ends is inactive sooner
		Route:  "\n  if (is_method(\"INVITE\") && !has_totag()) { $avp(carrier) = \"lab\"; route(COUNT_INVITE); }",
	})
	e := start(t, "-u", w.URI("unix"), "-m", "auto,dlg.stats_active", "--kamailio.sip-probe=auto",
		"--kamailio.xhttp-prom-url=http://"+w.SIPAddr()+"/metrics")
	w.prometheus = lab.StartPrometheus(t, `{global: {scrape_interval: 1s}, scrape_configs: [{job_name: kamailio, static_configs: [{targets: ["`+e.address+`"]}]}]}`)
	w.play(t)
	awaitAny(w.prometheus, `kamailio_dialog_processed_total > 10`)
	w.stopCalls() // also ends the gateway
	awaitAny(w.prometheus, `kamailio_dispatcher_destination_state{duid="gw1",state="inactive"} == 1`)
	if err := w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.play(t)
	awaitAny(w.prometheus, `kamailio_dialog_processed_total > 10 and changes(kamailio_start_time_seconds[5m]) > 0`)
	return w
}

// play starts traffic, with the gateway that it needs.
func (w *watched) play(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- lab.Traffic(ctx, w.Kamailio) }()
	stopped := false
	w.stopCalls = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("traffic: %v", err)
		}
	}
	t.Cleanup(w.stopCalls)
}

// variables replaces the variables of Grafana, and long ranges, because the traffic of the test is short.
var variables = strings.NewReplacer("$job", ".*", "$site", ".*", "$instance", ".*", "$setid", ".*", "$__rate_interval", "5s", "[5m]", "[5s]", "[1h]", "[20s]")

// checkData checks that a query has data at some time since the beginning, or none if a reason says so.
func (w *watched) checkData(t *testing.T, name, query, reason string) {
	t.Helper()
	found := len(w.prometheus.QueryRange(variables.Replace(query), w.begin)) > 0
	switch {
	case !found && reason == "":
		t.Errorf("%s: no data: %s", name, query)
	case found && reason != "":
		t.Errorf("%s: has data, although %s", name, reason)
	}
}

// TestQueries runs the queries of questions.md and of the dashboards, and compares panels with what Kamailio says.
func TestQueries(t *testing.T) {
	t.Parallel()
	w := watch(t)
	t.Run("questions", w.checkQuestions)
	t.Run("dashboards", w.checkDashboards)
	w.stopCalls()
	t.Run("values", w.checkValues)
}

// question matches the heading of a question.
var question = regexp.MustCompile(`(?m)^###? (.+)$`)

// withoutAnswer are the questions without a result here, and why.
var withoutAnswer = map[string]string{
	"Which gateways flap?":                        "the gateway ended once only",
	"Does an inactive gateway still carry calls?": "no set has the algorithm of call load",
	"Which methods fail?":                         "none fails",
}

// checkQuestions runs the queries of questions.md.
func (w *watched) checkQuestions(t *testing.T) {
	found := 0
	for _, b := range blocks(t, "promql") {
		before := strings.Join(strings.Split(readPage(t, b.page), "\n")[:b.line], "\n")
		titles := question.FindAllStringSubmatch(before, -1)
		title := titles[len(titles)-1][1]
		w.checkData(t, title, b.text, withoutAnswer[title])
		found++
	}
	if found < 20 {
		t.Errorf("questions.md has %d queries", found)
	}
}

// panel is a panel of a dashboard.
type panel struct {
	Title   string
	Type    string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr, LegendFormat string }
}

// dashboards returns the panels of the dashboards by their name.
func dashboards(t *testing.T) map[string][]panel {
	t.Helper()
	files, err := filepath.Glob("../mixin/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	all := map[string][]panel{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			UID         string
			Panels      []panel
			Annotations struct{ List []struct{ Name, Expr string } }
		}
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, a := range dashboard.Annotations.List {
			dashboard.Panels = append(dashboard.Panels, panel{Title: a.Name, Targets: []struct{ Expr, LegendFormat string }{{Expr: a.Expr}}})
		}
		all[dashboard.UID] = dashboard.Panels
	}
	return all
}

// withoutData are the panels with a query that has no data here, and why.
var withoutData = map[string]string{
	"Version changed":                                           "there is one version only",
	"Configuration":                                             "the exporter has no configuration file",
	"Failing methods by name: {{collector}}":                    "none fails",
	"Skipped fields: {{collector}} {{reason}}":                  "none is skipped",
	"Calls of each destination: {{instance}} {{setid}} {{uri}}": "no set has the algorithm of call load",
	"Diameter peers: {{instance}} {{peer}}":                     "there is no Diameter",
	"SIP workers: busy":                                         "Kamailio 6.1 is the first one with these statistics",
	"SIP workers: all":                                          "Kamailio 6.1 is the first one with these statistics",
}

// checkDashboards runs the queries of the dashboards.
func (w *watched) checkDashboards(t *testing.T) {
	for uid, panels := range dashboards(t) {
		for _, p := range panels {
			for _, target := range p.Targets {
				name := strings.TrimSuffix(p.Title+": "+target.LegendFormat, ": ")
				w.checkData(t, uid+": "+name, target.Expr, withoutData[name])
			}
		}
	}
}

// kamcmdValue is a panel with the RPC method that has the same value.
type kamcmdValue struct {
	dashboard, panel, legend string
	method                   []string
	pattern                  string // of the numbers in the reply to add: its group is a number; without a group, each match counts as 1
	tolerance                float64
}

var kamcmdValues = []kamcmdValue{
	{"kamailio-instance", "Uptime", "", []string{"core.uptime"}, `uptime: (\d+)`, 3},
	{"kamailio-instance", "Calls in progress", "", []string{"stats.get_statistics", "active_dialogs"}, `active_dialogs = (\d+)`, 0},
	{"kamailio-instance", "Transactions in memory", "all", []string{"stats.get_statistics", "inuse_transactions"}, `inuse_transactions = (\d+)`, 0},
	{"kamailio-instance", "Registered contacts", "{{domain}}", []string{"stats.get_statistics", "usrloc:"}, `location_contacts = (\d+)`, 0},
	{"kamailio-memory", "Shared memory", "total", []string{"core.shmmem"}, `total: (\d+)`, 0},
	{"kamailio-memory", "Shared memory", "peak", []string{"core.shmmem"}, `max_used: (\d+)`, 0},
	{"kamailio-memory", "Processes", "", []string{"core.psx"}, `IDX: \d+`, 0},
	{"kamailio-gateways", "Destinations active", "", []string{"dispatcher.list"}, `FLAGS: A`, 0},
	{"kamailio-gateways", "Destinations inactive", "", []string{"dispatcher.list"}, `FLAGS: I`, 0},
	{"kamailio-gateways", "RTP proxies down", "", []string{"rtpengine.show", "all"}, `disabled: [1-9Y]`, 0},
	{"kamailio-fleet", "Up", "", []string{"core.uptime"}, `uptime`, 0},
}

// checkValues compares panels with what kamcmd prints at the same time.
func (w *watched) checkValues(t *testing.T) {
	all := dashboards(t)
	for _, test := range kamcmdValues {
		query := test.query(all[test.dashboard])
		if query == "" {
			t.Errorf("%s has no panel %q with %q", test.dashboard, test.panel, test.legend)
			continue
		}
		w.prometheus.Await(query, "what kamcmd prints for "+strings.Join(test.method, " "), func(samples model.Vector) bool {
			out, err := w.Kamcmd(t.Context(), test.method...)
			if err != nil {
				t.Fatal(err)
			}
			return len(samples) == 1 && math.Abs(float64(samples[0].Value)-test.sum(t, out)) <= test.tolerance
		})
	}
}

// query returns the query of the panel, "" if there is none.
func (v kamcmdValue) query(panels []panel) string {
	for _, p := range panels {
		for _, target := range p.Targets {
			if p.Title == v.panel && target.LegendFormat == v.legend {
				return variables.Replace(target.Expr)
			}
		}
	}
	return ""
}

// sum returns the sum of the numbers in the output of kamcmd.
func (v kamcmdValue) sum(t *testing.T, out string) float64 {
	t.Helper()
	sum := 0.0
	for _, match := range regexp.MustCompile(v.pattern).FindAllStringSubmatch(out, -1) {
		number := 1.0
		if len(match) > 1 {
			var err error
			if number, err = strconv.ParseFloat(match[1], 64); err != nil {
				t.Fatal(err)
			}
		}
		sum += number
	}
	return sum
}
