//go:build linux

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"os/exec"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// TestDemo runs all programs of the demo, and waits until Prometheus has scraped the exporter and knows Alertmanager.
func TestDemo(t *testing.T) {
	checkTempDir(t)
	exporter := filepath.Join(t.TempDir(), "kamailio_exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exporter, "../../../../cmd/kamailio_exporter").CombinedOutput(); err != nil {
		t.Fatalf("build the exporter: %v\n%s", err, out)
	}
	mixin, err := filepath.Abs("../../../../mixin")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	printed, ended := child.NewLog(), make(chan struct{})
	go func() {
		defer close(ended)
		if err := demo(ctx, printed, exporter, mixin); err != nil {
			t.Error(err)
		}
	}()
	defer func() { cancel(); <-ended }()
	match, err := printed.Await(regexp.MustCompile(`Prometheus +(\S+)/graph`), ended, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	awaitJSON(t, match[1]+"/api/v1/query?query=kamailio_up==1", "result", 1)
	awaitJSON(t, match[1]+"/api/v1/rules", "groups", 2)
	awaitJSON(t, match[1]+"/api/v1/alertmanagers", "activeAlertmanagers", 1)
}

// awaitJSON waits until a list of a reply of Prometheus has at least so many elements.
func awaitJSON(t *testing.T, url, list string, atLeast int) {
	t.Helper()
	var reply struct{ Data map[string]json.RawMessage }
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&reply)
		_ = response.Body.Close()
		var elements []json.RawMessage
		if err == nil && json.Unmarshal(reply.Data[list], &elements) == nil && len(elements) >= atLeast {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, %s", url, err, reply.Data[list])
		}
	}
}
