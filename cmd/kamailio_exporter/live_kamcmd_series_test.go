//go:build linux

package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// kamcmdValue is a value in the output of kamcmd: a text, or a struct with members. The output as a whole is a struct too.
type kamcmdValue struct {
	name, text string
	isStruct   bool
	parent     *kamcmdValue
	members    []*kamcmdValue
}

// parseKamcmd parses the output of kamcmd. A line with a text in a list, or outside of structs, has no name.
func parseKamcmd(out string) *kamcmdValue {
	at := &kamcmdValue{isStruct: true}
	root := at
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line == "}":
			at = at.parent
		case strings.HasSuffix(line, "{"):
			at = at.add(&kamcmdValue{name: strings.TrimSuffix(strings.TrimSuffix(line, "{"), ": "), isStruct: true})
		default:
			name, text, named := strings.Cut(line+" ", ": ")
			if !named || at == root {
				name, text = "", line
			}
			at.add(&kamcmdValue{name: name, text: strings.TrimSpace(strings.ReplaceAll(text, "<null string>", ""))})
		}
	}
	return root
}

func (v *kamcmdValue) add(member *kamcmdValue) *kamcmdValue {
	member.parent = v
	v.members = append(v.members, member)
	return member
}

// find returns all values at the end of a path such as ATTRS.WEIGHT, which may begin anywhere.
func (v *kamcmdValue) find(path string) []*kamcmdValue {
	var found []*kamcmdValue
	for _, member := range v.members {
		if member.endsWith(path) {
			found = append(found, member)
		}
		found = append(found, member.find(path)...)
	}
	return found
}

// endsWith reports whether a path leads to the value. Elements of lists have no name.
func (v *kamcmdValue) endsWith(path string) bool {
	if rest, ok := strings.CutSuffix(path, v.name); ok && rest == "" {
		return true
	}
	rest, ok := strings.CutSuffix(path, "."+v.name)
	up := v.parent
	for up != nil && up.name == "" {
		up = up.parent
	}
	return ok && up != nil && up.endsWith(rest)
}

// texts returns the texts without a name: the elements of a list, or the lines of the output.
func (v *kamcmdValue) texts() []string {
	var texts []string
	for _, member := range v.members {
		if !member.isStruct && member.name == "" {
			texts = append(texts, member.text)
		}
	}
	return texts
}

// get returns the text of a member, with upper or lower case letters in its name.
func (v *kamcmdValue) get(name string) (string, bool) {
	for _, member := range v.members {
		if !member.isStruct && strings.EqualFold(member.name, name) {
			return member.text, true
		}
	}
	return "", false
}

// near returns the text of the nearest member with a name, of the structs around the value and of their structs, unless these
// are several rows.
func (v *kamcmdValue) near(name string) string {
	for around := v; around != nil; around = around.parent {
		if text, ok := around.get(name); ok {
			return text
		}
		for _, inner := range around.members {
			if text, ok := inner.get(name); ok && inner.name != "" && len(around.find(inner.name)) == 1 {
				return text
			}
		}
	}
	return ""
}

// reading is the output of kamcmd for one call of a collector. Its arguments are members arg0 and so on of the output. The output
// is empty if it is a fault.
type reading struct {
	method  string
	isFault bool
	*kamcmdValue
}

// helpSource matches the part of a help text that names the RPC fields of the metric.
var helpSource = regexp.MustCompile(`\b(Field|Fields|Statistic|Statistics|Rows in field|Rows|Reply)(?: (.+?))? of ([a-z_]+\.\w+)\.`)

// labelFields has the fields of the labels whose names are not those of fields.
var labelFields = map[string]string{
	"benchmark.timer_list timer":   "name",
	"cdp.list_peers peer":          "FQDN",
	"dispatcher.oclist setid":      "group",
	"core.psx role":                "DSC",
	"dispatcher.list setid":        "ID",
	"dlg.profile_get_size profile": "arg0",
	"dlg.profile_get_size value":   "arg1",
	"htable.get key":               "arg1",
	"htable.get table":             "arg0",
	"htable.listTables table":      "name",
	"htable.stats table":           "name",
	"mqueue.get_sizes queue":       "name",
	"mtree.summary tree":           "table",
	"pkg.stats process":            "entry",
	"pkg.stats role":               "desc",
	"pl.list pipe":                 "name",
	"pv.shvGet name":               "arg0",
	"rtpproxy.list set":            "setid",
}

