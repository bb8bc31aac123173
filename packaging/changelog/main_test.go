package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const released = "# Changelog\n\nWords.\n\n## 3.0.0, 2026-12-01\n\n### New\n\n- One.\n\n## 2.0.0, 2025-01-01\n\n- Old.\n"

func TestRun(t *testing.T) {
	unreleased := strings.Replace(released, "2026-12-01", "not released yet", 1)
	tests := []struct {
		name, changelog, version string
		args                     []string
		wantError, wantOutput    string
	}{
		{"a release", released, "3.0.0\n", []string{"check", "v3.0.0"}, "", ""},
		{"its notes", released, "3.0.0\n", []string{"notes", "v3.0.0"}, "", "### New\n\n- One.\n"},
		{"Debian's changelog", strings.Replace(released, "One.\n", "One\n  more.\n- "+strings.Repeat("word ", 16)+"\n\nEnd\n of it.\n", 1), "3.0.0",
			[]string{"debian", "3.0.0-pre", "2026-12-01T10:00:00Z"}, "",
			"kamailio-exporter (3.0.0~pre) unstable; urgency=medium\n\n  [ New ]\n  * One more.\n" +
				"  *" + strings.Repeat(" word", 15) + "\n    word\n    End of it.\n\n" +
				" -- " + maintainer + "  Tue, 01 Dec 2026 10:00:00 +0000\n"},
		{"Debian's changelog without a date", released, "3.0.0", []string{"debian", "3.0.0", "today"}, "time of the change", ""},
		{"no release", unreleased, "3.0.0", []string{"check"}, "", ""},
		{"a version before a release", strings.Replace(released, "3.0.0", "3.0.0-rc.1", 1), "3.0.0-rc.1", []string{"check", "v3.0.0-rc.1"}, "", ""},
		{"another tag", released, "3.0.0", []string{"check", "v3.0.1"}, "the tag is v3.0.1 and CHANGELOG.md's newest version is 3.0.0", ""},
		{"a tag without its v", released, "3.0.0", []string{"check", "3.0.0"}, "tag v3.0.0", ""},
		{"the tag of an old version", released, "3.0.0", []string{"check", "v2.0.0"}, "the tag is v2.0.0", ""},
		{"no date", unreleased, "3.0.0", []string{"check", "v3.0.0"}, `"not released yet" of 3.0.0: put the date`, ""},
		{"notes without a date", unreleased, "3.0.0", []string{"notes", "v3.0.0"}, "put the date", ""},
		{"no day of the calendar", strings.Replace(released, "2026-12-01", "2026-13-01", 1), "3.0.0", []string{"check", "v3.0.0"}, "put the date", ""},
		{"another VERSION", released, "3.0.1", []string{"check", "v3.0.1"}, "VERSION says 3.0.1", ""},
		{"another VERSION without a tag", released, "3.0.1", []string{"check"}, "VERSION says 3.0.1", ""},
		{"nothing said", "## 3.0.0, 2026-12-01\n\n## 2.0.0, 2025-01-01\n\n- Old.\n", "3.0.0", []string{"check"}, "says nothing of 3.0.0", ""},
		{"a heading of another form", strings.Replace(released, "## 3.0.0, ", "## v3 ", 1), "3.0.0", []string{"check"}, `begins with "## v3 2026-12-01"`, ""},
		{"no version", "# Changelog\n", "3.0.0", []string{"check"}, "has no version", ""},
		{"no command", released, "3.0.0", nil, "usage:", ""},
		{"notes of nothing", released, "3.0.0", []string{"notes"}, "usage:", ""},
		{"another command", released, "3.0.0", []string{"publish", "v3.0.0"}, "usage:", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "CHANGELOG.md", test.changelog)
			write(t, "VERSION", test.version)
			var out strings.Builder
			err := run(test.args, &out)
			if test.wantError == "" && err != nil || test.wantError != "" && (err == nil || !strings.Contains(err.Error(), test.wantError)) {
				t.Errorf("error %v, want %q", err, test.wantError)
			}
			if out.String() != test.wantOutput {
				t.Errorf("output %q, want %q", out.String(), test.wantOutput)
			}
		})
	}
}

// TestRepository shows that this repository's own files agree.
func TestRepository(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	if err := run([]string{"check"}, nil); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
