package mixin

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promQL = parser.NewParser(parser.Options{})

// targetLabels are labels that Prometheus adds to all series of a target, with the Prometheus operator too. The dashboards select by the
// label site, which a user may add.
var targetLabels = []string{"container", "endpoint", "instance", "job", "pod", "site"}

// notInGolden matches families whose samples are in no golden file of the collectors: of Prometheus, of other sources, and of
// the short form of dispatcher.list.
var notInGolden = regexp.MustCompile(`^(up$|kamailio_(up$|exporter_|sip_|process_|socket_|dispatcher_set_destinations$))`)

// family is a family of series in docs/metrics.md.
type family struct {
	kind   string // counter, gauge or untyped
	labels []string
	legacy bool
}

// families returns the families of docs/metrics.md by name.
func families(t *testing.T) map[string]family {
	t.Helper()
	all := map[string]family{"up": {kind: "gauge"}}
	var columns []string
	for line := range strings.Lines(readFile(t, "../docs/metrics.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == "series":
			columns = cells
		case strings.HasPrefix(cells[0], "`kamailio_") && len(columns) > 0:
			cell := func(name string) string {
				if i := slices.Index(columns, name); i >= 0 {
					return cells[i]
				}
				return ""
			}
			all[strings.Trim(cells[0], "`")] = family{
				kind:   cell("type"),
				labels: strings.FieldsFunc(cell("labels"), func(r rune) bool { return r == ',' || r == ' ' }),
				legacy: strings.HasPrefix(cell("use"), "kept for"),
			}
		}
	}
	if len(all) < 300 {
		t.Fatalf("docs/metrics.md has %d families only", len(all))
	}
	return all
}

// samples returns the labels of all samples in the golden files of the collectors, by name.
func samples(t *testing.T) map[string][]labels.Labels {
	t.Helper()
	files, err := filepath.Glob("../internal/collector/testdata/*/*.prom")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := map[string][]labels.Labels{}
	for _, file := range files {
		for line := range strings.Lines(readFile(t, file)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			sample, err := promQL.ParseMetric(line[:strings.LastIndex(line, " ")])
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			name := sample.Get(model.MetricNameLabel)
			all[name] = append(all[name], sample)
		}
	}
	return all
}

// checker checks expressions against docs/metrics.md and the golden files.
type checker struct {
	families map[string]family
	samples  map[string][]labels.Labels
}

// TestSeries checks that each series and label in rules and annotations is one of docs/metrics.md, that each value of a label is
// in a golden file of the collectors, and that no series is a legacy one.
func TestSeries(t *testing.T) {
	c := checker{families(t), samples(t)}
	for _, r := range append(rulesOf(t, "alerts.yml"), rulesOf(t, "rules.yml")...) {
		known, err := c.check(r.Expr)
		if err != nil {
			t.Errorf("%s%s: %v", r.Alert, r.Record, err)
			continue
		}
		for name, text := range r.Annotations {
			if err := c.checkTemplate(text, known); err != nil {
				t.Errorf("%s: %s: %v", r.Alert, name, err)
			}
		}
	}
}

// TestSeriesErrors checks that a wrong expression is found.
func TestSeriesErrors(t *testing.T) {
	c := checker{families(t), samples(t)}
	for what, expr := range map[string]string{
		"an unknown series":          `kamailio_upp == 0`,
		"a legacy series":            `kamailio_core_shmmem_free < 1`,
		"an unknown label":           `kamailio_dispatcher_destination_state{status="inactive"} == 1`,
		"an unknown value":           `kamailio_dispatcher_destination_state{state="down"} == 1`,
		"an unknown value of two":    `kamailio_cdp_peer_state{state=~"i_open|ropen"} == 1`,
		"an unknown grouping label":  `sum without (status) (kamailio_dispatcher_destination_state)`,
		"an unknown matching label":  `kamailio_up and ignoring (status) kamailio_up`,
		"a window of one minute":     `rate(kamailio_tm_stats_created_total[1m]) > 0`,
		"the rate of a gauge":        `rate(kamailio_shmem_free_bytes[5m]) > 0`,
		"the trend of a counter":     `predict_linear(kamailio_tm_stats_created_total[1h], 3600) > 0`,
		"a syntax error":             `kamailio_up ==`,
		"a series without its name":  `{state="inactive"} == 1`,
		"a recorded series of alert": `kamailio:shmem_free:ratio < 0.1`,
	} {
		if _, err := c.check(expr); err == nil {
			t.Errorf("%s is accepted: %s", what, expr)
		}
	}
	for what, text := range map[string]string{
		"an unknown label":           "{{ $labels.status }}",
		"an unknown series in query": `{{ query (printf "kamailio_upp{instance=%q}" $labels.instance) }}`,
	} {
		if err := c.checkTemplate(text, []string{"state"}); err == nil {
			t.Errorf("%s is accepted: %s", what, text)
		}
	}
}