// stateTexts has the names of the states that Kamailio sends as a letter or a number, by method and the beginning of the text.
var stateTexts = map[string]map[string]string{
	"dispatcher.list": {"A": "active", "D": "disabled", "I": "inactive", "T": "trying"},
	"keepalive.list":  {"0": "unknown", "1": "up", "2": "down"},
}

// units are the factors of the fields that are not in base units, by the end of the name.
var units = map[string]float64{
	"LATENCY.AVG": 1e-3, "LATENCY.EST": 1e-3, "LATENCY.MAX": 1e-3, "LATENCY.STD": 1e-3,
	"_response_time": 1e-3,
	"OCMAX":          1e-2, "OCMIN": 1e-2, "ocrate": 1e-2,
	"global_max": 1e-6, "global_min": 1e-6, "sum": 1e-6, // granularity
}

// expectation has the series that a page should have.
type expectation struct {
	series     map[string]float64
	page       map[string][]shownSeries // by family
	statistics map[string]bool          // those that series of the page come from
}

// shownSeries is a series of the page.
type shownSeries struct {
	key    string // as in the page
	labels map[string]string
}

var labelPair = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

func newExpectation(p page) *expectation {
	x := &expectation{series: map[string]float64{}, page: map[string][]shownSeries{}, statistics: map[string]bool{}}
	for key := range p {
		family, labels, _ := strings.Cut(key, "{")
		shown := shownSeries{key, map[string]string{}}
		for _, pair := range labelPair.FindAllStringSubmatch(labels, -1) {
			shown.labels[pair[1]] = pair[2]
		}
		x.page[family] = append(x.page[family], shown)
	}
	return x
}

// expectFamily adds the series of a family that follow from the output of a call.
func (x *expectation) expectFamily(desc *metric.Desc, r reading) {
	if _, ok := notCompared[desc.Name]; ok {
		return
	}
	if special, ok := specialFamilies[desc.Name]; ok {
		special(x, desc, r)
		return
	}
	source := helpSource.FindStringSubmatch(desc.Help)
	if source == nil || source[3] != r.method {
		return // its series are not expected, so the test fails if there are any
	}
	kind, fields := source[1], splitFields(source[2])
	switch {
	case strings.HasPrefix(desc.Help, "Always 1."):
		x.expectInfo(desc, r, fields)
	case strings.HasPrefix(kind, "Statistic"):
		x.expectStatistics(desc, r, fields)
	case kind == "Reply":
		x.expectReply(desc, r)
	case kind == "Rows":
		x.expectCount(desc, r, structsOf(r.kamcmdValue))
	case kind == "Rows in field":
		var rows []*kamcmdValue
		for _, list := range r.find(fields[0]) {
			rows = append(rows, list.members...)
		}
		x.expectCount(desc, r, rows)
	case kind == "Fields" && len(fields) == 1: // a field that is counted
		x.expectCount(desc, r, r.find(fields[0]))
	case strings.HasPrefix(desc.Help, "1 for the state"):
		x.expectStates(desc, r, fields[0])
	default:
		x.expectNumbers(desc, r, fields[0])
	}
}

func splitFields(text string) []string {
	return strings.Split(strings.ReplaceAll(text, " and ", ", "), ", ")
}

func structsOf(v *kamcmdValue) []*kamcmdValue {
	var structs []*kamcmdValue
	for _, member := range v.members {
		if member.isStruct {
			structs = append(structs, member)
		}
	}
	return structs
}

// add adds a series. If there is one with the same labels, the label index is 2; without that label, the first one stays.
func (x *expectation) add(desc *metric.Desc, value float64, label func(name string) string) {
	key := keyOf(desc, label)
	if _, ok := x.series[key]; ok {
		key = strings.Replace(key, `index=""`, `index="2"`, 1)
	}
	if _, ok := x.series[key]; !ok {
		x.series[key] = value
	}
}

// keyOf returns a series as it is in a page.
func keyOf(desc *metric.Desc, label func(name string) string) string {
	if len(desc.Labels) == 0 {
		return desc.Name
	}
	pairs := make([]string, len(desc.Labels))
	for i, name := range desc.Labels {
		pairs[i] = name + `="` + label(name) + `"`
	}
	return desc.Name + "{" + strings.Join(pairs, ",") + "}"
}

// labelsAt returns the labels of a series whose value is at a place of the output.
func (r reading) labelsAt(v *kamcmdValue) func(name string) string {
	return func(name string) string {
		field, ok := labelFields[r.method+" "+name]
		switch {
		case name == "index":
			return "" // add changes it
		case !ok:
			field = name
		}
		text := v.near(field)
		if name == "role" {
			return processDetails.ReplaceAllString(text, "")
		}
		return text
	}
}

