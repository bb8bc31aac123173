package collector

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func reply(tb testing.TB, records ...any) rpc.Reply {
	tb.Helper()
	value, err := rpc.ValueOf(records...)
	if err != nil {
		tb.Fatal(err)
	}
	return rpc.Reply{Value: value, Received: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

// collect returns the samples that a collector makes of a reply, and what was
// dropped.
func collect(t *testing.T, c *Collector, r rpc.Reply) ([]string, []metric.Skip) {
	t.Helper()
	set := metric.NewSet()
	if err := c.Collect(set, Settings{}, []Reply{{Reply: r}}); err != nil && !errors.Is(err, errNothingRead) {
		t.Fatal(err)
	}
	return samples(t, set), set.Skips()
}

// samples returns the exposition of the set without comments.
func samples(t *testing.T, set *metric.Set) []string {
	t.Helper()
	var samples []string
	for line := range strings.Lines(string(exposition(t, set))) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	return samples
}

func checkSamples(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("samples\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func checkSkips(t *testing.T, got []metric.Skip, want ...metric.Skip) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("dropped %+v, want %+v", got, want)
	}
}

func TestSignedAndUnsignedIntegers(t *testing.T) {
	got, skips := collect(t, tmStats, reply(t, rpc.Members{
		{Name: "current", Value: 7},
		{Name: "waiting", Value: -811675},
		{Name: "total", Value: int32(-1)},
	}))
	checkSamples(t, got,
		"kamailio_tm_stats_current 7",
		"kamailio_tm_stats_total_total 4.294967295e+09",
		"kamailio_tm_stats_waiting -811675",
	)
	checkSkips(t, skips)
}

func TestBadFieldsDoNotAffectOthers(t *testing.T) {
	got, skips := collect(t, coreTCPInfo, reply(t, rpc.Members{
		{Name: "readers", Value: 2},
		{Name: "max_connections", Value: "many"},
		{Name: "opened_connections", Value: nil},
		{Name: "from_the_future", Value: 1},
		{Name: "readers", Value: 3},
	}))
	checkSamples(t, got, "kamailio_core_tcp_info_readers 2")
	checkSkips(t, skips,
		metric.Skip{Collector: "core.tcp_info", Reason: metric.NotANumber, Count: 2, Example: "max_connections is a string"},
		metric.Skip{Collector: "core.tcp_info", Reason: metric.UnknownField, Count: 1, Example: "from_the_future"},
		metric.Skip{Collector: "core.tcp_info", Reason: metric.Duplicate, Count: 1, Example: "kamailio_core_tcp_info_readers{}"},
	)
}

// TestUnsignedNumbersAreNeverNegative includes fractions above -1, which must not be truncated to 0.
func TestUnsignedNumbersAreNeverNegative(t *testing.T) {
	got, skips := collect(t, coreShmmem, reply(t, rpc.Members{
		{Name: "total", Value: -1.5}, {Name: "used", Value: -0.001}, {Name: "max_used", Value: math.Inf(1)}, {Name: "free", Value: 8.0},
	}))
	checkSamples(t, got, "kamailio_core_shmmem_free 8")
	checkSkips(t, skips, metric.Skip{Collector: "core.shmmem", Reason: metric.BadValue, Count: 3, Example: "total is out of range"})
}

// TestNegativeCountersAreDropped replaces every number of every reply of the golden files with a negative one, in each
// encoding of a counter. No counter may have a sample.
func TestNegativeCountersAreDropped(t *testing.T) {
	negative := map[string]struct{ number, text any }{
		"a small double":            {-0.001, "-0.001"},
		"a double":                  {-7198.0, "-7198"},
		"the least double":          {math.MinInt64 / 1000.0, "-9223372036854775808"},
		"an integer beyond 32 bits": {int64(math.MinInt64), "18446744073709551615"},
	}
	for _, golden := range goldenAnswers(t) {
		for name, by := range negative {
			t.Run(golden.name+"/"+name, func(t *testing.T) {
				answer := golden.answer
				answer.Value = reply(t, records(replaceNumbers(answer.Value, by.number, by.text))...).Value
				set := metric.NewSet()
				if err := golden.c.Collect(set, golden.settings, []Reply{answer}); err != nil && !errors.Is(err, errNothingRead) {
					t.Fatal(err)
				}
				for _, family := range set.Families() {
					if family.Desc.Type == metric.Counter {
						value, labels := family.Sample(0)
						t.Errorf("%s%v is %v", family.Desc.Name, labels, value)
					}
				}
			})
		}
	}
}

// goldenAnswer is the reply for a golden file.
type goldenAnswer struct {
	name     string
	c        *Collector
	settings Settings
	answer   Reply
}

func goldenAnswers(t testing.TB) []goldenAnswer {
	t.Helper()
	var all []goldenAnswer
	for version, when := range captured {
		files, err := filepath.Glob(filepath.Join("testdata", version, "*.binrpc"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".binrpc")
			c, args := collectorOf(name)
			answer := Reply{Call: rpc.Call{Method: c.Method, Args: args}, Reply: readReply(t, file, when)}
			all = append(all, goldenAnswer{version + "/" + name, c, capturedSettings[name], answer})
		}
	}
	for _, b := range built {
		c, _ := collectorOf(b.method)
		answer := Reply{Call: rpc.Call{Method: b.method}, Reply: reply(t, b.records...)}
		all = append(all, goldenAnswer{"built/" + b.method + "_" + b.name, c, b.settings, answer})
	}
	return all
}

// records returns the records of a reply that was converted to a Go value, in which one record is not in a list.
func records(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

// replaceNumbers returns a copy of a value with each number, and each text that is a number, replaced.
func replaceNumbers(v rpc.Value, number, text any) any {
	switch v.Kind() {
	case rpc.KindInt, rpc.KindDouble:
		return number
	case rpc.KindString:
		if _, err := strconv.ParseUint(v.Text(), 10, 64); err == nil {
			return text
		}
		return numberInLine.ReplaceAllString(v.Text(), fmt.Sprint(": ", text))
	case rpc.KindStruct:
		members := rpc.Members{}
		for member := range v.All() {
			members = append(members, rpc.Member{Name: member.Name(), Value: replaceNumbers(member, number, text)})
		}
		return members
	case rpc.KindArray:
		elements := []any{}
		for element := range v.All() {
			elements = append(elements, replaceNumbers(element, number, text))
		}
		return elements
	default:
		return v.Interface()
	}
}

// numberInLine matches a number in a line of text of secfilter.stats or kafka.stats.
var numberInLine = regexp.MustCompile(`: \d+`)

// TestUnexpectedReplies passes replies of every shape to every collector. None may
// produce a series with an empty label, or a 0 that is not in the reply.
func TestUnexpectedReplies(t *testing.T) {
	var empty rpc.Members // has empty fields that identify rows, and others
	for _, name := range []string{"host", "status", "URI", "FLAGS", "name", "table", "url", "uri", "l_uuid", "DSC", "desc", "Domain", "FQDN", "address", "proto", "room"} {
		empty = append(empty, rpc.Member{Name: name, Value: ""})
	}
	for _, name := range []string{"used", "entry", "flags", "state", "size", "weight", "members", "all", "expire", "limit"} {
		empty = append(empty, rpc.Member{Name: name, Value: 5})
	}
	shapes := map[string][]any{
		"nothing":         {},
		"empty struct":    {rpc.Members{}},
		"empty array":     {[]any{}},
		"empty rows":      {rpc.Members{}, rpc.Members{}},
		"empty keys":      {empty, empty},
		"null":            {nil},
		"nulls":           {nil, nil},
		"number":          {1},
		"text":            {"text"},
		"numbers":         {1, 2, 3},
		"nameless":        {rpc.Members{{Value: 1}, {Value: rpc.Members{}}}},
		"nameless deep":   {rpc.Members{{Name: "Other", Value: rpc.Members{{Value: 1}}}, {Name: "socket", Value: rpc.Members{{Value: 1}}}, {Name: "gw", Value: []any{1}}}},
		"wrong types":     {rpc.Members{{Name: "RECORDS", Value: 1}, {Name: "uptime", Value: "x"}, {Name: "version", Value: 2}}},
		"deep wrong type": {rpc.Members{{Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: rpc.Members{{Name: "DEST", Value: 3}}}}}}}}},
		"no targets":      {rpc.Members{{Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: rpc.Members{{Name: "ID", Value: 1}}}}}}},
	}
	emptyLists := []string{"nothing", "empty struct", "empty array"}
	// An empty list means that there are no rooms, registrations or rows.
	countsRows := []*Collector{imcListRooms, uacRegDump, permissionsAddressDump, permissionsSubnetDump, permissionsDomainDump, permissionsTrustedDump, lcrDumpRules, pdtList}
	for name, records := range shapes {
		for _, c := range All {
			for _, short := range [][]string{nil, {c.Method}} {
				t.Run(name+"/"+c.Method, func(t *testing.T) {
					settings := Settings{Short: short, DialogProfiles: []DialogProfile{{"p", "v"}}, HtableKeys: []HtableKey{{"t", "k"}}, SharedVariables: []string{"v"}, KafkaTopics: []string{"v"}}
					set := metric.NewSet()
					answer := Reply{Call: c.Calls(settings)[0], Reply: reply(t, records...)}
					if err := c.Collect(set, settings, []Reply{answer}); err != nil && !errors.Is(err, errNothingRead) {
						t.Error(err)
					}
					saysNone := slices.Contains(emptyLists, name) && slices.Contains(countsRows, c)
					for _, sample := range samples(t, set) {
						if strings.Contains(sample, `=""`) || strings.HasSuffix(sample, " 0") && !saysNone {
							t.Errorf("unexpected sample %s", sample)
						}
					}
				})
			}
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	c := &Collector{Method: "x", collect: each(func(*metric.Writer, rpc.Reply) { panic("bug") })}
	if err := c.Collect(metric.NewSet(), Settings{}, []Reply{{Reply: reply(t)}}); err == nil || !strings.Contains(err.Error(), "bug") {
		t.Errorf("error %v", err)
	}
}

func TestReplyErrorsAreReturned(t *testing.T) {
	fault := &rpc.Fault{Code: 500, Reason: "No Destination Sets"}
	for _, c := range All {
		err := c.Collect(metric.NewSet(), Settings{}, []Reply{{Reply: rpc.Reply{Err: fault}}})
		if c == dispatcherList || c == dispatcherOclist {
			if err != nil {
				t.Errorf("%s: error %v, want none for an empty list", c.Method, err)
			}
			continue
		}
		if !errors.Is(err, fault) {
			t.Errorf("%s: error %v", c.Method, err)
		}
	}
}

func TestSelect(t *testing.T) {
	selected, err := Select([]string{"dispatcher.list", "tm.stats", "core.uptime"})
	if err != nil {
		t.Fatal(err)
	}
	var methods []string
	for _, c := range selected {
		methods = append(methods, c.Method)
	}
	if want := []string{"core.uptime", "tm.stats", "dispatcher.list"}; !slices.Equal(methods, want) {
		t.Errorf("order %v, want %v", methods, want)
	}
	_, err = Select([]string{"tm.stats", "nosuch.method"})
	if err == nil || !strings.Contains(err.Error(), `"nosuch.method"`) || !strings.Contains(err.Error(), "core.shmmem, core.sockets_list") {
		t.Errorf("error %v, want one with the unknown method and the known methods", err)
	}
	_, err = Select([]string{"dlg.statsactive"})
	if want := `unknown method "dlg.statsactive", the known methods of dlg are dlg.profile_get_size, dlg.stats_active`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestAllCollectors checks the fields of all collectors.
func TestAllCollectors(t *testing.T) {
	large := false
	families := map[string]string{}
	for _, c := range All {
		if c.Help == "" || len(c.Metrics) == 0 {
			t.Errorf("%s has no help or no metrics", c.Method)
		}
		if large && !c.Large {
			t.Errorf("%s is called after a method with a large reply", c.Method)
		}
		large = c.Large
		for _, desc := range c.Metrics {
			if other, ok := families[desc.Name]; ok {
				t.Errorf("%s belongs to both %s and %s", desc.Name, c.Method, other)
			}
			families[desc.Name] = c.Method
			if !strings.Contains(desc.Help, c.Method+".") {
				t.Errorf("the help of %s does not name its RPC method: %s", desc.Name, desc.Help)
			}
			if !slices.IsSorted(desc.Labels) {
				t.Errorf("the labels of %s are not sorted", desc.Name)
			}
		}
	}
}

func TestReplyCodes(t *testing.T) {
	got, skips := collect(t, slStats, reply(t, rpc.Members{
		{Name: "200", Value: 3}, {Name: "4xx", Value: 2.0}, {Name: "xxx", Value: int32(-2)}, {Name: "total", Value: 9}, {Name: "2000", Value: 9},
	}))
	checkSamples(t, got,
		`kamailio_sl_stats_codes_total{code="200"} 3`,
		`kamailio_sl_stats_codes_total{code="4xx"} 2`,
		`kamailio_sl_stats_codes_total{code="xxx"} 4.294967294e+09`,
	)
	checkSkips(t, skips, metric.Skip{Collector: "sl.stats", Reason: metric.UnknownField, Count: 2, Example: "total"})
}

// otherMethods are the methods that collectors call in addition to the one that they are named after.
var otherMethods = map[*Collector]string{statsFetch: "stats.get_statistics", dispatcherOclist: "dispatcher.list", keepaliveList: "core.uptime"}

// TestCollectorsCallOnlyTheirMethod checks that collectors call only the method that they are named after, so that All and
// otherMethods list all methods that are ever called, and that none of these changes anything.
func TestCollectorsCallOnlyTheirMethod(t *testing.T) {
	settings := Settings{StatsGroups: []string{"script", "all", "x:y"}, Named: Methods()}
	fault := []Reply{{Reply: rpc.Reply{Err: &rpc.Fault{Code: 500, Reason: "Internal error"}}}}
	for _, c := range All {
		for _, call := range slices.Concat(c.Calls(settings), c.Again(settings, fault)) {
			if call.Method != c.Method && call.Method != otherMethods[c] {
				t.Errorf("%s calls %s", c.Method, call.Method)
			}
		}
		// Words in the names of methods that change something.
		for word := range strings.FieldsFuncSeq(c.Method, func(r rune) bool { return r == '.' || r == '_' }) {
			if slices.Contains([]string{"reload", "set", "add", "rm", "remove", "delete", "flush", "reset", "kill", "end", "start", "stop", "enable", "disable", "unregister", "register"}, word) {
				t.Errorf("%s may change something", c.Method)
			}
		}
		if c.Method == "mqueue.fetch" || strings.HasPrefix(c.Method, "xhttp_prom.") {
			t.Errorf("%s must not be called", c.Method)
		}
	}
}

// TestUnreadableReplies checks that replies without a known field are errors, and
// that empty replies are not.
func TestUnreadableReplies(t *testing.T) {
	tests := map[string]struct {
		records []any
		fails   bool
	}{
		"a text":             {[]any{"text"}, true},
		"a number":           {[]any{5}, true},
		"null":               {[]any{nil}, true},
		"only unknown":       {[]any{rpc.Members{{Name: "x", Value: 1}}}, true},
		"only no numbers":    {[]any{rpc.Members{{Name: "current", Value: "many"}}}, true},
		"one that is known":  {[]any{rpc.Members{{Name: "x", Value: 1}, {Name: "current", Value: 1}}}, false},
		"an empty struct":    {[]any{rpc.Members{}}, false},
		"no record":          {nil, false},
		"records of numbers": {[]any{1, 2}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := tmStats.Collect(metric.NewSet(), Settings{}, []Reply{{Reply: reply(t, test.records...)}})
			if errors.Is(err, errNothingRead) != test.fails {
				t.Errorf("error %v", err)
			}
		})
	}
}
