//go:build linux

package mixin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

const (
	// speedup is the number by which the live test divides all durations of the rules and of Alertmanager: a minute becomes a second.
	speedup = 60
	// patience is the maximum time to wait for an alert. Most need less than 20 s on an idle machine.
	patience = 3 * time.Minute
	// pollInterval is the time between two requests to Prometheus or Alertmanager.
	pollInterval = 200 * time.Millisecond
)

// shorter returns a duration in the text form of Prometheus, divided by speedup.
func shorter(t *testing.T, text string) string {
	t.Helper()
	duration, err := model.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return (duration / speedup).String()
}

// shorterExpr returns an expression whose windows and offsets are divided by speedup. Numbers, such as thresholds and the time of
// predict_linear, remain.
func shorterExpr(t *testing.T, text string) string {
	t.Helper()
	expr, err := promQL.ParseExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.MatrixSelector:
			node.Range /= speedup
		case *parser.SubqueryExpr:
			node.Range, node.Step, node.OriginalOffset = node.Range/speedup, node.Step/speedup, node.OriginalOffset/speedup
		case *parser.VectorSelector:
			node.OriginalOffset /= speedup
		}
		return nil
	})
	return expr.String()
}

// shorterFile copies a file of rules or of Alertmanager to a directory, with shorter durations and with the URLs of another
// receiver. It returns the path of the copy.
func shorterFile(t *testing.T, name, dir, receiver string) string {
	t.Helper()
	var content any
	decode(t, name, &content)
	var visit func(node any)
	visit = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, element := range node {
				visit(element)
			}
		case map[string]any:
			for key, value := range node {
				text, _ := value.(string)
				switch key {
				case "for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval":
					node[key] = shorter(t, text)
				case "expr":
					node[key] = shorterExpr(t, text)
				case "url":
					node[key] = strings.Replace(text, "http://localhost:9095", receiver, 1)
				default:
					visit(value)
				}
			}
		}
	}
	visit(content)
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	writeFile(t, path, string(text))
	return path
}

// notice is the part of a notification that is about one alert. key is its instance and its name.
type notice struct {
	key, status string
}

// inbox is the receiver of Alertmanager's notifications.
type inbox struct {
	mu      sync.Mutex
	notices []notice
	changed chan struct{} // closed and replaced at each notification
}

// ServeHTTP stores a notification.
func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, alert := range message.Alerts {
		b.notices = append(b.notices, notice{keyOf(alert.Labels), alert.Status})
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func keyOf(labels map[string]string) string { return labels["instance"] + " " + labels["alertname"] }

// all returns all notices so far, and a channel that is closed when there are more.
func (b *inbox) all() ([]notice, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notices), b.changed
}

// await waits until the last notices of some alerts have a status: firing or resolved.
func (b *inbox) await(t *testing.T, status string, keys ...string) {
	t.Helper()
	late := time.After(patience)
	for {
		notices, changed := b.all()
		last := map[string]string{}
		for _, n := range notices {
			last[n.key] = n.status
		}
		missing := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return last[key] == status })
		if len(missing) == 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("after %v, %q are not %s; the receiver has\n%v", patience, missing, status, notices)
		}
	}
}

// stack is an exporter, a Prometheus and an Alertmanager with the files of this directory, whose durations are shorter.
type stack struct {
	*inbox
	dir                                string
	program                            string // the exporter
	exporter, prometheus, alertmanager *lab.Server
}

// startStack starts everything with a configuration file of the exporter, and with more jobs of Prometheus.
func startStack(t *testing.T, config, jobs string) *stack {
	t.Helper()
	s := &stack{inbox: &inbox{changed: make(chan struct{})}, dir: t.TempDir()}
	receiver := httptest.NewServer(s.inbox)
	t.Cleanup(receiver.Close)
	s.program = filepath.Join(s.dir, "kamailio_exporter")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", s.program, "./cmd/kamailio_exporter")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the exporter: %v\n%s", err, out)
	}
	writeFile(t, s.configFile(), config)
	s.exporter = startServer(t, s.program, "--web.listen-address=127.0.0.1:0", "--config.file="+s.configFile(), "--web.enable-lifecycle")

	server, err := lab.RunAlertmanager(t.Context(), shorterFile(t, "alertmanager.yml", s.dir, receiver.URL), filepath.Join(s.dir, "alertmanager"))
	s.alertmanager = stopping(t, server, err)
	file := filepath.Join(s.dir, "prometheus.yml")
	writeFile(t, file, fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q, %q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- {job_name: kamailio, http_sd_configs: [{url: %q}]}
- {job_name: kamailio-exporter, static_configs: [{targets: [%q], labels: {instance: exporter}}]}
%s`, shorterFile(t, "alerts.yml", s.dir, ""), shorterFile(t, "rules.yml", s.dir, ""), strings.TrimPrefix(s.alertmanager.URL, "http://"),
		s.exporter.URL+"/sd", strings.TrimPrefix(s.exporter.URL, "http://"), jobs))
	server, err = lab.RunPrometheus(t.Context(), file, filepath.Join(s.dir, "prometheus"))
	s.prometheus = stopping(t, server, err)
	return s
}

func (s *stack) configFile() string { return filepath.Join(s.dir, "kamailio_exporter.yml") }

// startServer starts a server that ends with the test.
func startServer(t *testing.T, program string, args ...string) *lab.Server {
	t.Helper()
	server, err := lab.StartServer(t.Context(), program, args...)
	return stopping(t, server, err)
}

// stopping returns a server that was started without error, and stops it at the end of the test.
func stopping(t *testing.T, server *lab.Server, err error) *lab.Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Stop()
		if t.Failed() {
			t.Logf("the log of the server at %s:\n%s", server.URL, server.Log)
		}
	})
	return server
}

// request sends a request to a server, and decodes its JSON if result is not nil and the status is 200. It returns the status.
func request(t *testing.T, method, url string, result any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if result == nil || response.StatusCode != http.StatusOK {
		return response.StatusCode
	}
	if err := json.NewDecoder(response.Body).Decode(result); err != nil {
		t.Fatalf("%s: %s: %v", url, response.Status, err)
	}
	return response.StatusCode
}

// awaitSeries waits until an expression has a result in Prometheus.
func (s *stack) awaitSeries(t *testing.T, expression string) {
	t.Helper()
	awaitTrue(t, expression, func() bool {
		var reply struct {
			Data struct{ Result []any }
		}
		request(t, http.MethodGet, s.prometheus.URL+"/api/v1/query?query="+url.QueryEscape(expression), &reply)
		return len(reply.Data.Result) > 0
	})
}

// awaitInhibited waits until an alert is inhibited by another one of the same instance.
func (s *stack) awaitInhibited(t *testing.T, key, by string) {
	t.Helper()
	awaitTrue(t, key+" is inhibited by "+by, func() bool {
		var alerts []struct {
			Fingerprint string
			Labels      map[string]string
			Status      struct{ InhibitedBy []string }
		}
		request(t, http.MethodGet, s.alertmanager.URL+"/api/v2/alerts", &alerts)
		names := map[string]string{}
		for _, alert := range alerts {
			names[alert.Fingerprint] = alert.Labels["alertname"]
		}
		for _, alert := range alerts {
			for _, source := range alert.Status.InhibitedBy {
				if keyOf(alert.Labels) == key && names[source] == by {
					return true
				}
			}
		}
		return false
	})
}

// awaitTrue calls a function until it returns true. what describes that.
func awaitTrue(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v, still waiting for: %s", patience, what)
		}
	}
}
