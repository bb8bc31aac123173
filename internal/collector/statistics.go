package collector

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the facts in this file: Kamailio's src/modules/kex/core_stats.c and
// src/core/counters.c. A reply is one struct of "group.name" to a text. The value
// is a long there, summed over all processes and printed as unsigned long, so
// that one below zero shows as 2⁶⁴ less its size. A group has no dot in its
// name, a statistic may: counters cuts its own names at the first dot too.
//
// It costs Kamailio little, however much traffic there is: what is not a counter
// is a sum over processes, domains or hash slots, or a number that is kept.

const statsFetchMethod = "stats.fetch"

// stats.get_statistics answers the same with a line of text for each statistic,
// "group:name = value". It is the way around ctl's limits: the struct of
// stats.fetch can have 8 KiB (binrpc_struct_max_body_size), beyond which the
// method faults, the lines 32 KiB together (binrpc_max_body_size), beyond which
// ctl drops lines without a word.
const getStatisticsMethod = "stats.get_statistics"

// allStatistics is the argument of both for all groups.
const allStatistics = "all"

var statisticLine = regexp.MustCompile(`(?s)^([^:]+):(.+) = (\d+)$`)

var statsFetchValue = gauge("kamailio_stats_fetch_value",
	"Value of a statistic as Kamailio gives it. If stats.fetch is named among the methods, the statistics of the configured "+
		"groups, otherwise those that have no metric of their own. Every field of stats.fetch.",
	"group", "name")

var statsFetch = &Collector{
	Method: statsFetchMethod,
	Module: "statistics of all modules",
	Help: "statistics of the core and of all modules, about 200 series, and one for each statistic of the routing script. " +
		"If the method is named, those of the configured groups are shown as kamailio_stats_fetch_value too",
	Auto:    true,
	Metrics: append(statisticDescs(), statsFetchValue),
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: statsFetchMethod, Args: []any{allStatistics}}}
	},
	again:   getStatistics,
	verify:  verifyStatistics,
	collect: collectStatistics,
}

