package status

import (
	"cmp"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// PageLength is the maximum number of targets on a page.
const PageLength = 200

// Filter chooses targets of the fleet.
type Filter struct {
	// Name is a part of the name; case does not matter.
	Name string
	// Label has words separated by spaces. A target must match all of them: "site=ams" is a label with its value, "ams" is a part of
	// a name or of a value.
	Label string
	// State is a state, or "" for all.
	State State
	// Page is the number of the page, at least 1.
	Page int
}

// The parameters of the URL.
const (
	NameParameter    = "name"
	LabelParameter   = "label"
	StateParameter   = "state"
	PageParameter    = "page"
	RefreshParameter = "refresh"
)

// query returns the query of the URL of the page with a filter.
func (s Site) query(f Filter, paused bool) string {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set(NameParameter, f.Name)
	set(LabelParameter, f.Label)
	set(StateParameter, string(f.State))
	if f.Page > 1 {
		set(PageParameter, strconv.Itoa(f.Page))
	}
	if paused {
		set(RefreshParameter, "off")
	}
	return "?" + values.Encode()
}

// Fleet is the page of all targets.
type Fleet struct {
	Site
	Filter Filter
	// Counts are the numbers of targets by state.
	Counts []Count
	// Total is the number of targets, Matching the number of those that the filter chooses.
	Total, Matching int
	// First is the number of the first row, 1 for the first target; 0 if there are no rows.
	First int
	Rows  []Row
	// Previous and Next are the queries of the other pages, "" if there is none. Pause is the query that stops or starts the
	// refresh.
	Previous, Next, Pause string
}

// Count is a number of targets in a state.
type Count struct {
	State State
	// Number is the number of targets of the whole fleet.
	Number string
	// Query is the query that shows them, or all targets if they are shown.
	Query string
	// Shown reports whether the filter chooses the state.
	Shown bool
}

// Row is a target of the fleet.
type Row struct {
	Name   string
	Path   string // of its page, below Base
	Labels []string
	State  State
	Since  When
	// Notes say what fails.
	Notes []string
	// Peers says how many gateways and the like are not up, "" if all are.
	Peers    string
	Version  string
	Started  When
	Module   string
	Last     When
	Duration string
	Series   string
	Bars     Bars
}

// States returns all states in their order.
func (Fleet) States() []State { return States }

// Last returns the number of the last row.
func (f Fleet) Last() int { return f.First + len(f.Rows) - 1 }

// NewFleet returns the page of all targets.
func NewFleet(site Site, targets []Target, filter Filter) Fleet {
	f := Fleet{Site: site, Filter: filter, Total: len(targets)}
	numbers := map[State]int{}
	var chosen []Target
	for _, target := range targets {
		state := stateOf(target.Summary, site.Now)
		numbers[state]++
		if filter.matches(target, state) {
			chosen = append(chosen, target)
		}
	}
	slices.SortStableFunc(chosen, func(a, b Target) int {
		return cmp.Or(cmp.Compare(rank(a, site.Now), rank(b, site.Now)), strings.Compare(a.Name, b.Name))
	})
	f.Matching = len(chosen)
	f.Filter.Page = min(max(1, filter.Page), max(1, (len(chosen)+PageLength-1)/PageLength))
	first := (f.Filter.Page - 1) * PageLength
	f.First = min(first+1, len(chosen))
	for _, target := range chosen[first:min(first+PageLength, len(chosen))] {
		f.Rows = append(f.Rows, newRow(target, site.Now))
	}
	f.addCounts(numbers)
	f.addQueries()
	return f
}

// rank returns the place of a target in the list: what is broken comes first.
func rank(t Target, now time.Time) int {
	state := stateOf(t.Summary, now)
	place := 2 * slices.Index(States, state)
	if state == Up && t.Summary.Peers == 0 {
		place++
	}
	return place
}

// matches reports whether the filter chooses a target.
func (f Filter) matches(t Target, state State) bool {
	if f.State != "" && f.State != state || !containsFold(t.Name, f.Name) {
		return false
	}
	for word := range strings.FieldsSeq(f.Label) {
		if !hasLabel(t.Labels, word) {
			return false
		}
	}
	return true
}

// hasLabel reports whether a word of the filter matches a label.
func hasLabel(labels map[string]string, word string) bool {
	name, value, exact := strings.Cut(word, "=")
	if exact {
		got, ok := labels[name]
		return ok && got == value
	}
	for name, value := range labels {
		if containsFold(name, word) || containsFold(value, word) {
			return true
		}
	}
	return false
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func (f *Fleet) addCounts(numbers map[State]int) {
	for _, state := range States {
		if numbers[state] == 0 && f.Filter.State != state {
			continue
		}
		other := f.Filter
		other.Page, other.State = 1, state
		shown := f.Filter.State == state
		if shown {
			other.State = ""
		}
		f.Counts = append(f.Counts, Count{state, count(numbers[state]), f.query(other, f.Paused), shown})
	}
}

func (f *Fleet) addQueries() {
	page := f.Filter
	f.Pause = f.query(page, !f.Paused)
	if f.Filter.Page > 1 {
		page.Page = f.Filter.Page - 1
		f.Previous = f.query(page, f.Paused)
	}
	if len(f.Rows) > 0 && f.Last() < f.Matching {
		page.Page = f.Filter.Page + 1
		f.Next = f.query(page, f.Paused)
	}
}

// newRow returns the row of a target.
func newRow(t Target, now time.Time) Row {
	s := t.Summary
	state := stateOf(s, now)
	row := Row{
		Name:    t.title(),
		Path:    t.path(),
		Labels:  labels(t.Labels),
		State:   state,
		Since:   at(since(s, state), now),
		Notes:   notes(s, state),
		Version: clean(s.Version, shortText),
		Module:  s.Module,
		Bars:    bars(t.Polls()),
	}
	if s.Up && s.Peers > 0 {
		row.Peers = plural(s.Peers, "peer not up", "peers not up")
	}
	if s.Polled {
		row.Last, row.Duration, row.Series = at(s.Last.Begun, now), took(s.Last.Duration), count(s.Last.Series)
	}
	if s.Up {
		row.Started = at(s.Started, now)
	}
	return row
}

// since returns the time since which a target has its state.
func since(s scrape.Summary, state State) time.Time {
	switch state {
	case Stale:
		return s.Last.Begun
	case Failing:
		return s.Failing
	default:
		return s.Since
	}
}

// title returns the name of a target for people.
func (t Target) title() string { return clean(cmp.Or(t.Name, t.URI), shortText) }

// path returns the path of the target's page below the root.
func (t Target) path() string { return "status/" + url.PathEscape(cmp.Or(t.Name, Unnamed)) }

// labels returns labels as text, sorted.
func labels(all map[string]string) []string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		texts = append(texts, clean(name+"="+all[name], shortText))
	}
	return texts
}