// processDetails matches what distinguishes processes of a role in this lab.
var processDetails = regexp.MustCompile(`( \S+)?=.*$| \(.*$|[ #:_-]+\d+$`)

// expectInfo adds a series with the value 1 for each row.
func (x *expectation) expectInfo(desc *metric.Desc, r reading, fields []string) {
	field := fields[len(fields)-1]
	if strings.Contains(desc.Help, "Fields of the same names") {
		field = desc.Labels[0]
	}
	for _, v := range r.find(field) {
		x.add(desc, 1, r.labelsAt(v))
	}
}

// expectCount adds the number of rows with the same labels. A series without labels is 0 if there are no rows. Some faults mean
// that there are none.
func (x *expectation) expectCount(desc *metric.Desc, r reading, rows []*kamcmdValue) {
	if shown := len(x.page[desc.Name]) > 0; len(desc.Labels) == 0 && (shown || !r.isFault) {
		x.add(desc, 0, nil)
	}
	for _, row := range rows {
		x.series[keyOf(desc, r.labelsAt(first(row)))]++
	}
}

// first returns a member of a row, next to which the row's labels are.
func first(row *kamcmdValue) *kamcmdValue {
	if len(row.members) > 0 {
		return row.members[0]
	}
	return row
}

// expectStates adds a series for each state that the page has.
func (x *expectation) expectStates(desc *metric.Desc, r reading, field string) {
	for _, v := range r.find(field) {
		text := strings.ToLower(v.text)
		for begin, state := range stateTexts[r.method] {
			if strings.HasPrefix(v.text, begin) {
				text = state
			}
		}
		for _, state := range x.statesOf(desc.Name) {
			x.addState(desc, r, v, state, text)
		}
	}
}

func (x *expectation) addState(desc *metric.Desc, r reading, v *kamcmdValue, state, now string) {
	label := r.labelsAt(v)
	x.add(desc, is(state == now), func(name string) string {
		if name == "state" {
			return state
		}
		return label(name)
	})
}

// statesOf returns the states that a family of the page has.
func (x *expectation) statesOf(family string) []string {
	var states []string
	for _, shown := range x.page[family] {
		if state := shown.labels["state"]; !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	return states
}

// expectNumbers adds a series for each field with a number.
func (x *expectation) expectNumbers(desc *metric.Desc, r reading, field string) {
	for _, v := range r.find(field) {
		value, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			continue
		}
		if value < 0 && desc.Type == metric.Counter {
			value += 1 << 32 // kamcmd prints unsigned integers as signed
		}
		for suffix, unit := range units {
			if strings.HasSuffix(field, suffix) {
				value *= unit
			}
		}
		x.add(desc, value, r.labelsAt(v))
	}
}

// expectReply adds a series for an output that is a number or "Enabled" or "Disabled".
func (x *expectation) expectReply(desc *metric.Desc, r reading) {
	for _, text := range r.texts() {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			value = is(text == "Enabled")
		}
		x.add(desc, value, r.labelsAt(r.members[0]))
	}
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// expectStatistics adds the values of the statistics from which the page's series of a family can come. The value of a label is
// a part of the name of the statistic where the help has a {placeholder}. Otherwise the name has its first letters: "request" is
// that of rcv_requests, and "reply" that of rcv_replies.
func (x *expectation) expectStatistics(desc *metric.Desc, r reading, names []string) {
	for _, shown := range x.page[desc.Name] {
		for _, name := range names {
			statistic := shown.statistic(name)
			text, ok := r.members[0].get(statistic)
			if !ok {
				statistic = strings.Replace(statistic, "_register", "_reg", 1)
				text, ok = r.members[0].get(statistic)
			}
			if ok && shown.isFrom(name) {
				x.addStatistic(shown.key, statistic, text)
			}
		}
	}
}

// statistic returns the name of a statistic with the placeholders replaced by the labels of the series.
func (s shownSeries) statistic(name string) string {
	return placeholder.ReplaceAllStringFunc(name, func(text string) string {
		label := strings.Trim(text, "{}")
		if label == "method" || label == "request" {
			return strings.ToLower(s.labels[label])
		}
		return s.labels[label]
	})
}