// getStatistics returns the calls of the other method after stats.fetch was too
// much for ctl's buffer: all at once and, since that may be too much as well,
// each group. A group that this Kamailio does not have is empty, and no fault.
func getStatistics(settings Settings, answers []Answer) []rpc.Call {
	if !refused(answers) {
		return nil
	}
	groups := statisticGroups()
	for _, asked := range settings.StatsGroups {
		group, _ := cutStatistic(asked)
		if group != allStatistics && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	calls := []rpc.Call{{Method: getStatisticsMethod, Args: []any{allStatistics}}}
	for _, group := range groups {
		calls = append(calls, rpc.Call{Method: getStatisticsMethod, Args: []any{group + ":"}})
	}
	return calls
}

// refused reports whether Kamailio has the method but could not answer.
func refused(answers []Answer) bool {
	return slices.ContainsFunc(answers, func(answer Answer) bool {
		fault, ok := errors.AsType[*rpc.Fault](answer.Err)
		return ok && fault.Code >= 500 && !fault.NoSuchMethod()
	})
}

func collectStatistics(out *metric.Writer, settings Settings, answers []Answer) {
	if answers[0].Call.Method == getStatisticsMethod {
		collectStatisticLines(out, settings, answers)
		return
	}
	for _, answer := range answers {
		for member := range answer.Value.All() {
			unsigned, err := strconv.ParseUint(member.Text(), 10, 64)
			switch {
			case !isStatisticName(member.Name()):
				out.Skip(metric.UnknownField, member.Name())
			case err != nil:
				out.Skip(metric.NotANumber, whatIs(member.Name(), member))
			default:
				collectStatistic(out, settings, member.Name(), int64(unsigned))
			}
		}
	}
}

// collectStatisticLines reads the lines of all statistics, or of all groups if
// some are missing there.
func collectStatisticLines(out *metric.Writer, settings Settings, answers []Answer) {
	seen := map[string]bool{}
	for _, answer := range answers {
		for line := range answer.Value.Rows() {
			match := statisticLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			name := match[1] + "." + match[2]
			unsigned, err := strconv.ParseUint(match[3], 10, 64)
			if err != nil {
				out.Skip(metric.NotANumber, name+" is no integer")
				continue
			}
			if !seen[name] {
				seen[name] = true
				collectStatistic(out, settings, name, int64(unsigned))
			}
		}
		if answer.argument(0) == allStatistics && !cutShort(answer.Value) {
			return
		}
	}
}

// ErrCutShort is the error of a reply that is no fault but may lack lines, which
// ctl drops if its buffers are too small for them.
var ErrCutShort = errors.New("the reply fills ctl's buffer and may lack lines")

// verifyStatistics returns an error if lines may be missing of a group, or if
// there are none at all, since every Kamailio has statistics.
func verifyStatistics(answers []Answer) error {
	for _, answer := range answers {
		if answer.Call.Method != getStatisticsMethod {
			continue
		}
		cut, all := cutShort(answer.Value), answer.argument(0) == allStatistics
		switch {
		case all && answer.Value.Len() == 0, !all && cut:
			return fmt.Errorf("%w: %s", ErrCutShort, answer.Call)
		case all && !cut:
			return nil
		}
	}
	return nil
}

// cutShort reports whether ctl may have dropped lines of a reply: whether a line
// more as long as the longest would not have fitted a buffer of a power of two
// KiB, as the default is one.
func cutShort(lines rpc.Value) bool {
	const overhead = 3 // of a line: its type and length, and the zero at its end
	size, longest := 0, 0
	for line := range lines.Rows() {
		n := len(line.Text()) + overhead
		size, longest = size+n, max(longest, n)
	}
	buffer := 1 << 10
	for buffer < size {
		buffer *= 2
	}
	return size+longest > buffer && longest > 0
}

// isStatisticName reports whether a name is "group.name".
func isStatisticName(full string) bool {
	group, name, _ := strings.Cut(full, ".")
	return group != "" && name != ""
}

func collectStatistic(out *metric.Writer, settings Settings, full string, value int64) {
	group, name, _ := strings.Cut(full, ".")
	s, labels := findStatistic(full)
	if s != nil {
		s.add(out, full, value, labels)
	}
	_, wrong := wrongStatistics[full]
	if settings.wantsStatistic(group, name, s != nil || wrong) {
		out.Add(statsFetchValue, float64(value), group, name)
	}
}

// wantsStatistic reports whether to give a statistic as it is. One that is known
// has a metric of its own, or is known to be wrong.
func (s Settings) wantsStatistic(group, name string, known bool) bool {
	if s.NoLegacySeries || !slices.Contains(s.Named, statsFetchMethod) {
		return !known
	}
	return slices.ContainsFunc(s.StatsGroups, func(asked string) bool {
		askedGroup, askedName := cutStatistic(asked)
		return askedGroup == allStatistics || askedGroup == group && (askedName == "" || askedName == name)
	})
}

// cutStatistic takes a user's group, or full name of a statistic, apart.
// Kamailio itself takes group:name, group.name and, for a whole group, group:
// with nothing behind the colon.
func cutStatistic(asked string) (group, name string) {
	i := strings.IndexAny(asked, ":.")
	if i < 0 {
		return asked, ""
	}
	return asked[:i], asked[i+1:]
}

// statistic is one entry of a family's from.
type statistic struct {
	desc *metric.Desc
	// name is that of the entry.
	name string
	// pattern matches the names that the entry stands for, nil if its name is
	// the only one.
	pattern *regexp.Regexp
	// labels are the entry's values of the labels.
	labels []string
	scale  float64
	signed bool
}

func (s *statistic) add(out *metric.Writer, name string, value int64, labels []string) {
	if value < 0 && !s.signed {
		out.Skip(metric.BadValue, name+" is below zero")
		return
	}
	out.Add(s.desc, float64(value)*s.scale, labels...)
}

// statistics are all entries of all families.
var statistics = makeStatistics()

// statisticsByName has the entries without a pattern, statisticPatterns the
// others by group.
var statisticsByName, statisticPatterns = indexStatistics()

var statisticPlaceholder = regexp.MustCompile(`\\\{([a-z]+)\\\}`) // as QuoteMeta leaves it

func makeStatistics() []*statistic {
	var all []*statistic
	for _, family := range statisticFamilies {
		desc := newDesc(family.kind, family.name, family.helpOf(), family.labels)
		for _, entry := range family.from {
			s := &statistic{desc: desc, name: entry[0], labels: entry[1:], scale: cmp.Or(family.scale, 1), signed: family.signed}
			if strings.Contains(s.name, "{") {
				s.pattern = statisticPattern(s.name)
			}
			all = append(all, s)
		}
	}
	return all
}

// helpOf is the family's help with the statistics that are meant.
func (f *statisticFamily) helpOf() string {
	names := make([]string, len(f.from))
	for i, entry := range f.from {
		names[i] = strings.ReplaceAll(entry[0], "{sep}", "_")
	}
	last := len(names) - 1
	if last == 0 {
		return f.help + " Statistic " + names[0] + " of " + statsFetchMethod + "."
	}
	return f.help + " Statistics " + strings.Join(names[:last], ", ") + " and " + names[last] + " of " + statsFetchMethod + "."
}

// statisticPattern has a group for each placeholder, with its name.
func statisticPattern(name string) *regexp.Regexp {
	pattern := statisticPlaceholder.ReplaceAllStringFunc(regexp.QuoteMeta(name), func(quoted string) string {
		placeholder := strings.Trim(quoted, `\{}`)
		return "(?P<" + placeholder + ">" + statisticPlaceholders[placeholder] + ")"
	})
	return regexp.MustCompile("(?s)^" + pattern + "$")
}

func indexStatistics() (byName map[string]*statistic, patterns map[string][]*statistic) {
	byName, patterns = map[string]*statistic{}, map[string][]*statistic{}
	for _, s := range statistics {
		if s.pattern == nil {
			byName[s.name] = s
			continue
		}
		patterns[s.group()] = append(patterns[s.group()], s)
	}
	return byName, patterns
}

func (s *statistic) group() string {
	group, _, _ := strings.Cut(s.name, ".")
	return group
}

// findStatistic finds the entry that stands for a statistic of that full name, nil
// if there is none, and the values of its labels.
func findStatistic(full string) (*statistic, []string) {
	if s, ok := statisticsByName[full]; ok {
		return s, s.labels
	}
	return matched.find(full)
}

// matched is what patterns matched before: Kamailio has the same statistics each
// time, and matching them is a third of what their collector costs.
var matched = statisticMatches{byName: map[string]statisticMatch{}}

// mostMatched and longestMatched bound what names that differ each time can fill the
// memory with.
const (
	mostMatched    = 10_000
	longestMatched = 200
)

// statisticMatches may be used concurrently.
type statisticMatches struct {
	mu     sync.RWMutex
	byName map[string]statisticMatch
}

type statisticMatch struct {
	*statistic          // nil if the name matches no pattern
	values     []string // of its labels
}

func (m *statisticMatches) find(full string) (*statistic, []string) {
	m.mu.RLock()
	match, ok := m.byName[full]
	m.mu.RUnlock()
	if ok {
		return match.statistic, match.values
	}
	if len(full) <= longestMatched {
		full = strings.Clone(full) // which does not keep the reply that it is part of
	}
	match = matchStatistic(full)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.byName) < mostMatched && len(full) <= longestMatched {
		m.byName[full] = match
	}
	return match.statistic, match.values
}

