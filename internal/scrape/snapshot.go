package scrape

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
)

// Rows are the samples of a family that the status page shows. They do not change.
type Rows struct {
	// Labels are the names of the labels.
	Labels []string
	// Rows has some of the samples, at most maxRows.
	Rows []Row
	// Count is the number of samples that the page would show if there were no limit.
	Count int
}

// Row is a sample. Its text may be a server's.
type Row struct {
	Value float64
	// Texts are the values of the labels.
	Texts []string
}

// Text returns the value of a label of a row, "" if there is no such label.
func (r Rows) Text(row Row, label string) string {
	if i := slices.Index(r.Labels, label); i >= 0 {
		return row.Texts[i]
	}
	return ""
}

const (
	// maxRows is the maximum number of samples of a family in a snapshot.
	maxRows = 20
	// maxRowText is the maximum length of a label value in a snapshot, in bytes.
	maxRowText = 256
	// maxSnapshot is the maximum length of all label values of a snapshot, in bytes.
	maxSnapshot = 16 << 10
	// maxProcesses is the maximum number of processes whose CPU time is remembered.
	maxProcesses = 256
)

// rule says which samples of a family the status page shows.
type rule struct {
	// keeps reports whether sample i is shown; nil means that all are.
	keeps func(f *metric.Family, i int) bool
	// lowest shows the sample with the lowest value only.
	lowest bool
	// highest shows the samples with the highest values; otherwise the first ones are shown.
	highest bool
}

// processTime is the family with the CPU time of processes. A snapshot has the CPU time per second instead, 1 for a whole CPU.
const processTime = "kamailio_process_cpu_seconds_total"

// rules are the families that the status page shows.
var rules = map[string]rule{
	"kamailio_build_info":                   {},
	"kamailio_start_time_seconds":           {},
	"kamailio_shmem_free_bytes":             {},
	"kamailio_shmem_total_bytes":            {},
	"kamailio_core_shmmem_free":             {},
	"kamailio_core_shmmem_total":            {},
	"kamailio_pkg_free_bytes":               {lowest: true},
	"kamailio_pkg_role_free_min_bytes":      {lowest: true},
	"kamailio_dispatcher_destination_state": {keeps: isStateExcept("active")},
	"kamailio_dispatcher_set_destinations":  {keeps: isStateExcept("active")},
	"kamailio_uac_registration_up":          {keeps: isZero},
	"kamailio_rtpengine_node_up":            {keeps: isZero},
	"kamailio_rtpproxy_node_up":             {keeps: isZero},
	"kamailio_dmq_node_state":               {keeps: isStateExcept("active")},
	"kamailio_cdp_peer_state":               {keeps: isStateExcept("i_open", "r_open")},
	"kamailio_socket_receive_queue_bytes":   {highest: true},
	"kamailio_process_states":               {keeps: isStopped},
}

// isOfHost reports whether a family is one of the host, not of Kamailio's replies.
func isOfHost(family string) bool {
	return strings.HasPrefix(family, "kamailio_process_") || strings.HasPrefix(family, "kamailio_socket_")
}

func isZero(f *metric.Family, i int) bool { return f.Value(i) == 0 }

// isStateExcept returns the condition that something is in a state that is none of these. It is for families with a sample for each
// state, which is 1 for the present state, or the number of those in the state.
func isStateExcept(states ...string) func(f *metric.Family, i int) bool {
	var pairs []metric.Pair
	for _, state := range states {
		pairs = append(pairs, metric.NewPair("state", state))
	}
	return func(f *metric.Family, i int) bool {
		return f.Value(i) > 0 && !slices.ContainsFunc(pairs, func(pair metric.Pair) bool { return f.Has(i, pair) })
	}
}

// stopped is the state of processes that a signal or a debugger stopped.
var stopped = metric.NewPair("state", string(host.Stopped))

func isStopped(f *metric.Family, i int) bool { return f.Value(i) > 0 && f.Has(i, stopped) }

// snapshot has the samples of a poll that the status page shows, by family.
type snapshot struct {
	families map[string]Rows
	room     int // number of bytes of label values that may be added
}

// newSnapshot returns the snapshot of a poll.
func newSnapshot(set *metric.Set) snapshot {
	s := snapshot{map[string]Rows{}, maxSnapshot}
	for family := range set.All() {
		if rule, ok := rules[family.Desc.Name]; ok {
			s.add(family, rule)
		}
	}
	return s
}

// add adds the samples of a family that a rule keeps.
func (s *snapshot) add(f *metric.Family, rule rule) {
	var kept []int
	for i := range f.Len() {
		if rule.keeps == nil || rule.keeps(f, i) {
			kept = append(kept, i)
		}
	}
	rows := Rows{Labels: f.Desc.Labels, Count: len(kept)}
	for _, i := range rule.first(f, kept) {
		value, texts := f.Sample(i)
		rows.Rows = s.appendRow(rows.Rows, value, texts)
	}
	s.families[f.Desc.Name] = rows
}

// first returns the samples of kept that are shown.
func (r rule) first(f *metric.Family, kept []int) []int {
	compare := func(a, b int) int { return cmp.Compare(f.Value(a), f.Value(b)) }
	switch {
	case r.lowest && len(kept) > 0:
		return []int{slices.MinFunc(kept, compare)}
	case r.highest:
		slices.SortStableFunc(kept, func(a, b int) int { return compare(b, a) })
	}
	return kept[:min(len(kept), maxRows)]
}

// appendRow appends a row if the snapshot has room for it.
func (s *snapshot) appendRow(rows []Row, value float64, texts []string) []Row {
	length := 0
	for i := range texts {
		texts[i] = shortened(texts[i], maxRowText)
		length += len(texts[i])
	}
	if length > s.room {
		return rows
	}
	s.room -= length
	return append(rows, Row{value, texts})
}

// shortened returns a text of at most limit bytes that keeps no other memory. The text is cut if it is longer.
func shortened(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) + "…"
}

// processTimes has the CPU times of processes at the time of a poll.
type processTimes struct {
	at      time.Time
	seconds map[string]float64 // by the values of the labels
}

// addProcesses adds the CPU time per second, since an earlier poll, of the busiest processes. It returns the present CPU times.
func (s *snapshot) addProcesses(set *metric.Set, before processTimes, now time.Time) processTimes {
	for family := range set.All() {
		if family.Desc.Name != processTime {
			continue
		}
		times := processTimes{now, make(map[string]float64, min(family.Len(), maxProcesses))}
		var rows []Row
		for i := range min(family.Len(), maxProcesses) {
			value, texts := family.Sample(i)
			key := strings.Join(texts, "\x00")
			times.seconds[key] = value
			if last, ok := before.seconds[key]; ok && value >= last && now.After(before.at) {
				rows = append(rows, Row{(value - last) / now.Sub(before.at).Seconds(), texts})
			}
		}
		s.addBusiest(family.Desc.Labels, rows)
		return times
	}
	return processTimes{}
}

// addBusiest adds the rows with the highest values.
func (s *snapshot) addBusiest(labels []string, all []Row) {
	slices.SortStableFunc(all, func(a, b Row) int { return cmp.Compare(b.Value, a.Value) })
	rows := Rows{Labels: labels, Count: len(all)}
	for _, row := range all[:min(len(all), maxRows)] {
		rows.Rows = s.appendRow(rows.Rows, row.Value, row.Texts)
	}
	s.families[processTime] = rows
}
