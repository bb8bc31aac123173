//go:build linux

package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestLibraryProgram runs the page's program against a real Kamailio.
func TestLibraryProgram(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	ran := false
	for _, b := range blocks(t, "library.md") {
		if b.mark != "program" {
			continue
		}
		ran = true
		file := filepath.Join(t.TempDir(), "main.go")
		writeFile(t, file, withAddresses(b.text, k))
		out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput()
		if want := regexp.MustCompile(`(?s)^\d+ of \d+ transactions go on\n(sip:\S+ [A-Z]+\n){5}$`); err != nil || !want.Match(out) {
			t.Errorf("%v: it prints\n%s", err, out)
		}
	}
	if !ran {
		t.Error("there is no program")
	}
}
