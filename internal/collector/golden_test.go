package collector

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/rpc/binrpc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// captured are the versions of Kamailio whose replies are in testdata, and when
// they were captured.
var captured = map[string]time.Time{
	"5.6.3": time.Date(2026, 11, 22, 11, 56, 37, 300e6, time.UTC),
	"6.0.1": time.Date(2026, 11, 22, 11, 56, 52, 700e6, time.UTC),
}

// TestGolden compares all that each collector makes of a real reply.
func TestGolden(t *testing.T) {
	for version, when := range captured {
		for _, c := range All {
			t.Run(version+"/"+c.Method, func(t *testing.T) {
				file := filepath.Join("testdata", version, c.Method)
				set := metric.NewSet()
				if err := c.Collect(set, readReply(t, file+".binrpc", when)); err != nil {
					t.Fatal(err)
				}
				if skips := set.Skips(); len(skips) > 0 {
					t.Errorf("left out: %+v", skips)
				}
				checkGolden(t, file+".prom", exposition(t, set))
			})
		}
	}
}

func readReply(t *testing.T, file string, when time.Time) rpc.Reply {
	t.Helper()
	packet, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	message, err := binrpc.Parse(packet, binrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return rpc.Reply{Value: message.Value, Received: when}
}

func exposition(t *testing.T, set *metric.Set) []byte {
	t.Helper()
	families, err := set.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}

func checkGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has\n%s\nnot\n%s", file, want, got)
	}
}
