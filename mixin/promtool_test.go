//go:build linux

package mixin

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// run runs a program of the lab, which must succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("fetches " + name + "; run without -short")
	}
	program, err := lab.Tool(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
}

func TestCheckRules(t *testing.T) {
	run(t, "promtool", "check", "rules", "alerts.yml", "rules.yml")
}

// TestRules runs the files in tests with promtool.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, "promtool", "test", "rules", withTestedRules(t, file))
		})
	}
}

// withTestedRules copies a file of tests and the rules that it tests, and returns the path of the copy. promtool evaluates all
// rules for each test, which takes ten times as long with all of them.
func withTestedRules(t *testing.T, file string) string {
	t.Helper()
	var tests testFile
	decode(t, file, &tests)
	dir := t.TempDir()
	for _, path := range tests.RuleFiles {
		var rules struct {
			Groups []struct {
				Name  string           `json:"name"`
				Rules []map[string]any `json:"rules"`
			} `json:"groups"`
		}
		decode(t, filepath.Join("tests", path), &rules)
		for i, group := range rules.Groups {
			rules.Groups[i].Rules = slices.DeleteFunc(group.Rules, func(rule map[string]any) bool {
				return rule["alert"] != nil && !tests.test(rule["alert"])
			})
		}
		text, err := yaml.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.Base(path)), string(text))
	}
	copied := filepath.Join(dir, "tests", filepath.Base(file))
	writeFile(t, copied, readFile(t, file))
	return copied
}

// test reports whether the file tests an alert.
func (f testFile) test(alert any) bool {
	return slices.ContainsFunc(f.Tests, func(test testCase) bool {
		return slices.ContainsFunc(test.Alerts, func(at alertTest) bool { return at.Alertname == alert })
	})
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
