// Package mixin tests the alerts and rules for Prometheus. It is a module of its own so that the exporter does not depend on
// Prometheus.
package mixin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-jsonnet"
	"sigs.k8s.io/yaml"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
)

// rule is an alert or a recording rule.
type rule struct {
	Alert, Record, Expr string
	For                 string
	KeepFiringFor       string `json:"keep_firing_for"`
	Labels, Annotations map[string]string
}

// ruleFile is a file of Prometheus rules.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

// runbooks is the directory of the alerts' pages, and runbookURL its address in the annotations.
const (
	runbooks   = "../docs/runbooks"
	runbookURL = "https://github.com/kamailio-exporter/kamailio_exporter/blob/main/docs/runbooks/"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decode decodes a YAML file. Unknown fields are errors.
func decode(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(readFile(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// rulesOf returns the rules of a file.
func rulesOf(t *testing.T, name string) []rule {
	t.Helper()
	var file ruleFile
	decode(t, name, &file)
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", name)
	}
	return all
}

// TestAlerts checks that each alert has a name of its own, a severity, texts and a runbook.
func TestAlerts(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rulesOf(t, "alerts.yml") {
		if !strings.HasPrefix(r.Alert, "Kamailio") || seen[r.Alert] {
			t.Errorf("the name %q does not begin with Kamailio, or is used twice", r.Alert)
		}
		seen[r.Alert] = true
		if len(r.Labels) != 1 || !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has labels %v, want a severity that is critical, warning or info", r.Alert, r.Labels)
		}
		for _, name := range []string{"summary", "description"} {
			if strings.TrimSpace(r.Annotations[name]) == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if got, want := r.Annotations["runbook_url"], runbookURL+r.Alert+".md"; got != want {
			t.Errorf("%s has the runbook %q, want %q", r.Alert, got, want)
		}
	}
	if len(seen) < 28 {
		t.Errorf("there are %d alerts only", len(seen))
	}
}

// TestRunbooks checks that each alert has a page with all sections, and each page an alert.
func TestRunbooks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		got = append(got, name)
		text := readFile(t, page)
		at := 0
		for _, heading := range []string{"# " + name, "## Meaning", "## Confirm", "## What to do", "## Causes seen by others"} {
			i := strings.Index(text[at:], heading+"\n")
			if i < 0 {
				t.Errorf("%s has no heading %q, or not in this order", page, heading)
				break
			}
			at += i
		}
	}
	for _, r := range rulesOf(t, "alerts.yml") {
		want = append(want, r.Alert)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there are pages for\n%q, want\n%q", got, want)
	}
}

// kamcmd matches a call of an RPC method in a runbook.
var kamcmd = regexp.MustCompile("kamcmd ([a-z][\\w.]+)(?: ([^\\s`]+))?[\\s`]")

// TestRunbookCommands checks that each RPC method of the runbooks exists, and that those of the section Confirm only read.
func TestRunbookCommands(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no runbooks: %v", err)
	}
	for _, page := range pages {
		text := readFile(t, page)
		_, confirm, _ := strings.Cut(text, "## Confirm")
		confirm, _, _ = strings.Cut(confirm, "## What to do")
		for _, match := range kamcmd.FindAllStringSubmatch(text, -1) {
			method, ok := rpcmethods.Lookup(match[1])
			if !ok {
				t.Errorf("%s: Kamailio has no RPC method %s", page, match[1])
			}
			var args []any
			if match[2] != "" {
				args = append(args, match[2])
			}
			effect := method.With(args...)
			if strings.Contains(confirm, match[0]) && effect != rpcmethods.Reads && effect != rpcmethods.Costly {
				t.Errorf("%s: %s changes something", page, match[0])
			}
		}
	}
}

// evaluate returns the groups of mixin.libsonnet with some lines of configuration.
func evaluate(t *testing.T, config string) (alerts, rules any) {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{})
	text, err := vm.EvaluateAnonymousSnippet("test.jsonnet", `
local other = { prometheusAlerts+:: { groups+: [{ name: 'other' }] } };
local mixin = other + (import 'mixin.libsonnet') + { _config+:: {`+config+`} };
{ alerts: mixin.prometheusAlerts.groups, rules: mixin.prometheusRules.groups }`)
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Alerts, Rules []any }
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Alerts) == 0 || !reflect.DeepEqual(result.Alerts[0], map[string]any{"name": "other"}) {
		t.Fatal("the groups of another mixin are lost")
	}
	return result.Alerts[1:], result.Rules
}

// TestMixin compares the mixin with the files that it reads.
func TestMixin(t *testing.T) {
	changed := func(text string) string { return text }
	compare := func(config string) {
		t.Helper()
		alerts, rules := evaluate(t, config)
		for name, got := range map[string]any{"alerts.yml": alerts, "rules.yml": rules} {
			var want struct{ Groups []any }
			if err := yaml.Unmarshal([]byte(changed(readFile(t, name))), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want.Groups) {
				t.Errorf("with {%s}, the mixin has other groups than %s", config, name)
			}
		}
	}
	compare("")
	changed = strings.NewReplacer(`job=~"(.*/)?kamailio.*"`, `job="sip"`, runbookURL, "https://wiki.example.net/").Replace
	compare(`jobSelector: 'job="sip"', runbookURL: 'https://wiki.example.net/'`)
}
