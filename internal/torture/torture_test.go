//go:build linux

// Package torture runs the exporter against hostile servers, a Kamailio in trouble, and many clients. It contains only tests.
// docs/reliability.md lists what they check.
package torture

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

var long = flag.Bool("long", false, "run the long part")

// patience is the maximum time to wait for an event on a busy machine.
const patience = time.Minute

// programs is the directory of the exporter and of the simulator, which TestMain builds without the race detector, whose memory
// would be measured too.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "torture")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // other users run the programs too
		log.Fatal(err)
	}
	programs = dir
	code := 0
	if !testing.Short() {
		code = buildAndRun(m)
	}
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) int {
	build := exec.CommandContext(context.Background(), "go", "build", "-o", programs, "../../cmd/kamailio_exporter", "../lab/cmd/simulate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		log.Printf("build the programs: %v: %s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		log.Print(err)
		return 1
	}
	return code
}

// exporter is a running exporter.
type exporter struct {
	pid   int
	url   string
	log   *child.Log
	ended <-chan struct{}
}

// start starts an exporter on a free port. It ends with the test.
func start(t *testing.T, args ...string) *exporter {
	t.Helper()
	return startAs(t, nil, args...)
}

// startAs starts an exporter as another user, or as this one if user is nil.
func startAs(t *testing.T, user *syscall.Credential, args ...string) *exporter {
	t.Helper()
	log := child.NewLog()
	pid, ended := startProgram(t, log, user, "kamailio_exporter", append([]string{"-l", "127.0.0.1:0"}, args...)...)
	listening, err := log.Await(child.Listening, ended, patience)
	if err != nil {
		t.Fatal(err)
	}
	return &exporter{pid: pid, url: "http://" + listening[1], log: log, ended: ended}
}

// startProgram starts one of the programs as a user, this one if it is nil. Its output goes to the log. It ends with the test.
func startProgram(t *testing.T, log *child.Log, user *syscall.Credential, name string, args ...string) (pid int, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = patience
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	process, err := child.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-process.Done()
		text := log.String()
		if match := regexp.MustCompile(`.*(panic|broke the collector|broke, please report it).*`).FindString(text); match != "" {
			t.Errorf("%s had a panic: %.2000s", name, match)
		}
		if t.Failed() {
			t.Logf("the output of %s ends:\n%s", name, text[max(0, len(text)-20_000):])
		}
	})
	return cmd.Process.Pid, process.Done()
}

// awaitLog waits until a line of the log about a target matches the pattern.
func (e *exporter) awaitLog(t *testing.T, target, pattern string) {
	t.Helper()
	about := regexp.MustCompile(`(?i)level=(ERROR|WARN).* target=` + target + ` .*(` + pattern + `)`)
	if _, err := e.log.Await(about, e.ended, patience); err != nil {
		t.Errorf("no line of the log about %s matches %q; it has %.2000q", target, pattern, e.linesAbout(target))
	}
}

// linesAbout returns the lines of the log about a target.
func (e *exporter) linesAbout(target string) []string {
	var lines []string
	for line := range strings.Lines(e.log.String()) {
		if strings.Contains(line, " target="+target+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// get fetches a page.
func (e *exporter) get(ctx context.Context, path string) (status int, page string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// mustGet fetches a page of metrics. It must be valid.
func (e *exporter) mustGet(t *testing.T, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	status, page, err := e.get(ctx, path)
	if err != nil || status != http.StatusOK {
		t.Errorf("get %s: status %d, %v: %.500s", path, status, err, page)
		return ""
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(page)); err != nil {
		t.Errorf("parse %s: %v", path, err)
	}
	return page
}

// samplesOf returns the values of a page by series.
func samplesOf(page string) map[string]float64 {
	samples := map[string]float64{}
	for line := range strings.Lines(page) {
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err == nil && line[0] != '#' {
			samples[line[:i]] = value
		}
	}
	return samples
}

// memory returns a value of the exporter's memory in bytes: VmRSS is what it uses now, VmHWM the peak.
func (e *exporter) memory(t *testing.T, line string) int {
	t.Helper()
	return 1024 * number(t, fmt.Sprintf("/proc/%d/status", e.pid), line+`:\s+(\d+) kB`)
}

// number returns the number in a file that matches the group of the pattern.
func number(t *testing.T, file, pattern string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		t.Fatalf("%s does not match %s:\n%s", file, pattern, text)
	}
	n, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
