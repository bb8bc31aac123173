//go:build linux

package docs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// startTimeout is generous: a busy machine builds beside.
const startTimeout = time.Minute

// programs builds the exporter and kamrpc, once, and returns the directory.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var built string // the directory, for TestMain to remove

var buildPrograms = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		return "", err
	}
	built = dir
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", dir, "../cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		if err := os.RemoveAll(built); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// exporter is a running exporter.
type exporter struct {
	t       *testing.T
	address string
	log     *child.Log
	ended   chan struct{}
}

// startExporter starts a command that is an exporter, and waits until it listens. It ends with the test.
func startExporter(t *testing.T, cmd *exec.Cmd) *exporter {
	t.Helper()
	e := &exporter{t: t, log: child.NewLog(), ended: make(chan struct{})}
	cmd.Stderr = e.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.ended)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the exporter ended with %v", err)
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("end the exporter: %v", err)
		}
		<-e.ended
	})
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
	program := filepath.Join(programs(t), "kamailio_exporter")
	return startExporter(t, exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"-l", "127.0.0.1:0"}, args...)...))
}

// scrape fetches the metrics.
func (e *exporter) scrape() string {
	e.t.Helper()
	return get(e.t, "http://"+e.address+"/metrics")
}

var problem = regexp.MustCompile(`.*level=ERROR.*`)

// problem is the first line of the log that is an error.
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
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, response.Status, err)
	}
	return string(body)
}

// play sends SIP traffic through k until the test ends, or stop is called.
func play(t *testing.T, k *lab.Kamailio) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lab.Traffic(ctx, k) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("traffic: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
