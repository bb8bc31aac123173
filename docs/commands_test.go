//go:build linux

package docs_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// notRun are the first lines of the blocks of commands that the tests cannot run, and why. Those that need root, and no
// other machine, packaging's tests run for the most part.
var notRun = map[string]string{
	"curl -fL https://github.com/kamailio-exporter/kamailio_exporter/releases/download/v3.0.0/kamailio_exporter-3.0.0.linux-amd64.tar.gz | tar xz":         "needs the release",
	"curl -fL https://github.com/kamailio-exporter/kamailio_exporter/releases/download/v3.0.0/kamailio_exporter-3.0.0.linux-amd64.tar.gz | tar xz -C /tmp": "needs the release",
	"curl -fLO https://github.com/kamailio-exporter/kamailio_exporter/releases/download/v3.0.0/kamailio-exporter_3.0.0_amd64.deb":                          "needs the release and root",
	"sudo dnf install https://github.com/kamailio-exporter/kamailio_exporter/releases/download/v3.0.0/kamailio-exporter-3.0.0-1.x86_64.rpm":                "needs the release and root",
	"wget https://github.com/kamailio-exporter/kamailio_exporter/releases/download/v3.0.0/kamailio-exporter_3.0.0_x86_64.apk":                              "needs the release and Alpine",
	"sha256sum --check --ignore-missing sha256sums.txt": "needs the release",
	"make run": "is what internal/lab/cmd/lab tests, and make test is what runs this",
	"ls -ld /run/kamailio /run/kamailio/kamailio_ctl":           "needs an installed Kamailio",
	"grep -rn '\"ctl\"' /etc/kamailio/":                         "needs an installed Kamailio",
	"systemctl status kamailio":                                 "needs an installed Kamailio",
	"sudo usermod --append --groups kamailio kamailio_exporter": "needs root",
	"sudo editor /etc/default/kamailio_exporter":                "needs root and a terminal",
	"sudo useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin kamailio_exporter": "needs root",
	"sudo systemctl disable --now kamailio_exporter.service":                                                                  "needs root and systemd",
	"systemd-analyze security kamailio_exporter.service":                                                                      "needs systemd",
	"sudo systemctl edit kamailio_exporter":                                                                                   "needs root and a terminal",
	"ss -ltnp 'sport = :9494'":                                                                                                "needs iproute2",
	"docker run --name kamailio_exporter --restart unless-stopped -p 127.0.0.1:9494:9494 --read-only --cap-drop ALL \\":       "needs Docker",
	"kubectl apply -f packaging/kubernetes/sidecar.yaml":                                                                      "needs a cluster",
	"kubectl apply -f packaging/kubernetes/podmonitor.yaml":                                                                   "needs a cluster",
	"go install github.com/kamailio-exporter/kamailio_exporter/v3/cmd/kamailio_exporter@v3.0.0":                               "needs the repository's host",
	"go get github.com/kamailio-exporter/kamailio_exporter/v3@v3.0.0":                                                         "needs the repository's host",
	"git clone https://github.com/kamailio-exporter/kamailio_exporter":                                                        "needs the repository's host",
	"promtool check config /etc/prometheus/prometheus.yml":                                                                    "needs an installed Prometheus; TestYAML runs it on the pages' own",
}

// TestCommandsNotRun fails for a block that neither runs nor has a reason, and for a reason without a block.
func TestCommandsNotRun(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range blocksOf(t, "console") {
		first, _, _ := strings.Cut(b.text, "\n")
		seen[first] = true
		if notRun[first] == "" {
			t.Errorf("%s:%d: mark it sh and let it run, or say in notRun why not: %s", b.page, b.line, first)
		}
	}
	for first := range notRun {
		if !seen[first] {
			t.Errorf("no page has %s", first)
		}
	}
}

// commandTimeout is the most that one block may take; go test may have to build.
const commandTimeout = 5 * time.Minute

// inTheRepository marks blocks that are to run in the repository.
const inTheRepository = "in the repository"

// TestCommands runs every block of commands as it is written, but for the addresses: the programs' defaults, and those in the
// text, become those of a Kamailio of the lab and of an exporter that runs beside.
func TestCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: the pages' commands need curl")
	}
	k := lab.StartTest(t, lab.Options{})
	beside := start(t, "-u", k.URI("unix"))
	play(t, k)
	awaitCalls(t, beside)
	wrappers := writeWrappers(t, programs(t), k)
	for _, b := range blocksOf(t, "sh") {
		if b.mark == inTheCopy {
			continue // TestArchitecture runs it
		}
		t.Run(filepath.Base(b.page), func(t *testing.T) {
			t.Logf("line %d: %s", b.line, b.text)
			text := withAddresses(b.text, k)
			if isServer(text) {
				serve(t, wrappers, strings.ReplaceAll(text, "127.0.0.1:9494", "127.0.0.1:0"))
				return
			}
			out, err := shell(t, wrappers, b.mark, strings.ReplaceAll(text, "localhost:9494", beside.address)).CombinedOutput()
			if err != nil || len(bytes.TrimSpace(out)) == 0 {
				t.Errorf("%v; it prints\n%s", err, out)
			}
		})
	}
}

// isServer tells whether a block starts an exporter that runs until it is ended.
func isServer(text string) bool {
	args, ok := strings.CutPrefix(text, "kamailio_exporter")
	return ok && !strings.Contains(args, "--help") && !strings.Contains(args, "--version")
}

// serve starts the exporter of a block and sees that all goes well in a scrape.
func serve(t *testing.T, wrappers, text string) {
	t.Helper()
	page := startExporter(t, shell(t, wrappers, "", "exec "+text)).scrape()
	for line := range strings.Lines(page) {
		if line == "kamailio_up 0\n" || strings.HasPrefix(line, "kamailio_exporter_collector_success{") && strings.HasSuffix(line, " 0\n") {
			t.Errorf("it gives %s", line)
		}
	}
}

// shell is a shell that runs text with the wrappers in its path, in a directory of its own.
func shell(t *testing.T, wrappers, mark, text string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", text)
	cmd.Dir = t.TempDir()
	if mark == inTheRepository {
		cmd.Dir = ".."
	}
	cmd.Env = append(os.Environ(), "PATH="+wrappers+":"+os.Getenv("PATH"))
	return cmd
}

// withAddresses puts the lab's addresses in the place of those that the pages use.
func withAddresses(text string, k *lab.Kamailio) string {
	return strings.NewReplacer(
		"/var/run/kamailio/kamailio_ctl", strings.TrimPrefix(k.URI("unix"), "unix:"),
		"tcp://127.0.0.1:2046", k.URI("tcp"),
		"127.0.0.1:5060", k.SIPAddr(),
	).Replace(text)
}

// writeWrappers makes programs of the same names that differ in their defaults: the lab's socket, and a free port.
func writeWrappers(t *testing.T, programs string, k *lab.Kamailio) string {
	t.Helper()
	dir := t.TempDir()
	for name, defaults := range map[string]string{
		"kamailio_exporter": socketDefault(k) + "case \" $* \" in *listen-address*) ;; *) set -- --web.listen-address=127.0.0.1:0 \"$@\" ;; esac\n",
		"kamrpc":            socketDefault(k),
	} {
		script := "#!/bin/sh\n" + defaults + "exec " + filepath.Join(programs, name) + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func socketDefault(k *lab.Kamailio) string {
	return "case \" $* \" in *\" -u \"*) ;; *) set -- -u " + k.URI("unix") + " \"$@\" ;; esac\n"
}
