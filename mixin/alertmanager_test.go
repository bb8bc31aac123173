//go:build linux

package mixin

import (
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"sigs.k8s.io/yaml"
)

// TestAlertmanager lets amtool check the example, and checks that each alert that it names exists.
func TestAlertmanager(t *testing.T) {
	var config struct {
		Route struct {
			Routes []struct{ Matchers []string }
		}
		InhibitRules []struct {
			Sources []string `json:"source_matchers"`
			Targets []string `json:"target_matchers"`
		} `json:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "alertmanager.yml")), &config); err != nil {
		t.Fatal(err)
	}
	var matchers []string
	for _, r := range config.Route.Routes {
		matchers = append(matchers, r.Matchers...)
	}
	for _, rule := range config.InhibitRules {
		matchers = append(matchers, rule.Sources...)
		matchers = append(matchers, rule.Targets...)
	}
	alerts := rulesOf(t, "alerts.yml")
	for _, text := range matchers {
		parsed, err := promQL.ParseMetricSelector("{" + text + "}")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, name := range values(parsed[0]) {
			if parsed[0].Name == labels.AlertName && !slices.ContainsFunc(alerts, func(r rule) bool { return r.Alert == name }) {
				t.Errorf("%s: no alert %s", text, name)
			}
		}
	}
	run(t, "amtool", "check-config", "alertmanager.yml")
}
