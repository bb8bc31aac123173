package kubernetes

import (
	"flag"
	"os"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml and dashboards.yaml anew from ../../mixin")

// prometheusRule is the beginning of prometheusrule.yaml. The groups of ../../mixin follow.
const prometheusRule = `# For the Prometheus operator. The alerts and rules of ../../mixin, from which it is generated:
# go test -run TestPrometheusRule -update
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: kamailio-exporter
  labels:
    app.kubernetes.io/name: kamailio-exporter
spec:
  groups:
`

// TestPrometheusRule compares the manifest with the rules that Prometheus loads without the operator.
func TestPrometheusRule(t *testing.T) {
	const name = "prometheusrule.yaml"
	text := prometheusRule
	var want []monitoring.RuleGroup
	for _, file := range []string{"../../mixin/alerts.yml", "../../mixin/rules.yml"} {
		rules := string(readFile(t, file))
		_, groups, ok := strings.Cut(rules, "\ngroups:\n")
		if !ok {
			t.Fatalf("%s has no groups", file)
		}
		for line := range strings.Lines(groups) {
			if line != "\n" {
				line = "  " + line
			}
			text += line
		}
		var spec monitoring.PrometheusRuleSpec
		if err := yaml.UnmarshalStrict([]byte(rules), &spec); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want = append(want, spec.Groups...)
	}
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(readFile(t, name)) != text {
		t.Errorf("%s is stale: run go test -run TestPrometheusRule -update", name)
	}
	got := object[monitoring.PrometheusRule](t, name, "monitoring.coreos.com/v1", "PrometheusRule")
	wantEqual(t, "groups", got.Spec.Groups, want)
}
