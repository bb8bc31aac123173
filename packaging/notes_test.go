//go:build linux

package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotes checks the release notes from CHANGELOG.md, and that a tag that does not match is refused.
func TestNotes(t *testing.T) {
	script, err := filepath.Abs("notes.awk")
	if err != nil {
		t.Fatal(err)
	}
	const dated = "# Changelog\n\n## 3.0.0, 2026-12-01\n\n### New\n\n- One.\n\n## 2.0.0, 2025-01-01\n\n- Old.\n"
	notDated := strings.Replace(dated, "2026-12-01", "not released yet", 1)
	own := exec.CommandContext(t.Context(), "awk", "-f", script, "CHANGELOG.md")
	own.Dir = ".."
	if out, err := own.CombinedOutput(); err != nil {
		t.Errorf("this repository: %v\n%s", err, out)
	}
	for _, test := range []struct{ name, changelog, version, tag, want string }{
		{"release", dated, "3.0.0", "v3.0.0", "### New\n\n- One.\n\n"},
		{"snapshot", notDated, "3.0.0", "", "### New\n\n- One.\n\n"},
		{"tag without date", notDated, "3.0.0", "v3.0.0", `no date in "## 3.0.0, not released yet"`},
		{"date that does not exist", strings.Replace(dated, "2026-12", "2026-13", 1), "3.0.0", "v3.0.0", "no date in"},
		{"other tag", dated, "3.0.0", "v3.0.1", "the tag is v3.0.1"},
		{"tag without v", dated, "3.0.0", "3.0.0", "tag v3.0.0"},
		{"tag of an old version", dated, "3.0.0", "v2.0.0", "the tag is v2.0.0"},
		{"other VERSION", dated, "3.0.1", "", "VERSION has 3.0.1"},
		{"no text", "## 3.0.0, 2026-12-01\n\n## 2.0.0, 2025-01-01\n\n- Old.\n", "3.0.0", "", "no text for 3.0.0"},
		{"no section", "# Changelog\n", "3.0.0", "", `begins with ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "awk", "-v", "tag="+test.tag, "-f", script, "CHANGELOG.md")
			cmd.Dir = t.TempDir()
			for name, text := range map[string]string{"CHANGELOG.md": test.changelog, "VERSION": test.version + "\n"} {
				if err := os.WriteFile(filepath.Join(cmd.Dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := cmd.CombinedOutput()
			if refused := !strings.HasPrefix(test.want, "###"); refused != (err != nil) || !strings.Contains(string(out), test.want) ||
				!refused && string(out) != test.want {
				t.Errorf("%v, output %q, want %q", err, out, test.want)
			}
		})
	}
}

func TestDebianChangelog(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "awk", "-v", "version=1", "-v", "maintainer=A <a@b>", "-v", "date=Tue", "-f", "debian-changelog.awk")
	long := "0123456" + strings.Repeat(" 0123456", 8)
	cmd.Stdin = strings.NewReader("Text\nmore.\n\n### New\n\n- " + long + "\n  0123456 end\n- Two.\n")
	out, err := cmd.CombinedOutput()
	want := "kamailio-exporter (1) unstable; urgency=medium\n\n    Text more.\n  [ New ]\n  * " + long + "\n    0123456 end\n  * Two.\n\n -- A <a@b>  Tue\n"
	if string(out) != want || err != nil {
		t.Errorf("%v, output\n%s, want\n%s", err, out, want)
	}
}
