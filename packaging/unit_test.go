//go:build linux

package packaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

var systemd = debian.Set{
	Name: "systemd", Packages: []string{"systemd"}, LibDirs: []string{"systemd"},
	Programs: []string{"systemd-analyze", "systemd-socket-activate"},
}

const unitPath = "systemd/kamailio_exporter.service"

// maxExposure is the worst rating of systemd-analyze security that the unit may have, from 0 to 10.
const maxExposure = 2.0

// TestUnitVerifies lets systemd read both units where the deb puts them, beside systemd's own. It must have nothing to say.
func TestUnitVerifies(t *testing.T) {
	deb := only(t, "*_"+debArch(t)+".deb")
	analyze := tool(t, systemd, "systemd-analyze")
	root := filepath.Join(t.TempDir(), "root")
	output(t, "dpkg-deb", "-x", deb, root)
	own := filepath.Join(filepath.Dir(filepath.Dir(analyze)), "root/lib/systemd/system")
	if err := os.CopyFS(filepath.Join(root, "lib/systemd/system"), os.DirFS(own)); err != nil {
		t.Fatal(err)
	}
	said := output(t, analyze, "verify", "--man=no", "--root="+root, "kamailio_exporter.service", "kamailio_exporter.socket")
	if said != "" {
		t.Errorf("systemd-analyze verify says:\n%s", said)
	}
}

// exposed matches what systemd-analyze security would have, and leftOut a reason in the unit why it is not so.
var (
	exposed = regexp.MustCompile(`(?m)^✗ (\S+)`)
	leftOut = regexp.MustCompile(`(?m)^# ([A-Z]\S*=\S*?):? `)
	overall = regexp.MustCompile(`Overall exposure level for kamailio_exporter.service: (\S+)`)
)

func TestUnitSecurity(t *testing.T) {
	analyze := tool(t, systemd, "systemd-analyze")
	said := output(t, analyze, "security", "--offline=true", "--no-pager", unitPath)
	rating := overall.FindStringSubmatch(said)
	if rating == nil {
		t.Fatalf("there is no rating in\n%s", said)
	}
	if exposure, err := strconv.ParseFloat(rating[1], 64); err != nil || exposure > maxExposure {
		t.Errorf("the unit is rated %s, want %v or less:\n%s", rating[1], maxExposure, said)
	}
	missing, reasons := firstGroups(exposed, said), firstGroups(leftOut, string(contents(t, unitPath)))
	if !slices.Equal(missing, reasons) {
		t.Errorf("the unit leaves out\n%q and has reasons for\n%q", missing, reasons)
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

// TestSocketActivation lets systemd's own program listen in the exporter's place and start it with the first request.
func TestSocketActivation(t *testing.T) {
	program := exporter(t)
	activate := tool(t, systemd, "systemd-socket-activate")
	address := freeAddress(t)
	said := start(t, nil, activate, "-l", address, program, "--web.systemd-socket", "--kamailio.scrape-uri=unix:/no/such/socket")
	said.await(t, "Listening on "+address)
	if page := get(t, "http://"+address+"/metrics"); !strings.Contains(page, "\nkamailio_up 0\n") {
		t.Errorf("the page is\n%s", page)
	}
	said.await(t, "Listening on systemd activated listeners")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// process is a program under way and what it says.
type process struct {
	*child.Child
	stop func()
	log  *child.Log
}

// start starts a program that ends with the test at the latest. change, if not nil, may change how.
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

// await waits until the process says this, and returns the line.
func (p *process) await(t *testing.T, text string) string {
	t.Helper()
	line, err := p.says(text)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// says waits until the process says this, and returns the line; an error if it ends without.
func (p *process) says(text string) (line string, err error) {
	match, err := p.log.Await(regexp.MustCompile(".*"+regexp.QuoteMeta(text)+".*"), p.Done(), time.Minute)
	if err != nil {
		return "", err
	}
	return match[0], nil
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

// service is what a unit says of how to run it.
type service struct {
	user, group string
	command     []string // with the variables of the environment file put in
}

// readService reads an installed unit as far as it is needed to run its command line as its user.
func readService(unit string) (service, error) {
	text, err := os.ReadFile(unit)
	if err != nil {
		return service{}, err
	}
	settings := assignments(text)
	s := service{user: settings["User"], group: settings["Group"]}
	environment, err := os.ReadFile(strings.TrimPrefix(settings["EnvironmentFile"], "-"))
	if err != nil {
		return s, err
	}
	variables := assignments(environment)
	for _, word := range strings.Fields(settings["ExecStart"]) {
		name, isVariable := strings.CutPrefix(word, "$")
		if !isVariable {
			s.command = append(s.command, word)
			continue
		}
		value, known := variables[name]
		if !known {
			return s, fmt.Errorf("%s is not in %s", word, settings["EnvironmentFile"])
		}
		s.command = append(s.command, strings.Fields(value)...)
	}
	if s.user == "" || s.group == "" || len(s.command) == 0 {
		return s, errors.New("the unit has no user, no group or no command")
	}
	return s, nil
}

// assignments are the lines NAME=VALUE of a unit or of an environment file.
func assignments(text []byte) map[string]string {
	found := make(map[string]string)
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found[name] = strings.Trim(value, `"`)
		}
	}
	return found
}
