//go:build linux

package check

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

var update = flag.Bool("update", false, "update the golden files")

// wantGolden compares a text with a file of testdata.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant the contents of %s:\n%s", got, file, want)
	}
}

// parse parses a command line of the check.
func parse(t *testing.T, args ...string) (*config.Config, []*config.Target) {
	t.Helper()
	cfg, targets, err := config.ParseCheck(args)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, targets
}

// writeFile writes a file in a directory of the test, and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
