//go:build unix

package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestNamedPipes has a named pipe without a writer in place of each file. Opening it for reading would wait without end.
func TestNamedPipes(t *testing.T) {
	for content, want := range map[string]string{
		"":                                      "--config.file: FILE is not a regular file",
		"target_files: [pipe]":                  "c.yml:1: FILE is not a regular file",
		"target_files: ['p*']":                  "c.yml:1: FILE is not a regular file",
		"auths: {a: {bearer_token_file: pipe}}": "c.yml:1: FILE is not a regular file",
		"auths: {a: {tls_config: {ca_file: pipe}}}":            "c.yml:1: FILE is not a regular file",
		"auths: {a: {http_headers: {X-Key: {files: [pipe]}}}}": "c.yml:1: FILE is not a regular file",
	} {
		dir := writeFiles(t, map[string]string{"c.yml": content})
		pipe, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "c.yml")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		if content == "" {
			file = pipe
		}
		_, err := Parse([]string{"--config.file", file})
		if err == nil || !strings.HasSuffix(strings.ReplaceAll(err.Error(), pipe, "FILE"), want) {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
}

// TestUnreadableDirectory has a pattern for a directory that cannot be read. This must not mean that there are no targets.
func TestUnreadableDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("SKIPPED: root can read all directories")
	}
	dir := writeFiles(t, map[string]string{"c.yml": "target_files: ['t/*.yml']\n", "t/a.yml": "[]\n"})
	if err := os.Chmod(filepath.Join(dir, "t"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "t"), 0o700) //nolint:errcheck // so that the test can remove it
	if _, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")}); err == nil || !strings.Contains(err.Error(), "c.yml:1: open "+dir+"/t: permission denied") {
		t.Errorf("error %v", err)
	}
}

// TestParseAgainLeaksNoFiles parses files that name others often, as reloads do, with and without errors.
func TestParseAgainLeaksNoFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: needs /proc")
	}
	descriptors := func() int {
		found, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	dir := writeFiles(t, map[string]string{
		"c.yml":     "auths: {a: {bearer_token_file: p, http_headers: {X-Key: {files: [p]}}}}\ntargets: [{name: a, uri: 'https://h/', auth: a}]\ntarget_files: ['t/*']\n",
		"wrong.yml": "auths: {a: {bearer_token_file: p, nosuch: 1}}\n",
		"t/a":       "[]\n",
		"p":         "x",
	})
	before := descriptors()
	for range 50 {
		if _, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")}); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse([]string{"--config.file", filepath.Join(dir, "wrong.yml")}); err == nil {
			t.Fatal("no error")
		}
	}
	if after := descriptors(); after > before+10 { // the runtime may open some
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