func matchStatistic(full string) statisticMatch {
	group, _, _ := strings.Cut(full, ".")
	for _, s := range statisticPatterns[group] {
		if match := s.pattern.FindStringSubmatch(full); match != nil {
			return statisticMatch{s, s.fill(match)}
		}
	}
	return statisticMatch{}
}

// fill puts what matched into the place of placeholders.
func (s *statistic) fill(match []string) []string {
	labels := slices.Clone(s.labels)
	for i, label := range labels {
		if placeholder, ok := strings.CutPrefix(label, "{"); ok {
			placeholder = strings.TrimSuffix(placeholder, "}")
			labels[i] = statisticLabel(placeholder, match[s.pattern.SubexpIndex(placeholder)])
		}
	}
	return labels
}

// statisticLabel is the label that a part of a name becomes: SIP's methods and
// Diameter's requests have names in capitals.
func statisticLabel(placeholder, text string) string {
	switch {
	case placeholder == "method" && text == "reg":
		return "REGISTER"
	case placeholder == "method" || placeholder == "request":
		return strings.ToUpper(text)
	default:
		return text
	}
}

// statisticDescs are the families, in the order of the table.
func statisticDescs() []*metric.Desc {
	var descs []*metric.Desc
	for _, s := range statistics {
		if !slices.Contains(descs, s.desc) {
			descs = append(descs, s.desc)
		}
	}
	return descs
}

// statisticGroups are all groups that have families, in the order of the table,
// and that of the routing script.
func statisticGroups() []string {
	var groups []string
	for _, s := range statistics {
		if !slices.Contains(groups, s.group()) {
			groups = append(groups, s.group())
		}
	}
	return append(groups, "script")
}
