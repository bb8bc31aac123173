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

// commandTimeout is the most that one block may take; go test may have to build.
const commandTimeout = 5 * time.Minute

// inTheRepository marks blocks that are to run in the repository.
const inTheRepository = "in the repository"

// TestCommands runs every block of sh as it is written, except for the addresses: the programs' defaults and those in the text
// become those of a Kamailio of the lab and of a running exporter. Blocks of console are not run: they need root, a release or
// another machine.
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
