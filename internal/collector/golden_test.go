package collector

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

var update = flag.Bool("update", false, "update the golden files")

// captured maps the versions of Kamailio whose replies are in testdata to the time
// of the capture.
var captured = map[string]time.Time{
	"5.6.3": time.Date(2026, 11, 22, 11, 56, 37, 300e6, time.UTC),
	"6.0.1": time.Date(2026, 11, 22, 11, 56, 52, 700e6, time.UTC),
	"6.1.5": time.Date(2026, 11, 22, 11, 57, 11, 500e6, time.UTC),
}

// builtReply is a reply that the lab cannot produce, built from the source of the
// Kamailio module.
type builtReply struct {
	// method is the name of the collector.
	method string
	// name distinguishes the replies of a method, "" if there is only one.
	name string
	// source is the file in Kamailio's repository that was read.
	source string
	// records are the records of the reply.
	records []any
	// settings are the settings of the collector.
	settings Settings
}

// built are the built replies of all files.
var built = slices.Concat(builtCore, builtStatistics, builtModules)

// capturedSettings are the settings for captured replies, by the name of the file.
var capturedSettings = map[string]Settings{
	"dispatcher.list": {DispatcherSets: map[string]string{"1": "carriers", "3": "media servers"}},
}

// TestGolden compares the output of each collector for captured replies, which are
// in testdata/VERSION/METHOD.binrpc or METHOD_ARGUMENTS.binrpc, with golden files.
func TestGolden(t *testing.T) {
	for version, when := range captured {
		files, err := filepath.Glob(filepath.Join("testdata", version, "*.binrpc"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no captures of %s: %v", version, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".binrpc")
			c, args := collectorOf(name)
			if c == nil {
				t.Errorf("%s belongs to no collector", file)
				continue
			}
			t.Run(version+"/"+name, func(t *testing.T) {
				answer := Reply{Call: rpc.Call{Method: c.Method, Args: args}, Reply: readReply(t, file, when)}
				checkReply(t, c, capturedSettings[name], answer, filepath.Join("testdata", version, name+".prom"))
			})
		}
	}
}

// TestGoldenBuilt compares the output of each collector for built replies with
// golden files.
func TestGoldenBuilt(t *testing.T) {
	for _, b := range built {
		name := strings.TrimSuffix(b.method+"_"+b.name, "_")
		t.Run(name, func(t *testing.T) {
			c, _ := collectorOf(b.method)
			if c == nil || b.source == "" {
				t.Fatal("the collector or the source is missing")
			}
			answer := Reply{Call: rpc.Call{Method: b.method}, Reply: reply(t, b.records...)}
			if calls := c.Calls(b.settings); len(calls) > 0 {
				answer.Call = calls[0]
			}
			checkReply(t, c, b.settings, answer, filepath.Join("testdata", "built", name+".prom"))
		})
	}
}

// TestEveryCollectorHasAGoldenFile fails for collectors without a golden file.
func TestEveryCollectorHasAGoldenFile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.prom"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[*Collector]bool{}
	for _, file := range files {
		c, _ := collectorOf(strings.TrimSuffix(filepath.Base(file), ".prom"))
		seen[c] = true
	}
	for _, c := range All {
		if !seen[c] {
			t.Errorf("%s has no golden file", c.Method)
		}
	}
}

// collectorOf returns the collector of a file, and the arguments in the file's name.
func collectorOf(name string) (found *Collector, args []any) {
	for _, c := range All {
		rest, ok := strings.CutPrefix(name, c.Method)
		if !ok || rest != "" && rest[0] != '_' || found != nil && len(c.Method) < len(found.Method) {
			continue
		}
		found, args = c, nil
		for arg := range strings.SplitSeq(strings.TrimPrefix(rest, "_"), "_") {
			if arg != "" {
				args = append(args, arg)
			}
		}
	}
	return found, args
}

func checkReply(t *testing.T, c *Collector, settings Settings, answer Reply, golden string) {
	t.Helper()
	set := metric.NewSet()
	if err := c.Collect(set, settings, answersWith(t, c, answer)); err != nil {
		t.Fatal(err)
	}
	if skips := set.Skips(); len(skips) > 0 {
		t.Errorf("dropped: %+v", skips)
	}
	for _, family := range set.Families() {
		if !slices.Contains(c.Metrics, family.Desc) {
			t.Errorf("%s is not in the collector's Metrics", family.Desc.Name)
		}
	}
	checkGolden(t, golden, exposition(t, set))
}

// answersWith returns a reply and the one that its collector needs in addition: for core.shmmem that with the same numbers in KiB,
// for keepalive.list that of core.uptime with a clock in UTC.
func answersWith(t *testing.T, c *Collector, answer Reply) []Reply {
	t.Helper()
	switch c {
	case coreShmmem:
	case keepaliveList:
		return []Reply{answer, uptimeAt(t, answer.Received, 0)}
	default:
		return []Reply{answer}
	}
	var kib rpc.Members
	for member := range answer.Value.All() {
		bytes, _ := number(member, true)
		kib = append(kib, rpc.Member{Name: member.Name(), Value: int64(bytes) >> 10})
	}
	return []Reply{answer, {Call: rpc.Call{Method: c.Method, Args: []any{"k"}}, Reply: reply(t, kib)}}
}

func readReply(tb testing.TB, file string, when time.Time) rpc.Reply {
	tb.Helper()
	packet, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	message, err := binrpc.Parse(packet, rpc.Limits{})
	if err != nil {
		tb.Fatal(err)
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
		t.Errorf("%s has\n%s\ngot\n%s", file, want, got)
	}
}