// reasons has words for the reasons why Kamailio is down.
var reasons = map[string]string{
	"permission":   "no permission to use the socket",
	"no_socket":    "there is no such socket",
	"refused":      "connection refused",
	"unreachable":  "the host cannot be reached",
	"timeout":      "no reply in time",
	"not_binrpc":   "the reply is not BINRPC",
	"not_json_rpc": "the reply is not JSON-RPC",
	"auth":         "the credentials were refused",
	"tls":          "TLS failed",
	"dns":          "the name of the host has no address",
	"too_large":    "a reply is too large",
	"protocol":     "the connection was closed, or a reply is not valid",
	"no_methods":   "the server has no methods of Kamailio",
	"other":        "another error",
}

// notes say what fails.
func notes(s scrape.Summary, state State) []string {
	var notes []string
	switch state {
	case Stale:
		notes = append(notes, "Prometheus does not scrape it")
	case Down:
		notes = append(notes, reasons[s.Reason])
	}
	if s.Up && s.Methods > 0 {
		notes = append(notes, plural(s.Methods, "method fails", "methods fail"))
	}
	if s.SIP > 0 {
		notes = append(notes, plural(s.SIP, "SIP socket does not respond", "SIP sockets do not respond"))
	}
	return notes
}

// Write writes the page.
func (f Fleet) Write(w io.Writer) error { return write(w, "fleet.html", f) }
