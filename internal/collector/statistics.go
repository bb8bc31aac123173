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
// is a long in Kamailio, summed over all processes and printed as unsigned long, so
// that a negative value v is printed as 2⁶⁴+v. The name of a group has no dot, that
// of a statistic may have one; Kamailio also splits names at the first dot.
//
// The cost for Kamailio is low and does not depend on the traffic: values that are
// not counters are sums over processes, domains or hash slots, or stored numbers.

const statsFetchMethod = "stats.fetch"

// getStatisticsMethod replies with the same statistics as stats.fetch, one line of
// text each: "group:name = value". It is called if the reply of stats.fetch does
// not fit in ctl's buffers: stats.fetch faults if its struct is larger than 8 KiB
// (binrpc_struct_max_body_size), while the lines may have 32 KiB together
// (binrpc_max_body_size). ctl silently drops lines beyond that.
const getStatisticsMethod = "stats.get_statistics"

// allStatistics is the argument of both methods for all groups.
const allStatistics = "all"

// scriptGroup is the group of the statistics that the routing script defines.
const scriptGroup = "script"

var statisticLine = regexp.MustCompile(`(?s)^([^:]+):(.+) = (\d+)$`)

var statsFetchValue = gauge("kamailio_stats_fetch_value",
	"Value of a statistic. If stats.fetch is named among the methods, these are the statistics of the configured groups, "+
		"otherwise those that have no metric of their own. Fields of stats.fetch.",
	"group", "name")

var statsFetch = &Collector{
	Method: statsFetchMethod,
	Module: "statistics of all modules",
	Help: "statistics of the core and of all Kamailio modules, about 200 series, and one for each statistic of the routing " +
		"script. If the method is named, kamailio_stats_fetch_value has those of the configured groups",
	Auto:    true,
	Metrics: append(statisticDescs(), statsFetchValue),
	calls: func(Settings) []rpc.Call {
		return []rpc.Call{{Method: statsFetchMethod, Args: []any{allStatistics}}}
	},
	again:   getStatistics,
	verify:  verifyStatistics,
	collect: collectStatistics,
}