// isFrom reports whether the name of a statistic has the beginnings of the labels that have no placeholder.
func (s shownSeries) isFrom(name string) bool {
	for label, value := range s.labels {
		if !strings.Contains(name, "{"+label+"}") && !strings.Contains(name, value[:min(4, len(value))]) {
			return false
		}
	}
	return true
}

func (x *expectation) addStatistic(series, name, text string) {
	x.statistics[name] = true
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return
	}
	number := float64(int64(value))
	for suffix, unit := range units {
		if strings.HasSuffix(name, suffix) {
			number *= unit
		}
	}
	x.series[series] = number
}

// special adds the series of a family that follow from the output of a call.
type special func(x *expectation, desc *metric.Desc, r reading)

// rows returns a special that adds a series for each value at the end of a path. There is no series if value returns false.
func rows(path string, value func(v *kamcmdValue) (float64, bool)) special {
	return func(x *expectation, desc *metric.Desc, r reading) {
		for _, v := range r.find(path) {
			if number, ok := value(v); ok {
				x.add(desc, number, r.labelsAt(v))
			}
		}
	}
}

// lines returns a special that adds a series for each line that matches a pattern. The group value is the value, by default 1.
// The other groups are the labels.
func lines(pattern string) special {
	line := regexp.MustCompile(pattern)
	return func(x *expectation, desc *metric.Desc, r reading) {
		for _, text := range r.texts() {
			match := line.FindStringSubmatch(text)
			if match == nil {
				continue
			}
			value := 1.0
			if i := line.SubexpIndex("value"); i > 0 {
				value, _ = strconv.ParseFloat(match[i], 64)
			}
			x.add(desc, value, func(name string) string { return match[line.SubexpIndex(name)] })
		}
	}
}

// members returns a special that adds a series for each member of the structs whose name matches a pattern, with the name as the
// label code.
func members(pattern string) special {
	name := regexp.MustCompile(pattern)
	return func(x *expectation, desc *metric.Desc, r reading) {
		for _, row := range structsOf(r.kamcmdValue) {
			for _, v := range row.members {
				if value, err := strconv.ParseFloat(v.text, 64); err == nil && name.MatchString(v.name) {
					x.add(desc, value, func(string) string { return v.name })
				}
			}
		}
	}
}

// line returns a special for the number in a line of the output, from 0, minus a number.
func line(n int, minus float64) special {
	return func(x *expectation, desc *metric.Desc, r reading) {
		if texts := r.texts(); n < len(texts) {
			value, _ := strconv.ParseFloat(texts[n], 64)
			x.add(desc, value-minus, nil)
		}
	}
}

// one returns a value for rows that is 1 if the text of a field has a property.
func one(holds func(text string) bool) func(v *kamcmdValue) (float64, bool) {
	return func(v *kamcmdValue) (float64, bool) { return is(holds(v.text)), true }
}