// check checks an expression. It returns the labels that its series have.
func (c checker) check(text string) (known []string, err error) {
	expr, err := promQL.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	known = slices.Clone(targetLabels)
	var named []string // labels by which the expression groups and matches
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			if selectorErr := c.checkSelector(node); selectorErr != nil {
				err = selectorErr
			}
			known = append(known, c.families[node.Name].labels...)
		case *parser.MatrixSelector:
			// Four intervals of 60 s, and some more: one scrape may be missing.
			if node.Range < 5*time.Minute {
				err = fmt.Errorf("a window of %v is too short", node.Range)
			}
		case *parser.Call:
			if kindErr := c.checkKind(node); kindErr != nil {
				err = kindErr
			}
		case *parser.AggregateExpr:
			named = append(named, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				named = append(named, node.VectorMatching.MatchingLabels...)
				named = append(named, node.VectorMatching.Include...)
			}
		}
		return nil
	})
	for _, label := range named {
		if !slices.Contains(known, label) {
			return nil, fmt.Errorf("no series of the expression has the label %s", label)
		}
	}
	return known, err
}

// kinds are the types of families that functions need.
var kinds = map[string]string{
	"rate": "counter", "irate": "counter", "increase": "counter", "resets": "counter",
	"delta": "gauge", "idelta": "gauge", "deriv": "gauge", "predict_linear": "gauge",
}

// checkKind checks that a function gets a family of the type that it needs.
func (c checker) checkKind(call *parser.Call) error {
	want, ok := kinds[call.Func.Name]
	if !ok {
		return nil
	}
	for _, arg := range call.Args {
		matrix, ok := arg.(*parser.MatrixSelector)
		if !ok {
			continue
		}
		selector, ok := matrix.VectorSelector.(*parser.VectorSelector)
		if ok && c.families[selector.Name].kind != want {
			return fmt.Errorf("%s of %s, which is not a %s", call.Func.Name, selector.Name, want)
		}
	}
	return nil
}

// checkSelector checks the name and the labels of a selector.
func (c checker) checkSelector(selector *parser.VectorSelector) error {
	f, ok := c.families[selector.Name]
	if !ok || f.legacy {
		return fmt.Errorf("series %q is not in docs/metrics.md, or is kept for old dashboards only", selector.Name)
	}
	for _, m := range selector.LabelMatchers {
		if m.Name == model.MetricNameLabel || slices.Contains(targetLabels, m.Name) {
			continue
		}
		if !slices.Contains(f.labels, m.Name) {
			return fmt.Errorf("series %s has no label %s", selector.Name, m.Name)
		}
		if notInGolden.MatchString(selector.Name) {
			continue
		}
		for _, value := range values(m) {
			if !slices.ContainsFunc(c.samples[selector.Name], func(s labels.Labels) bool { return s.Get(m.Name) == value }) {
				return fmt.Errorf("no golden file has %s with %s=%q", selector.Name, m.Name, value)
			}
		}
	}
	return nil
}

// values returns the values that a matcher names.
func values(m *labels.Matcher) []string {
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		return []string{m.Value}
	}
	return m.SetMatches()
}

// checkTemplate checks the labels and the queries of an annotation. known are the labels of the alert.
func (c checker) checkTemplate(text string, known []string) error {
	tree := parse.New("annotation")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse("{{$labels := .}}{{$value := .}}"+text, "", "", map[string]*parse.Tree{}); err != nil {
		return err
	}
	return c.checkNode(tree.Root, known)
}

// checkNode checks a node of an annotation, and those below it.
func (c checker) checkNode(node parse.Node, known []string) error {
	var children []parse.Node
	add := func(list *parse.ListNode) {
		if list != nil {
			children = append(children, list.Nodes...)
		}
	}
	addPipe := func(pipe *parse.PipeNode) {
		for _, command := range pipe.Cmds {
			children = append(children, command.Args...)
		}
	}
	addBranch := func(branch *parse.BranchNode) {
		addPipe(branch.Pipe)
		add(branch.List)
		add(branch.ElseList)
	}
	switch node := node.(type) {
	case *parse.ListNode:
		add(node)
	case *parse.ActionNode:
		addPipe(node.Pipe)
	case *parse.PipeNode:
		addPipe(node)
	case *parse.IfNode:
		addBranch(&node.BranchNode)
	case *parse.WithNode:
		addBranch(&node.BranchNode)
	case *parse.RangeNode:
		addBranch(&node.BranchNode)
	case *parse.VariableNode:
		if node.Ident[0] == "$labels" && len(node.Ident) > 1 && !slices.Contains(known, node.Ident[1]) {
			return fmt.Errorf("no series of the expression has the label %s", node.Ident[1])
		}
	case *parse.StringNode:
		if strings.Contains(node.Text, "kamailio_") {
			_, err := c.check(strings.ReplaceAll(node.Text, "%q", `"sbc1"`))
			return err
		}
	}
	for _, child := range children {
		if err := c.checkNode(child, known); err != nil {
			return err
		}
	}
	return nil
}
