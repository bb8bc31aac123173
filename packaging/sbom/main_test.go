package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// writeArchive writes a tar.gz of files with their modes and contents.
func writeArchive(t *testing.T, files []tar.Header, contents ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar.gz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	for i, header := range files {
		header.Size = int64(len(contents[i]))
		if err := archive.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(contents[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRun lists what a real Go program was built from: gofmt of the installed Go, which needs the standard library only.
func TestRun(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(runtime.GOROOT(), "bin", "gofmt")) //nolint:staticcheck // the Go that runs the test
	if err != nil {
		t.Skip("there is no program to read: ", err)
	}
	archive := writeArchive(t, []tar.Header{{Name: "dir/README", Mode: 0o644}, {Name: "dir/gofmt", Mode: 0o755}}, "words", string(program))
	path := filepath.Join(t.TempDir(), "out.json")
	if err := run(archive, path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got document
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	if len(got.Components) == 0 || got.Components[0].Name != "cmd/gofmt" || got.Components[0].Hashes[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("components %+v", got.Components)
	}
	std := "pkg:golang/std@" + strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go")
	if !slices.ContainsFunc(got.Dependencies, func(d dependency) bool { return d.Ref == "gofmt" && slices.Contains(d.DependsOn, std) }) {
		t.Errorf("dependencies %+v, want that gofmt needs %s", got.Dependencies, std)
	}
}

func TestRunErrors(t *testing.T) {
	for what, archive := range map[string]string{
		"no Go program": writeArchive(t, []tar.Header{{Name: "dir/script", Mode: 0o755}}, "#!/bin/sh\n"),
		"no program":    writeArchive(t, []tar.Header{{Name: "dir/README", Mode: 0o644}}, "words"),
		"no archive":    "main.go",
		"no file":       "nosuch.tar.gz",
	} {
		if err := run(archive, filepath.Join(t.TempDir(), "out.json")); err == nil || !strings.Contains(err.Error(), archive) {
			t.Errorf("%s: error %v, want one that names the archive", what, err)
		}
	}
}

func TestNewModule(t *testing.T) {
	// A digest of go.sum is base64 of SHA-256, and hexadecimal in CycloneDX.
	got := newModule("example.org/m", "v1.2.3", "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=")
	want := component{
		Type: "library", Ref: "pkg:golang/example.org/m@v1.2.3", Name: "example.org/m", Version: "v1.2.3", PURL: "pkg:golang/example.org/m@v1.2.3",
		Hashes: []hash{{"SHA-256", strings.Repeat("0", 63) + "1"}},
	}
	if got.PURL != want.PURL || got.Ref != want.Ref || len(got.Hashes) != 1 || got.Hashes[0] != want.Hashes[0] {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := newModule("example.org/m", "v1.2.3", ""); got.Hashes != nil {
		t.Errorf("hashes %v of no sum", got.Hashes)
	}
}