// specialFamilies have the families whose series do not follow from the help alone. Each has the reason.
var specialFamilies = map[string]special{
	// The text is a date.
	"kamailio_start_time_seconds": rows("up_since", date),
	// The labels have other names, and the version has the name of the program.
	"kamailio_build_info": expectBuild,
	// These count, which "Field" in the help does not say.
	"kamailio_core_processes": func(x *expectation, desc *metric.Desc, r reading) { x.expectCount(desc, r, r.find("DSC")) },
	"kamailio_imc_members":    sum("members"),
	// All fields are series.
	"kamailio_stats_fetch_value":    expectOtherStatistics,
	"kamailio_sl_stats_codes_total": members("."),
	"kamailio_tm_stats_codes_total": members("^[2-6]xx$"),
	// The output has lines of text.
	"kamailio_dns_cache_used_bytes":             line(0, 0),
	"kamailio_dns_cache_max_bytes":              line(1, 0),
	"kamailio_dst_blocklist_used_bytes":         line(0, 0),
	"kamailio_dst_blocklist_max_bytes":          line(1, 0),
	"kamailio_ratelimit_pipe_info":              lines(`^PIPE\[(?P<pipe>\d+)\]: \d+:(?P<algorithm>\w+) `),
	"kamailio_ratelimit_pipe_interval_requests": lines(`^PIPE\[(?P<pipe>\d+)\]: \S+ (?P<value>-?\d+)/`),
	"kamailio_ratelimit_pipe_limit":             lines(`^PIPE\[(?P<pipe>\d+)\]: [^/]+/(?P<value>-?\d+) `),
	"kamailio_ratelimit_pipe_load":              lines(`^PIPE\[(?P<pipe>\d+)\]: .*rate: (?P<value>-?\d+)\)`),
	"kamailio_ratelimit_queue_info":             lines(`^QUEUE\[(?P<queue>\d+)\]: (?P<pipe>\d+):(?P<method>\w+)$`),
	"kamailio_pipelimit_pipe_load":              lines(`id=(?P<pipe>\S+) load=(?P<value>-?\d+) `),
	"kamailio_sca_subscriptions":                lines(`^(?P<value>\d+) (?P<event>\S+)$`),
	"kamailio_call_obj_numbers":                 lines(`^Total: (?P<value>\d+) `),
	"kamailio_call_obj_assigned_numbers":        lines(` Assigned: (?P<value>\d+) `),
	// kamcmd's own connection counts.
	"kamailio_ctl_connections": line(0, 1),
	// The field is a letter of FLAGS.
	"kamailio_dispatcher_destination_state":   func(x *expectation, desc *metric.Desc, r reading) { x.expectStates(desc, r, "FLAGS") },
	"kamailio_dispatcher_destination_probing": rows("FLAGS", one(func(flags string) bool { return strings.HasSuffix(flags, "P") })),
	// The field says the opposite, or has more than a number.
	"kamailio_rtpengine_node_disabled": rows("disabled", one(func(text string) bool { return strings.HasSuffix(text, "(permanent)") })),
	"kamailio_rtpproxy_node_up":        rows("disabled", one(func(text string) bool { return text == "0" })),
	"kamailio_rtpproxy_node_disabled":  rows("recheck", one(func(text string) bool { return text == "-1" })),
	// The field is a bit of the flags.
	"kamailio_uac_registration_up":       rows("flags", registrationBit(4)),
	"kamailio_uac_registration_disabled": rows("flags", registrationBit(1)),
	// The field is 0 if there is no value, or not a number.
	"kamailio_dispatcher_destination_overload_end_timestamp_seconds": rows("octime_sec", positive),
	"kamailio_cdp_peer_disabled":                                     rows("Disabled", one(func(text string) bool { return text == "True" })),
}

// positive is for a field that is 0 if there is no value.
func positive(v *kamcmdValue) (float64, bool) {
	value, err := strconv.ParseFloat(v.text, 64)
	return value, err == nil && value > 0
}

// sum returns a special that adds the sum of a field of all rows.
func sum(field string) special {
	return func(x *expectation, desc *metric.Desc, r reading) {
		for _, v := range r.find(field) {
			value, _ := strconv.ParseFloat(v.text, 64)
			x.series[desc.Name] += value
		}
	}
}

func date(v *kamcmdValue) (float64, bool) {
	when, err := time.ParseInLocation(time.ANSIC, v.text, time.Local)
	return float64(when.Unix()), err == nil && when.Year() > 1970
}

// expectBuild expects the label name to be the first word of the field version.
func expectBuild(x *expectation, desc *metric.Desc, r reading) {
	for _, v := range r.find("version") {
		name, version, _ := strings.Cut(v.text, " ")
		x.add(desc, 1, func(label string) string {
			return map[string]string{
				"compiled": v.near("compiled"), "compiler": v.near("compiler"), "name": name, "revision": v.near("id"), "version": version,
			}[label]
		})
	}
}

// wrongStatistics are those without series, because Kamailio computes them wrongly.
var wrongStatistics = []string{
	"imc.active_rooms", "ims_usrloc_pcscf.registered_impus", "registrar.default_expires_range", "registrar.expires_range",
	"sl.sent_err_replies", "uac.regactive", "uac.regdisabled", "uac.regtotal",
}

// expectOtherStatistics adds the statistics of the page's series. It is called after all other families: a statistic without a
// series is added as a series that the page lacks.
func expectOtherStatistics(x *expectation, desc *metric.Desc, r reading) {
	for _, shown := range x.page[desc.Name] {
		statistic := shown.labels["group"] + "." + shown.labels["name"]
		if text, ok := r.members[0].get(statistic); ok {
			x.addStatistic(shown.key, statistic, text)
		}
	}
	for _, statistic := range r.members[0].members {
		if !x.statistics[statistic.name] && !slices.Contains(wrongStatistics, statistic.name) {
			x.series["a series of the statistic "+statistic.name] = 0
		}
	}
}

// registrationBit returns a value for rows that is 1 if a bit of the flags is set.
func registrationBit(bit int) func(v *kamcmdValue) (float64, bool) {
	return one(func(text string) bool {
		flags, _ := strconv.Atoi(text)
		return flags&bit != 0
	})
}
