package mixin

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// cases are the tests that each alert has.
var cases = []string{"fires", "does not fire", "recovers", "counter reset", "missing series"}

// testFile is a file for promtool test rules.
type testFile struct {
	RuleFiles          []string `json:"rule_files"`
	EvaluationInterval string   `json:"evaluation_interval"`
	Tests              []testCase
}

type testCase struct {
	Name, Interval string
	Series         []inputSeries `json:"input_series"`
	Alerts         []alertTest   `json:"alert_rule_test"`
	Expressions    []exprTest    `json:"promql_expr_test"`
}

type exprTest struct {
	Expr     string
	EvalTime string `json:"eval_time"`
	Samples  []struct {
		Labels string
		Value  float64
	} `json:"exp_samples"`
}

type inputSeries struct{ Series, Values string }

type alertTest struct {
	EvalTime  string `json:"eval_time"`
	Alertname string
	Want      []struct {
		Labels      map[string]string `json:"exp_labels"`
		Annotations map[string]string `json:"exp_annotations"`
	} `json:"exp_alerts"`
}

// allCases returns the tests of the files in tests by name.
func allCases(t *testing.T) map[string]testCase {
	t.Helper()
	files, err := filepath.Glob("tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	all := map[string]testCase{}
	for _, name := range files {
		var file testFile
		decode(t, name, &file)
		for _, test := range file.Tests {
			if _, ok := all[test.Name]; ok {
				t.Errorf("%s: a second test %q", name, test.Name)
			}
			all[test.Name] = test
		}
	}
	return all
}

// TestCases checks that each alert has all cases, and that each case tests what its name says.
func TestCases(t *testing.T) {
	all := allCases(t)
	for _, r := range rulesOf(t, "alerts.yml") {
		for _, name := range cases {
			test, ok := all[r.Alert+": "+name]
			if !ok {
				t.Errorf("%s: no test %q", r.Alert, name)
				continue
			}
			if err := checkCase(r.Alert, name, test, all[r.Alert+": fires"]); err != nil {
				t.Errorf("%s: %v", test.Name, err)
			}
		}
	}
	// Each rule of rules.yml has its expected samples in the test of all rules.
	for _, r := range rulesOf(t, "rules.yml") {
		if !slices.ContainsFunc(all["rules"].Expressions, func(e exprTest) bool { return e.Expr == r.Record }) {
			t.Errorf("%s has no test", r.Record)
		}
	}
}

// checkCase checks one case of an alert. fires is the case in which the alert fires.
func checkCase(alert, name string, test, fires testCase) error {
	var firing []bool
	for _, at := range test.Alerts {
		if at.Alertname != alert {
			return fmt.Errorf("it tests %s", at.Alertname)
		}
		firing = append(firing, len(at.Want) > 0)
	}
	if len(firing) == 0 {
		return errors.New("it has no alert_rule_test")
	}
	first, last := firing[0], firing[len(firing)-1]
	switch name {
	case "fires":
		if first || !last {
			return fmt.Errorf("it expects %v, want an alert that begins", firing)
		}
		return nil
	case "recovers":
		if !first || last {
			return fmt.Errorf("it expects %v, want an alert that ends", firing)
		}
		return nil
	}
	if slices.Contains(firing, true) {
		return errors.New("it expects an alert")
	}
	return checkInput(name, test, fires)
}

// checkInput checks the series of a case in which the alert must not fire.
func checkInput(name string, test, fires testCase) error {
	switch name {
	case "counter reset":
		if !slices.ContainsFunc(test.Series, restarts) {
			return errors.New("no series has a gap or decreases")
		}
	case "missing series":
		if !slices.ContainsFunc(fires.Series, func(s inputSeries) bool {
			return !slices.ContainsFunc(test.Series, func(other inputSeries) bool { return other.Series == s.Series && !missing(other) })
		}) {
			return errors.New("it has all series with which the alert fires")
		}
	}
	return nil
}

// restarts reports whether a series has a gap or decreases.
func restarts(s inputSeries) bool {
	values := valuesOf(s)
	for i, value := range values {
		if value.Omitted && i > 0 || i > 0 && !values[i-1].Omitted && value.Value < values[i-1].Value {
			return true
		}
	}
	return false
}

// missing reports whether a series begins with a gap.
func missing(s inputSeries) bool {
	values := valuesOf(s)
	return len(values) == 0 || values[0].Omitted
}

// valuesOf returns the values of a series. promtool reports those that it cannot parse.
func valuesOf(s inputSeries) []parser.SequenceValue {
	_, values, _ := promQL.ParseSeriesDesc(strings.TrimSpace(s.Series) + " " + s.Values)
	return values
}
