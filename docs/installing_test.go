//go:build linux

package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const module = "github.com/kamailio-exporter/kamailio_exporter/v3"

// TestInstallFromModuleProxy runs the commands of the pages that get the module by its version. The module proxy is a directory
// with the repository as that version; other modules come from this machine's module cache.
func TestInstallFromModuleProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs; run without -short")
	}
	version := "v" + strings.TrimSpace(readPage(t, "../VERSION"))
	useModuleProxy(t, newModuleProxy(t, version))
	fresh := t.TempDir()
	run(t, fresh, "go", "mod", "init", "example.com/fresh")
	tested := 0
	for _, b := range blocks(t, "console") {
		if strings.HasPrefix(b.mark, "from the module proxy") {
			run(t, fresh, "sh", "-e", "-c", b.text)
			tested++
		}
	}
	if tested != 2 {
		t.Fatalf("%d blocks are marked, want that of installing.md and that of library.md", tested)
	}

	bin := filepath.Join(os.Getenv("GOPATH"), "bin")
	for _, program := range []string{"kamailio_exporter", "kamrpc"} {
		want := program + ", version " + version[1:] + " ("
		if out := run(t, "", filepath.Join(bin, program), "--version"); !strings.HasPrefix(out, want) {
			t.Errorf("%s --version prints %q, want %q first", program, out, want)
		}
	}
	exporter := exec.CommandContext(t.Context(), filepath.Join(bin, "kamailio_exporter"), "-l", "127.0.0.1:0", "-u", "unix:/no/such/socket")
	if page := startExporter(t, exporter).scrape(); !strings.Contains(page, `,version="`+version[1:]+`"} 1`) {
		t.Errorf("kamailio_exporter_build_info does not have the version:\n%s", page)
	}

	for _, b := range blocks(t, "go") {
		if b.mark == "program" {
			writeFile(t, filepath.Join(fresh, "main.go"), b.text)
		}
	}
	run(t, fresh, "go", "mod", "tidy")
	run(t, fresh, "go", "build")
	if required := run(t, fresh, "go", "list", "-m", module); required != module+" "+version+"\n" {
		t.Errorf("the fresh module requires %q", required)
	}
}

// newModuleProxy returns a directory with this repository's files, as Git knows them, as a version of the module. See
// https://go.dev/ref/mod#goproxy-protocol.
func newModuleProxy(t *testing.T, version string) string {
	t.Helper()
	proxy := t.TempDir()
	dir := filepath.Join(proxy, module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "list"), version+"\n")
	writeFile(t, filepath.Join(dir, version+".info"), fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339)))
	writeFile(t, filepath.Join(dir, version+".mod"), readPage(t, "../go.mod"))
	// packaging/kubernetes is a module of its own.
	run(t, copyRepository(t), "sh", "-e", "-c", `git archive --format=zip --prefix="$1" --output="$2" "$(git write-tree)" ':!packaging/kubernetes'`,
		"sh", module+"@"+version+"/", filepath.Join(dir, version+".zip"))
	return proxy
}

// useModuleProxy makes the go command use a proxy and a GOPATH with nothing in it. Paths are left out of what it builds, so that
// it finds the other modules' packages in the build cache.
func useModuleProxy(t *testing.T, proxy string) {
	t.Helper()
	cache := strings.TrimSpace(run(t, "", "go", "env", "GOMODCACHE"))
	for name, value := range map[string]string{
		"GOPROXY":     "file://" + proxy + ",file://" + filepath.Join(cache, "cache/download"),
		"GOPATH":      t.TempDir(),
		"GOBIN":       "",
		"GOMODCACHE":  "",
		"GOFLAGS":     "-modcacherw -trimpath",
		"CGO_ENABLED": "0",
		"GOSUMDB":     "off",
		"GOWORK":      "off",
	} {
		t.Setenv(name, value)
	}
}
