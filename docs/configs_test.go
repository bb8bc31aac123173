//go:build linux

package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/config"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestYAML gives each block of YAML to the program that is to read it; all of them refuse a field that they do not know.
func TestYAML(t *testing.T) {
	for _, b := range blocksOf(t, "yaml") {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(b.page), b.line), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "block.yml")
			writeFile(t, file, b.text)
			switch {
			case strings.HasPrefix(b.text, "scrape_configs:"):
				promtool(t, "check", "config", file)
			case strings.HasPrefix(b.text, "groups:"):
				promtool(t, "check", "rules", file)
			case b.mark == "http-config":
				if _, _, err := config.LoadHTTPConfigFile(file); err != nil {
					t.Error(err)
				}
			case b.mark == "web-config":
				checkWebConfig(t, file, b.text)
			default:
				t.Error("no program is known to read it: mark it, and give it to one here")
			}
		})
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("fetches promtool; run without -short")
	}
	program, err := lab.Tool(t.Context(), "promtool")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

// checkWebConfig puts files of the test in the place of those that the block names.
func checkWebConfig(t *testing.T, file, text string) {
	t.Helper()
	dir := t.TempDir()
	k := lab.StartTest(t, lab.Options{}) // has a certificate
	for _, end := range []string{"crt", "key"} {
		pem, err := os.ReadFile(filepath.Join(k.Dir, "tls."+end))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "kamailio_exporter."+end), string(pem))
	}
	writeFile(t, file, strings.ReplaceAll(text, "/etc/", dir+"/"))
	if err := toolkit.Validate(file); err != nil {
		t.Error(err)
	}
}

var unitKey = regexp.MustCompile(`^(\[Service\]|[A-Z][A-Za-z]+=.+)$`)

// TestUnits looks at the form of what goes into a unit; whether systemd takes the unit is packaging's to test.
func TestUnits(t *testing.T) {
	for _, b := range blocksOf(t, "ini") {
		for line := range strings.Lines(b.text) {
			if !unitKey.MatchString(strings.TrimSpace(line)) {
				t.Errorf("%s:%d: %s", b.page, b.line, line)
			}
		}
	}
}

// TestKamailioConfigs starts a Kamailio with each block of its configuration, and asks it.
func TestKamailioConfigs(t *testing.T) {
	for _, b := range blocksOf(t, "kamailio") {
		t.Run(fmt.Sprintf("%s:%d", filepath.Base(b.page), b.line), func(t *testing.T) {
			dir, err := os.MkdirTemp("", "kd") // short: it is a socket's
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			address := freeAddress(t)
			k := lab.StartTest(t, lab.Options{Minimal: true, Config: ownConfig(t, b.text, dir, address)})
			if strings.Contains(b.text, "tcp:") {
				checkUp(t, "tcp://"+address)
			}
			if sockets, _ := filepath.Glob(filepath.Join(dir, "*ctl")); len(sockets) == 1 {
				checkSocket(t, sockets[0], strings.Contains(b.text, "0660"))
			}
			if strings.Contains(b.text, "jsonrpc_dispatch") {
				checkUp(t, k.JSONRPCURL())
			}
			if strings.Contains(b.text, "prom_dispatch") {
				get(t, "http://"+k.SIPAddr()+"/metrics")
			}
			if strings.Contains(b.text, "event_route[xhttp:request]") {
				checkRefusal(t, "http://"+k.SIPAddr()+"/other")
			}
		})
	}
}

// ownConfig is a block with what is not the same everywhere replaced: directories, ports, groups.
func ownConfig(t *testing.T, text, dir, address string) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		`loadmodule "ctl.so"`, "", // the lab has it
		"tcp_accept_no_cl=yes", "", // and this, above the modules
		"/var/run/kamailio/", dir+"/",
		"/var/run/", dir+"/",
		"127.0.0.1:2046", address,
		`"group", "kamailio_exporter"`, fmt.Sprintf("%q, %q", "group", group.Name),
	).Replace(text)
}

func checkSocket(t *testing.T, socket string, groups bool) {
	t.Helper()
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	want := fs.FileMode(0o600)
	if groups {
		want = 0o660
	}
	if info.Mode().Perm() != want {
		t.Errorf("the socket has mode %o, want %o", info.Mode().Perm(), want)
	}
	checkUp(t, "unix:"+socket)
}

// checkUp sees that Kamailio answers there.
func checkUp(t *testing.T, uri string) {
	t.Helper()
	if page := start(t, "-u", uri).scrape(); !strings.Contains(page, "\nkamailio_up 1\n") {
		t.Errorf("%s gives\n%s", uri, page)
	}
}

// freeAddress is one where nobody listens yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// checkRefusal asks for a page that the script is not to have.
func checkRefusal(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, url, bytes.NewBufferString("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("%s: %s", url, response.Status)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
