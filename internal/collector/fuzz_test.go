package collector

import (
	"bufio"
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// fuzzSettings makes every collector do as much as it can.
var fuzzSettings = Settings{
	Named:           []string{statsFetch.Method},
	StatsGroups:     []string{"all"},
	DialogProfiles:  []DialogProfile{{"p", "v"}},
	HtableKeys:      []HtableKey{{"t", "k"}},
	SharedVariables: []string{"v"},
	KafkaTopics:     []string{"t"},
	DispatcherSets:  map[string]string{"1": "carriers"},
}

// FuzzPage passes a reply, as BINRPC if it can be parsed as that and otherwise as JSON-RPC, to every collector, and parses the page of
// all of them. The page must be one that Prometheus accepts, whatever the reply is.
func FuzzPage(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.binrpc", "../../rpc/binrpc/testdata/captures/*/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		value, err := parseReply(text)
		if err != nil {
			return
		}
		set := metric.NewSet()
		for _, c := range All {
			var replies []Reply
			for _, call := range c.Calls(fuzzSettings) {
				replies = append(replies, Reply{Call: call, Reply: rpc.Reply{Value: value, Received: time.Unix(1, 0)}})
			}
			if err := c.Collect(set, fuzzSettings, replies); err != nil && strings.Contains(err.Error(), "please report it") {
				t.Errorf("%s: %v", c.Method, err)
			}
		}
		checkPage(t, set)
	})
}

// FuzzMutations does the same with captured and built replies in which some values, names and rows are replaced, dropped or repeated:
// bytes that are changed at random are seldom a reply.
func FuzzMutations(f *testing.F) {
	answers := goldenAnswers(f)
	for i := range answers {
		f.Add(i, uint64(i), "a\"b\\c\nd\xff", -1.5)
	}
	f.Add(0, uint64(0), "", math.NaN())
	f.Add(1, uint64(1), strings.Repeat("x", 2000), math.Inf(1))
	f.Fuzz(func(t *testing.T, i int, seed uint64, text string, number float64) {
		answer := answers[uint(i)%uint(len(answers))]
		m := mutator{rand.New(rand.NewPCG(seed, seed)), text, number}
		var records []any
		for _, record := range recordsOf(answer.answer.Value) {
			records = append(records, m.some(m.value(record), record)...)
		}
		set := metric.NewSet()
		mutated := Reply{Call: answer.answer.Call, Reply: reply(t, records...)}
		if err := answer.c.Collect(set, answer.settings, []Reply{mutated}); err != nil && strings.Contains(err.Error(), "please report it") {
			t.Errorf("%s: %v", answer.name, err)
		}
		checkPage(t, set)
	})
}

// mutator changes replies.
type mutator struct {
	*rand.Rand
	text   string
	number float64
}

// recordsOf returns the records of a reply; a single one is not in a list.
func recordsOf(v rpc.Value) []rpc.Value {
	if v.Kind() != rpc.KindArray {
		return []rpc.Value{v}
	}
	return slices.Collect(v.All())
}

// some returns a changed value once for the most part, and now and then nothing, the value twice, or the value and its original.
func (m *mutator) some(changed any, original rpc.Value) []any {
	switch m.IntN(40) {
	case 0:
		return nil
	case 1:
		return []any{changed, changed}
	case 2:
		return []any{original, changed}
	default:
		return []any{changed}
	}
}

// value returns a value in which some parts are changed.
func (m *mutator) value(v rpc.Value) any {
	switch m.IntN(40) {
	case 0:
		return m.text
	case 1:
		return m.number
	case 2:
		return int(m.number)
	case 3:
		return rpc.Members{}
	case 4:
		return []any{m.text, nil, m.number}
	}
	switch v.Kind() {
	case rpc.KindStruct:
		members := rpc.Members{}
		for member := range v.All() {
			name := member.Name()
			if m.IntN(40) == 0 {
				name = m.text
			}
			for _, value := range m.some(m.value(member), member) {
				members = append(members, rpc.Member{Name: name, Value: value})
			}
		}
		return members
	case rpc.KindArray:
		elements := []any{}
		for element := range v.All() {
			elements = append(elements, m.some(m.value(element), element)...)
		}
		return elements
	default:
		return v.Interface()
	}
}

// parseReply parses the value of a reply.
func parseReply(text []byte) (rpc.Value, error) {
	if message, err := binrpc.Parse(text, rpc.Limits{}); err == nil {
		return message.Value, nil
	}
	message, err := jsonrpc.Parse(text, rpc.Limits{})
	return message.Value, err
}

// checkPage checks that the parser of the Prometheus project reads each sample of a set from its page, in both formats.
func checkPage(t *testing.T, set *metric.Set) {
	t.Helper()
	page := pageOf(t, set, metric.Text)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%v:\n%s", err, page)
	}
	for _, family := range set.Families() {
		got := parsed[family.Desc.Name]
		if len(got.GetMetric()) != family.Len() {
			t.Fatalf("%s has %d series on the page, want %d", family.Desc.Name, len(got.GetMetric()), family.Len())
		}
		for i, m := range got.GetMetric() {
			want, labels := family.Sample(i)
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			if value != want && !(math.IsNaN(value) && math.IsNaN(want)) {
				t.Errorf("%s%q is %v on the page, want %v", family.Desc.Name, labels, value, want)
			}
			for k, pair := range m.GetLabel() {
				if pair.GetName() != family.Desc.Labels[k] || pair.GetValue() != labels[k] {
					t.Errorf("%s has the label %s=%q on the page, want %s=%q", family.Desc.Name, pair.GetName(), pair.GetValue(), family.Desc.Labels[k], labels[k])
				}
			}
		}
	}
	if !strings.HasSuffix(pageOf(t, set, metric.OpenMetrics), "\n") && len(set.Families()) > 0 {
		t.Error("the page in OpenMetrics does not end with a line break")
	}
}

func pageOf(t *testing.T, set *metric.Set, format metric.Format) string {
	t.Helper()
	var page bytes.Buffer
	w := bufio.NewWriter(&page)
	for _, family := range set.Families() {
		if err := family.WriteText(w, format); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return page.String()
}