// getStatistics returns the calls of stats.get_statistics if the reply of
// stats.fetch did not fit in ctl's buffer: one for all statistics and, since they
// may not fit either, one for each group. The reply for a group that Kamailio does
// not have is empty and not a fault.
func getStatistics(settings Settings, replies []Reply) []rpc.Call {
	if !refused(replies) {
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

// refused reports whether Kamailio has the method but sent a fault.
func refused(replies []Reply) bool {
	return slices.ContainsFunc(replies, func(reply Reply) bool {
		fault, ok := errors.AsType[*rpc.Fault](reply.Err)
		return ok && fault.Code >= 500 && !fault.NoSuchMethod()
	})
}

func collectStatistics(out *metric.Writer, settings Settings, replies []Reply) {
	if replies[0].Call.Method == getStatisticsMethod {
		collectStatisticLines(out, settings, replies)
		return
	}
	for _, reply := range replies {
		for member := range reply.Value.All() {
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

// collectStatisticLines reads the reply with the lines of all statistics and, if it
// may be incomplete, the replies of the groups.
func collectStatisticLines(out *metric.Writer, settings Settings, replies []Reply) {
	seen := map[string]bool{}
	for _, reply := range replies {
		for line := range reply.Value.Rows() {
			match := statisticLine.FindStringSubmatch(line.Text())
			if match == nil {
				out.Skip(metric.BadValue, otherForm)
				continue
			}
			name := match[1] + "." + match[2]
			unsigned, err := strconv.ParseUint(match[3], 10, 64)
			if err != nil {
				out.Skip(metric.NotANumber, name+" is not an integer")
				continue
			}
			if !seen[name] {
				seen[name] = true
				collectStatistic(out, settings, name, int64(unsigned))
			}
		}
		if reply.argument(0) == allStatistics && !cutShort(reply.Value) {
			return
		}
	}
}

// ErrCutShort is the error of a reply that is not a fault but may be incomplete,
// because ctl drops lines that do not fit in its buffers.
var ErrCutShort = errors.New("the reply fills ctl's buffer and may be incomplete")

// ErrNoSuchStatistic is the error if Kamailio does not have a statistic or a group of
// Settings.StatsGroups.
var ErrNoSuchStatistic = errors.New("there are no such statistics in Kamailio")

// verifyStatistics returns an error if the replies may be incomplete, or if they do
// not have a configured statistic.
func verifyStatistics(settings Settings, replies []Reply) error {
	if err := verifyLines(replies); err != nil {
		return err
	}
	if missing := missingStatistics(settings, replies); len(missing) > 0 {
		return fmt.Errorf("%w: %s", ErrNoSuchStatistic, strings.Join(missing, ", "))
	}
	return nil
}

// verifyLines returns an error if the reply of a group may be incomplete, or if
// there are no lines at all, since every Kamailio has statistics.
func verifyLines(replies []Reply) error {
	for _, reply := range replies {
		if reply.Call.Method != getStatisticsMethod {
			continue
		}
		cut, all := cutShort(reply.Value), reply.argument(0) == allStatistics
		switch {
		case all && reply.Value.Len() == 0, !all && cut, hasCutLine(reply.Value):
			return fmt.Errorf("%w: %s", ErrCutShort, reply.Call)
		case all && !cut:
			return nil
		}
	}
	return nil
}

// missingStatistics returns the configured statistics and groups that the replies
// should have but do not. The group script is optional: it is the default, and has
// statistics only if the routing script defines some.
func missingStatistics(settings Settings, replies []Reply) []string {
	if !settings.choosesStatistics() {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(settings.StatsGroups), func(asked string) bool {
		group, name := cutStatistic(asked)
		return group == scriptGroup && name == "" || !haveGroup(replies, group)
	})
	for _, reply := range replies {
		found := reply.Value.All()
		if reply.Call.Method == getStatisticsMethod {
			found = reply.Value.Rows()
		}
		for v := range found {
			if len(missing) == 0 {
				return nil
			}
			group, name := cutStatistic(statisticName(v))
			missing = slices.DeleteFunc(missing, func(asked string) bool { return isOrHasStatistic(asked, group, name) })
		}
	}
	return missing
}

// statisticName returns the name of a statistic in a reply of stats.fetch, which is
// "group.name", or in a line of stats.get_statistics, which has "group:name".
func statisticName(v rpc.Value) string {
	if v.Name() != "" {
		return v.Name()
	}
	line := v.Text()
	return line[:max(0, strings.LastIndex(line, " = "))]
}

// haveGroup reports whether the replies are complete for a group. The reply of a group
// is missing if its call failed.
func haveGroup(replies []Reply, group string) bool {
	return slices.ContainsFunc(replies, func(reply Reply) bool {
		if reply.Call.Method != getStatisticsMethod {
			return true
		}
		asked := reply.argument(0)
		return asked == group+":" || asked == allStatistics && !cutShort(reply.Value)
	})
}

// cutShort reports whether ctl may have dropped lines of a reply. It assumes that
// the size of ctl's buffer is a power of two of KiB, like the default, and checks
// whether one more line, as long as the longest, would fit.
func cutShort(lines rpc.Value) bool {
	const overhead = 3 // bytes of a line: type, length, and the zero at the end
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

// hasCutLine reports whether the last character of a line is missing: a line that is as long as ctl's buffer for lines
// (binrpc_buffer_size) ends with a zero instead. ctl drops longer lines.
func hasCutLine(lines rpc.Value) bool {
	for line := range lines.Rows() {
		if strings.HasSuffix(line.Text(), "\x00") {
			return true
		}
	}
	return false
}

// isStatisticName reports whether full has the format "group.name".
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

// wantsStatistic reports whether kamailio_stats_fetch_value has a statistic. known
// means that the statistic has a family of its own or is known to be wrong.
func (s Settings) wantsStatistic(group, name string, known bool) bool {
	if !s.choosesStatistics() {
		return !known
	}
	return slices.ContainsFunc(s.StatsGroups, func(asked string) bool { return isOrHasStatistic(asked, group, name) })
}

// choosesStatistics reports whether StatsGroups chooses the statistics of
// kamailio_stats_fetch_value.
func (s Settings) choosesStatistics() bool {
	return !s.NoLegacySeries && slices.Contains(s.Named, statsFetchMethod)
}

// isOrHasStatistic reports whether asked, which is configured by the user, is a
// statistic or a group that has it.
func isOrHasStatistic(asked, group, name string) bool {
	askedGroup, askedName := cutStatistic(asked)
	return askedGroup == allStatistics || askedGroup == group && (askedName == "" || askedName == name)
}

// cutStatistic splits the name of a group or of a statistic, as configured by the
// user. As in Kamailio, it is "group:name", "group.name" or, for a whole group,
// "group:". "group" is also accepted.
func cutStatistic(asked string) (group, name string) {
	i := strings.IndexAny(asked, ":.")
	if i < 0 {
		return asked, ""
	}
	return asked[:i], asked[i+1:]
}

// statistic is one entry of statisticFamily.from.
type statistic struct {
	desc *metric.Desc
	// name is the name of the entry, with placeholders.
	name string
	// pattern matches the names of the statistics of the entry, nil if name has no
	// placeholders.
	pattern *regexp.Regexp
	// labels are the values of the labels, with placeholders.
	labels         []string
	scale          float64
	signed         bool
	negativeIsZero bool
	minusOneIsNone bool
}

func (s *statistic) add(out *metric.Writer, name string, value int64, labels []string) {
	if value == -1 && s.minusOneIsNone {
		return
	}
	if value < 0 && s.negativeIsZero {
		value = 0
	}
	if value < 0 && !s.signed {
		out.Skip(metric.BadValue, name+" is negative")
		return
	}
	out.Add(s.desc, float64(value)*s.scale, labels...)
}

// statistics are the entries of all families.
var statistics = makeStatistics()

// statisticsByName has the entries without a pattern by name, statisticPatterns
// the others by group.
var statisticsByName, statisticPatterns = indexStatistics()

var statisticPlaceholder = regexp.MustCompile(`\\\{([a-z]+)\\\}`) // after QuoteMeta

func makeStatistics() []*statistic {
	var all []*statistic
	for _, family := range statisticFamilies {
		desc := newDesc(family.kind, family.name, family.helpOf(), family.labels)
		for _, entry := range family.from {
			s := &statistic{
				desc: desc, name: entry[0], labels: entry[1:], scale: cmp.Or(family.scale, 1),
				signed: family.signed, negativeIsZero: family.negativeIsZero, minusOneIsNone: family.minusOneIsNone,
			}
			if strings.Contains(s.name, "{") {
				s.pattern = statisticPattern(s.name)
			}
			all = append(all, s)
		}
	}
	return all
}

// helpOf returns the family's help with the names of its statistics.
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

// statisticPattern returns a regular expression with a named group for each
// placeholder.
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

// findStatistic returns the entry of a statistic, nil if there is none, and the
// values of its labels.
func findStatistic(full string) (*statistic, []string) {
	if s, ok := statisticsByName[full]; ok {
		return s, s.labels
	}
	return matched.find(full)
}

// matched caches the results of matching. Kamailio sends the same names in each
// reply, and matching them is a third of the collector's cost.
var matched = statisticMatches{byName: map[string]statisticMatch{}}

// mostMatched and longestMatched limit the memory of the cache if the names differ
// in each reply.
const (
	mostMatched    = 10_000
	longestMatched = 200
)

// statisticMatches is a cache of matches. It is safe for concurrent use.
type statisticMatches struct {
	mu     sync.RWMutex
	byName map[string]statisticMatch
}

type statisticMatch struct {
	*statistic          // nil if the name matches no pattern
	values     []string // values of the labels
}

func (m *statisticMatches) find(full string) (*statistic, []string) {
	m.mu.RLock()
	match, ok := m.byName[full]
	m.mu.RUnlock()
	if ok {
		return match.statistic, match.values
	}
	if len(full) <= longestMatched {
		full = strings.Clone(full) // so that the cache does not keep the whole reply in memory
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

// fill returns the labels with the placeholders replaced by the matched texts.
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

// statisticLabel returns the value of a label for a part of a name. The names of
// SIP methods and Diameter requests are in capitals.
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

// statisticDescs returns the families, in the order of statisticFamilies.
func statisticDescs() []*metric.Desc {
	var descs []*metric.Desc
	for _, s := range statistics {
		if !slices.Contains(descs, s.desc) {
			descs = append(descs, s.desc)
		}
	}
	return descs
}

// statisticGroups returns the groups that have families, in the order of
// statisticFamilies, and the group of the routing script.
func statisticGroups() []string {
	var groups []string
	for _, s := range statistics {
		if !slices.Contains(groups, s.group()) {
			groups = append(groups, s.group())
		}
	}
	return append(groups, scriptGroup)
}
