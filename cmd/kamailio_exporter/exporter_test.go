package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// asExporter makes the test program run as the exporter, so that tests run the whole
// program with the race detector.
const asExporter = "KAMAILIO_EXPORTER_TEST_AS_EXPORTER"

func TestMain(m *testing.M) {
	if os.Getenv(asExporter) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// exporter is a running exporter.
type exporter struct {
	t       *testing.T
	url     string
	process *os.Process
	log     *child.Log
	ended   chan struct{}
}

// logPatience is the maximum time to wait for a line of the log.
const logPatience = 30 * time.Second

// awaitLog waits until the log matches the pattern. The exporter may log problems of a
// scrape after it has sent the page.
func (e *exporter) awaitLog(pattern string) {
	e.t.Helper()
	if _, err := e.log.Await(regexp.MustCompile(pattern), e.ended, logPatience); err != nil {
		e.t.Fatal("the exporter: ", err)
	}
}

// command returns the exporter with these arguments. It is not started yet.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// The race detector waits a second at the end of a program by default.
	cmd.Env = append(os.Environ(), asExporter+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// start starts an exporter on a free port, and ends it with the test.
func start(t *testing.T, args ...string) *exporter {
	t.Helper()
	return startCommand(t, command(context.WithoutCancel(t.Context()), append([]string{"-l", "127.0.0.1:0"}, args...)...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *exporter {
	t.Helper()
	e := runCommand(t, cmd)
	e.awaitListening()
	return e
}

// runCommand starts an exporter and does not wait until it listens.
func runCommand(t *testing.T, cmd *exec.Cmd) *exporter {
	t.Helper()
	e := &exporter{t: t, log: child.NewLog(), ended: make(chan struct{})}
	cmd.Stderr = e.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.process = cmd.Process
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
		if t.Failed() {
			t.Logf("the exporter's log:\n%s", e.log)
		}
	})
	return e
}

// awaitListening waits until the exporter listens.
func (e *exporter) awaitListening() {
	e.t.Helper()
	address, err := e.log.Await(child.Listening, e.ended, logPatience)
	if err != nil {
		e.t.Fatal("the exporter: ", err)
	}
	e.url = "http://" + address[1]
}

// get gets a page. headers alternates names and values.
func (e *exporter) get(path string, headers ...string) (*http.Response, []byte) {
	e.t.Helper()
	return e.request(http.MethodGet, path, headers...)
}

// request sends a request without a body. headers alternates names and values.
func (e *exporter) request(method, path string, headers ...string) (*http.Response, []byte) {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, http.NoBody)
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return response, body
}

// getFamilies gets the metrics in protobuf and returns the families by name.
func (e *exporter) getFamilies() map[string]*dto.MetricFamily {
	e.t.Helper()
	response, body := e.get("/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.ResponseFormat(response.Header))
	found := map[string]*dto.MetricFamily{}
	for {
		family := &dto.MetricFamily{}
		err := decoder.Decode(family)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			e.t.Fatal(err)
		}
		found[family.GetName()] = family
	}
}

// page has the samples of a scrape, by name and labels in the form of the text format.
type page map[string]float64

// scrape gets the metrics. Each line must be valid.
func (e *exporter) scrape(headers ...string) page {
	e.t.Helper()
	response, body := e.get("/metrics", headers...)
	if response.StatusCode != http.StatusOK {
		e.t.Fatalf("status %s: %s", response.Status, body)
	}
	return parsePage(e.t, body)
}

func parsePage(t *testing.T, body []byte) page {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	found := page{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			found[family.GetName()+labelText(m.GetLabel())] = sampleValue(m)
		}
	}
	return found
}

func labelText(pairs []*dto.LabelPair) string {
	if len(pairs) == 0 {
		return ""
	}
	var texts []string
	for _, pair := range pairs {
		texts = append(texts, pair.GetName()+`="`+pair.GetValue()+`"`)
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func sampleValue(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetUntyped() != nil:
		return m.GetUntyped().GetValue()
	default:
		return m.GetGauge().GetValue()
	}
}

// check compares the value of one series.
func (p page) check(t *testing.T, series string, want float64) {
	t.Helper()
	if got, ok := p[series]; !ok || got != want {
		t.Errorf("%s is %v (on the page: %t), want %v", series, got, ok, want)
	}
}
