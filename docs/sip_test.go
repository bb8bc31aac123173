//go:build linux

package docs_test

import (
	"context"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
)

// TestSIPSnippet has a Kamailio that blocks addresses with many requests. With the route of sip.md before that, probes are answered
// all the same; without it they are not.
func TestSIPSnippet(t *testing.T) {
	snippet := ""
	for _, b := range blocks(t, "kamailio") {
		if b.page == "sip.md" {
			snippet = b.text
		}
	}
	const block = "\n  if (!pike_check_req()) { exit; }"
	pike := `modparam("pike", "sampling_time_unit", 60)` + "\n" + `modparam("pike", "reqs_density_per_unit", 3)` + "\n"
	for name, test := range map[string]struct {
		route    string
		answered bool
	}{
		"with the route": {"\n  route(KAMAILIO_EXPORTER);" + block, true}, "without the route": {block, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := lab.StartTest(t, lab.Options{Config: pike + snippet, Route: test.route})
			socket, err := sipprobe.ParseURI("sip:" + k.SIPAddr())
			if err != nil {
				t.Fatal(err)
			}
			prober := sipprobe.New(sipprobe.Options{UserAgent: "kamailio_exporter/test"})
			defer prober.Close()
			answered := true
			for range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if !test.answered {
					ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
				}
				answered = prober.Probe(ctx, socket).Code == 200 && answered
				cancel()
			}
			if answered != test.answered {
				t.Errorf("all probes are answered: %t, want %t", answered, test.answered)
			}
		})
	}
}
