package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parseModule parses a file that has the module "default" with the given lines, of which the first is line 3.
func parseModule(t *testing.T, lines ...string) (*Module, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "exporter.yml")
	content := "modules:\n  default:\n    " + strings.Join(lines, "\n    ") + "\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Parse([]string{"--config.file", file})
	if err != nil {
		return nil, err
	}
	return cfg.Target.Modules[0], nil
}

// checkModuleError checks that a file with the lines in its module is an error at line 4.
func checkModuleError(t *testing.T, want string, lines ...string) {
	t.Helper()
	_, err := parseModule(t, lines...)
	if err == nil || !strings.Contains(err.Error(), "exporter.yml:4: "+want) {
		t.Errorf("%q: error %v, want one at line 4 with %q", lines, err, want)
	}
}

func TestSharedVariablesOfAModule(t *testing.T) {
	module, err := parseModule(t, "methods: [core.uptime]", `shv: [maintenance, "7"]`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := module.Settings.SharedVariables, []string{"maintenance", "7"}; !slices.Equal(got, want) {
		t.Errorf("shared variables %q, want %q", got, want)
	}
	if got, want := methodsOf(module.Named), []string{"core.uptime", "pv.shvGet"}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	checkModuleError(t, `"a\tb" names no shared variable, use name for $shv(name)`, "shv:", `- "a\tb"`)
	checkModuleError(t, "must be a text, which must not be empty", "shv:", `- ""`)
	checkModuleError(t, `the list has "a" twice`, "timeout: 1s", `shv: [a, a]`)
	checkModuleError(t, "must be a list", "timeout: 1s", `shv: maintenance`)
}
