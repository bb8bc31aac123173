//go:build linux

package docs_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// startTimeout is long enough for a busy machine.
const startTimeout = time.Minute

// exporter is a running exporter.
type exporter struct {
	t       *testing.T
	process *os.Process
	address string
	log     *child.Log
	ended   chan struct{}
}

// startExporter starts a command that is an exporter, and waits until it listens. The command ends with its context, which is
// the test's.
func startExporter(t *testing.T, cmd *exec.Cmd) *exporter {
	t.Helper()
	e := &exporter{t: t, log: child.NewLog(), ended: make(chan struct{})}
	cmd.Stderr = e.log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.process = cmd.Process
	go func() {
		defer close(e.ended)
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the exporter ended with %v", err)
		}
	}()
	t.Cleanup(func() { <-e.ended })
	listening, err := e.log.Await(child.Listening, e.ended, startTimeout)
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	e.address = listening[1]
	return e
}

// start starts the exporter with these flags on a free port.
func start(t *testing.T, args ...string) *exporter {
	t.Helper()
	program := filepath.Join(programs, "kamailio_exporter")
	return startExporter(t, exec.CommandContext(t.Context(), program, append([]string{"-l", "127.0.0.1:0"}, args...)...))
}

// scrape fetches the metrics.
func (e *exporter) scrape() string {
	e.t.Helper()
	return get(e.t, "http://"+e.address+"/metrics")
}

// signal sends a signal to the exporter.
func (e *exporter) signal(sig os.Signal) {
	e.t.Helper()
	if err := e.process.Signal(sig); err != nil {
		e.t.Fatal(err)
	}
}

var problem = regexp.MustCompile(`.*level=ERROR.*`)

// problem returns the first line of the log that is an error.
func (e *exporter) problem() string {
	e.t.Helper()
	line, err := e.log.Await(problem, e.ended, startTimeout)
	if err != nil {
		e.t.Fatal("the exporter: ", err)
	}
	return line[0]
}

func get(t *testing.T, url string) string {
	t.Helper()
	body, status := fetch(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d", url, status)
	}
	return body
}

func fetch(t *testing.T, url string) (body string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), response.StatusCode
}

// withPrograms is an environment with the programs in its path.
func withPrograms() []string {
	return append(os.Environ(), "GIT_PAGER=cat", "PATH="+programs+":"+os.Getenv("PATH"))
}

// run runs a command in a directory and returns what it prints.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = withPrograms()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// play sends SIP traffic through k until an exporter has counted some calls.
func play(t *testing.T, k *lab.Kamailio, e *exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- lab.Traffic(ctx, k) }()
	for series(e.scrape())["kamailio_dialog_processed_total"] < 6 {
		if ctx.Err() != nil {
			t.Fatal("there are no calls")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("traffic: %v", err)
	}
}
