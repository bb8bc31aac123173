//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// TestLiveTextfile writes the page into the directory of the textfile collector of a real node_exporter, as configuring.md
// says. The page of node_exporter has Kamailio's series and no error. Without --web.disable-exporter-metrics it is broken.
func TestLiveTextfile(t *testing.T) {
	t.Parallel()
	k := lab.StartTest(t, lab.Options{})
	dir := t.TempDir()
	url, log := startNodeExporter(t, dir)
	for _, test := range []struct {
		args   []string
		broken bool
	}{
		{[]string{"--web.disable-exporter-metrics"}, false},
		{nil, true},
	} {
		_, page := start(t, append(test.args, "-u", k.URI("unix"))...).get("/metrics")
		if err := os.WriteFile(filepath.Join(dir, "kamailio.prom"), page, 0o600); err != nil {
			t.Fatal(err)
		}
		shown := pageOf(t, url)
		if test.broken { // the log line can arrive after the page
			if _, err := log.Await(regexp.MustCompile("was collected before"), t.Context().Done(), logPatience); err != nil {
				t.Errorf("%q: node_exporter does not report duplicate metrics: %v", test.args, err)
			}
			continue
		}
		if strings.Contains(log.String(), "was collected before") || !strings.Contains(shown, "\nkamailio_up 1\n") || !strings.Contains(shown, "\nnode_textfile_scrape_error 0\n") {
			t.Errorf("%q: the page of node_exporter is\n%.2000s\nits log:\n%s", test.args, shown, log)
		}
	}
}

// startNodeExporter starts a node_exporter with only the textfile collector. It returns the URL of its page and its log.
func startNodeExporter(t *testing.T, textfiles string) (url string, log *child.Log) {
	t.Helper()
	address, log := startTool(t, "prometheus-node-exporter", "--web.listen-address=127.0.0.1:0", "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory="+textfiles)
	return "http://" + address + "/metrics", log
}

// startTool starts a program of the lab, which ends with the test. It returns the address on which the program listens and its log.
func startTool(t *testing.T, name string, args ...string) (address string, log *child.Log) {
	t.Helper()
	program, err := lab.Tool(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Minute
	log = child.NewLog()
	cmd.Stderr = log
	running, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		<-running.Done()
	})
	listening, err := log.Await(child.Listening, running.Done(), logPatience)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return listening[1], log
}
