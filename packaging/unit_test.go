//go:build linux

package packaging

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

var systemd = debian.Set{
	Name: "systemd", Packages: []string{"systemd"}, LibDirs: []string{"systemd"},
	Programs: []string{"systemd-analyze", "systemd-socket-activate"},
}

const (
	unitPath     = "systemd/kamailio_exporter.service"
	templatePath = "systemd/kamailio_exporter@.service"
)

// TestTemplateEqualsUnit checks that the unit for several instances has the settings of the unit for one, except for the flags.
func TestTemplateEqualsUnit(t *testing.T) {
	want := strings.NewReplacer(
		"Kamailio SIP server\n", "Kamailio SIP server (%i)\n",
		"EnvironmentFile=-/etc/default/kamailio_exporter\n", "EnvironmentFile=/etc/default/kamailio_exporter-%i\n",
	).Replace(settings(t, unitPath))
	wantText(t, "the template", settings(t, templatePath), want)
}

// settings returns the lines of a unit that are not comments.
func settings(t *testing.T, unit string) string {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(string(contents(t, unit))) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// commentedOut matches the mark of a line of the example that is commented out.
var commentedOut = regexp.MustCompile(`(?m)^#( *(?:- )?\w+:)`)

// TestExampleConfiguration checks the configuration file that the packages have as an example, without and with the lines that
// are commented out.
func TestExampleConfiguration(t *testing.T) {
	const example = "../examples/kamailio_exporter.yml"
	checkTargets(t, example, "sbc1", "sbc2")
	whole := filepath.Join(t.TempDir(), "kamailio_exporter.yml")
	writeFile(t, whole, commentedOut.ReplaceAllString(string(contents(t, example)), "$1"))
	writeFile(t, filepath.Join(filepath.Dir(whole), "noc.password"), "secret")
	checkTargets(t, whole, "sbc1", "sbc2", "sbc3")
}

// checkTargets checks that the exporter accepts a configuration file, and that the file has these targets.
func checkTargets(t *testing.T, file string, want ...string) {
	t.Helper()
	cfg, err := config.Parse([]string{"--config.check", "--config.file=" + file})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, target := range cfg.Targets {
		names = append(names, target.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s has the targets %q, want %q", file, names, want)
	}
}

// TestCentralConfiguration checks the configuration file of the Kubernetes manifest for many targets, next to the files of its
// Secret. packaging/kubernetes checks that the volume has both in one directory.
func TestCentralConfiguration(t *testing.T) {
	dir := t.TempDir()
	for document := range strings.SplitSeq(string(contents(t, "kubernetes/central.yaml")), "\n---\n") {
		var object struct {
			Data       map[string]string
			StringData map[string]string `yaml:"stringData"`
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		for _, files := range []map[string]string{object.Data, object.StringData} {
			for name, text := range files {
				writeFile(t, filepath.Join(dir, name), text)
			}
		}
	}
	checkTargets(t, filepath.Join(dir, "kamailio_exporter.yml"), "sbc1", "sbc2")
}

// TestUnitVerifies runs systemd-analyze verify on all units, next to systemd's own units. It must print nothing.
func TestUnitVerifies(t *testing.T) {
	deb := only(t, "*_"+thisPlatform(t).deb+".deb")
	analyze := tool(t, systemd, "systemd-analyze")
	root := filepath.Join(t.TempDir(), "root")
	output(t, "dpkg-deb", "-x", deb, root)
	output(t, "install", "-D", "/bin/kill", root+"/bin/kill") // of Debian's procps
	own := filepath.Join(filepath.Dir(filepath.Dir(analyze)), "root/lib/systemd/system")
	if err := os.CopyFS(filepath.Join(root, "lib/systemd/system"), os.DirFS(own)); err != nil {
		t.Fatal(err)
	}
	wantText(t, "the output", output(t, analyze, "verify", "--man=no", "--root="+root, "kamailio_exporter.service", "kamailio_exporter.socket",
		"kamailio_exporter@sbc1.service"), "")
}

// exposed matches a setting that systemd-analyze security recommends and the unit does not have, and reason a comment in the
// unit that gives the reason.
var (
	exposed = regexp.MustCompile(`(?m)^✗ (\S+)`)
	reason  = regexp.MustCompile(`(?m)^# ([A-Z]\S*=\S*?):? `)
)

func TestUnitSecurity(t *testing.T) {
	analyze := tool(t, systemd, "systemd-analyze")
	// The threshold is in tenths; the worst rating is 10.0.
	out := output(t, analyze, "security", "--offline=true", "--no-pager", "--threshold=20", unitPath)
	missing, reasons := firstGroups(exposed, out), firstGroups(reason, string(contents(t, unitPath)))
	if !slices.Equal(missing, reasons) {
		t.Errorf("the unit does not have\n%q and gives reasons for\n%q", missing, reasons)
	}
}

func firstGroups(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return found
}

// TestSocketActivation starts the exporter with systemd-socket-activate, which listens first and starts it with the first request.
func TestSocketActivation(t *testing.T) {
	program := exporter(t)
	activate := tool(t, systemd, "systemd-socket-activate")
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := start(t, nil, activate, "-l", address, program, "--web.systemd-socket", "--kamailio.scrape-uri=unix:/no/such/socket")
	p.await(t, "Listening on "+address)
	wantWords(t, "the page", get(t, "http://"+address+"/metrics"), []string{"\nkamailio_up 0\n"})
	p.await(t, "Listening on systemd activated listeners")
}

// process is a running program with its output.
type process struct {
	*child.Child
	stop func()
	log  *child.Log
}

// start starts a program, after change if that is not nil, and stops it when the test ends.
func start(t *testing.T, change func(*exec.Cmd), name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second
	log := child.NewLog()
	cmd.Stdout, cmd.Stderr = log, log
	if change != nil {
		change(cmd)
	}
	running, err := child.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	p := &process{running, func() {
		cancel()
		<-running.Done()
	}, log}
	onEnd(t, p.stop)
	return p
}

// await waits until the process prints a line with text, and returns the line.
func (p *process) await(t *testing.T, text string) string {
	t.Helper()
	match, err := p.log.Await(regexp.MustCompile(".*"+regexp.QuoteMeta(text)+".*"), p.Done(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return match[0]
}

// url waits until the process listens, and returns the URL of its metrics.
func (p *process) url(t *testing.T) string {
	t.Helper()
	match, err := p.log.Await(child.Listening, p.Done(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + match[1] + "/metrics"
}

// get fetches a page.
func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, response.Status, err, body)
	}
	return string(body)
}
