package status

import (
	"cmp"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// TargetPage is the page of one target.
type TargetPage struct {
	Site
	Row
	URI string
	// Alone reports whether there is no other target.
	Alone bool
	// Probe is the query of the metrics of the target below Base with the path, Debug that of the description of a poll; "" if there
	// is none.
	Probe, Debug string
	// Reason is the reason why Kamailio is down.
	Reason string
	// Taken is the time of the poll of the samples.
	Taken   When
	Errors  []Error
	Traffic []Line
	Methods []MethodRow
	SIP     []SIPRow
	Tables  []Table
	Memory  []Amount
	// Pause is the query that stops or starts the refresh.
	Pause string
}

// Error is an error with the methods that failed because of it.
type Error struct {
	// Methods are the methods; there are none if no call could be made.
	Methods []string
	Since   When
	Text    string
	Hint    string
}

// MethodRow is a method. Module is "" if the polls have only one module.
type MethodRow struct {
	Name, Module string
	Failing      bool
	Since        When
	Duration     string
	Series       string
	// Skips says which parts of replies were dropped.
	Skips []string
	// Last is the last error of a method that works.
	Last *Error
}

// SIPRow is a SIP socket.
type SIPRow struct {
	// Socket is the transport, the address and the port.
	Socket         string
	Failure        string // "" if it responds
	Since          When
	Code, Duration string
	// Expiry is the end of validity of the certificate, "" if there is none. Soon reports whether it is less than expirySoon ahead.
	Expiry string
	Soon   bool
	Error  string
}

// expirySoon is the time before the end of a certificate from which it is marked.
const expirySoon = 14 * 24 * time.Hour

// Table has rows of text.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	// More is the number of rows that are not shown.
	More int
	// Good is the text of a table without rows, for example "All are up.".
	Good string
	// Bad reports whether the rows are things that are not up.
	Bad bool
}

// Heading returns the title, with the number of rows if they are things that are not up.
func (t Table) Heading() string {
	if n := len(t.Rows) + t.More; t.Bad && n > 0 {
		return t.Title + ": " + count(n) + " not up"
	}
	return t.Title
}

// Amount is an amount of memory.
type Amount struct {
	Name, Text string
	// Percent is the share that is free, -1 if that is not known.
	Percent int
}

// NewTarget returns the page of a target. alone reports whether there is no other one.
func NewTarget(site Site, target Target, s scrape.Status, alone bool) TargetPage {
	target.Summary = s.Summary
	polls := target.Polls()
	p := TargetPage{
		Site:    site,
		Row:     newRow(target, site.Now),
		URI:     clean(target.URI, longText),
		Alone:   alone,
		Reason:  s.Summary.Reason,
		Taken:   at(s.Taken, site.Now),
		Errors:  errorsOf(s, site.Now),
		Traffic: traffic(polls),
		SIP:     sipRows(s.SIP, site.Now),
		Tables:  tables(s.Families),
		Memory:  memory(s.Families),
		Pause:   site.query(Filter{}, !site.Paused),
	}
	if target.Name != "" {
		values := url.Values{"target": {target.Name}}
		p.Probe = "probe?" + values.Encode()
		values.Set("debug", "true")
		p.Debug = "probe?" + values.Encode()
	}
	for _, method := range s.Methods {
		row := methodRow(method, site.Now)
		if slices.ContainsFunc(s.Methods, func(other scrape.Method) bool { return other.Module != method.Module }) {
			row.Module = method.Module
		}
		p.Methods = append(p.Methods, row)
	}
	slices.SortStableFunc(p.Methods, func(a, b MethodRow) int { return cmp.Compare(boolOrder(a.Failing), boolOrder(b.Failing)) })
	return p
}

// boolOrder sorts true before false.
func boolOrder(b bool) int {
	if b {
		return 0
	}
	return 1
}

// Write writes the page.
func (p TargetPage) Write(w io.Writer) error { return write(w, "target.html", p) }

// errorsOf returns the errors of the last polls: those that are not about one method, then each error with all its methods.
func errorsOf(s scrape.Status, now time.Time) []Error {
	var all []Error
	for _, problem := range s.Problems {
		all = append(all, Error{Since: at(problem.Since, now), Text: clean(problem.Error, longText), Hint: clean(problem.Hint, longText)})
	}
	byText := map[string]int{} // index in all
	for _, method := range s.Methods {
		if !method.HasError() {
			continue
		}
		i, ok := byText[method.Error]
		if !ok {
			i = len(all)
			byText[method.Error] = i
			all = append(all, newError(method, now))
		}
		all[i].Methods = append(all[i].Methods, clean(method.Name, shortText))
	}
	return all
}

func newError(m scrape.Method, now time.Time) Error {
	return Error{Since: at(m.Since, now), Text: clean(m.Error, longText), Hint: clean(m.Hint, longText)}
}

func methodRow(m scrape.Method, now time.Time) MethodRow {
	row := MethodRow{
		Name: clean(m.Name, shortText), Failing: m.Failing, Since: at(m.Since, now), Duration: took(m.Took), Series: count(m.Series),
		Skips: skips(m.Skips),
	}
	if !m.Failing && m.Error != "" {
		last := newError(m, now)
		last.Since = at(m.Failed, now)
		row.Last = &last
	}
	return row
}

// skips says which parts of replies were dropped.
func skips(all map[metric.Reason]int) []string {
	var texts []string
	for reason, n := range all {
		texts = append(texts, count(n)+" "+strings.ReplaceAll(string(reason), "_", " "))
	}
	slices.Sort(texts)
	return texts
}

// sipRows returns the SIP sockets, those that do not respond first.
func sipRows(sockets []scrape.SIPSocket, now time.Time) []SIPRow {
	var rows []SIPRow
	for _, s := range sockets {
		row := SIPRow{Socket: clean(s.Socket.Transport+":"+s.Socket.Address(), shortText), Failure: string(s.Failure), Since: at(s.Since, now)}
		if s.Failure == "" {
			row.Code, row.Duration = strconv.Itoa(s.Code), took(s.Response)
		}
		if s.Err != nil {
			row.Error = clean(s.Err.Error(), longText)
		}
		if !s.Expiry.IsZero() {
			row.Soon = s.Expiry.Before(now.Add(expirySoon))
			row.Expiry = s.Expiry.UTC().Format("2006-01-02")
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b SIPRow) int { return cmp.Compare(boolOrder(a.Failure != ""), boolOrder(b.Failure != "")) })
	return rows
}

// column is a column of a table: a label of a family.
type column struct{ title, label string }

// peerTables describe the tables of what Kamailio depends on. A table without rows is shown if the family exists.
var peerTables = []struct {
	family, title, good string
	columns             []column
}{
	{
		"kamailio_dispatcher_destination_state", "Gateways", "All dispatcher destinations are active.",
		[]column{{"State", "state"}, {"Set", "setid"}, {"Destination", "uri"}, {"Name", "duid"}},
	},
	{
		"kamailio_uac_registration_up", "Upstream registrations", "All are registered.",
		[]column{{"User", "r_username"}, {"Domain", "r_domain"}, {"Registration", "l_uuid"}},
	},
	{"kamailio_rtpengine_node_up", "RTP proxies (rtpengine)", "All are up.", []column{{"Set", "set"}, {"Proxy", "url"}}},
	{"kamailio_rtpproxy_node_up", "RTP proxies (rtpproxy)", "All are up.", []column{{"Set", "set"}, {"Proxy", "url"}}},
	{
		"kamailio_dmq_node_state", "DMQ nodes", "All are active.",
		[]column{{"State", "state"}, {"Host", "host"}, {"Port", "port"}, {"Protocol", "proto"}},
	},
	{"kamailio_cdp_peer_state", "Diameter peers", "All are open.", []column{{"State", "state"}, {"Peer", "peer"}}},
}

// tables returns the tables of what is not up, and of queues and processes.
func tables(families map[string]scrape.Rows) []Table {
	var all []Table
	for _, t := range peerTables {
		if rows, ok := families[t.family]; ok {
			all = append(all, newTable(Table{Title: t.title, Good: t.good, Bad: true}, rows, t.columns, nil))
		}
	}
	if _, ok := families[peerTables[0].family]; !ok {
		all = appendTable(all, families, "kamailio_dispatcher_set_destinations", Table{Title: "Gateways", Good: "All dispatcher destinations are active.", Bad: true},
			[]column{{"Set", "setid"}, {"State", "state"}, {"Destinations", ""}}, number)
	}
	all = appendTable(all, families, "kamailio_socket_receive_queue_bytes", Table{Title: "Receive queues"},
		[]column{{"Socket", "socket"}, {"Transport", "transport"}, {"Queued", ""}}, bytes)
	all = appendTable(all, families, "kamailio_process_states", Table{Title: "Stopped processes"},
		[]column{{"Role", "role"}, {"Stopped", ""}}, number)
	return appendTable(all, families, "kamailio_process_cpu_seconds_total", Table{Title: "Busiest processes"},
		[]column{{"Process", "process"}, {"Role", "role"}, {"CPU", ""}}, func(v float64) string { return number(100*v) + " %" })
}

// appendTable appends the table of a family if it exists.
func appendTable(all []Table, families map[string]scrape.Rows, family string, t Table, columns []column, format func(float64) string) []Table {
	rows, ok := families[family]
	if !ok || len(rows.Rows) == 0 && t.Good == "" {
		return all
	}
	return append(all, newTable(t, rows, columns, format))
}

// maxRows is the maximum number of rows of queues and processes.
const maxRows = 5

// newTable adds rows to a table. A column without a label has the value in a format.
func newTable(t Table, rows scrape.Rows, columns []column, format func(float64) string) Table {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.label != "" && isEmpty(rows, c.label) })
	for _, c := range columns {
		t.Columns = append(t.Columns, c.title)
	}
	shown := rows.Rows
	if !t.Bad {
		shown = shown[:min(len(shown), maxRows)]
	}
	for _, row := range shown {
		cells := make([]string, len(columns))
		for i, c := range columns {
			if c.label == "" {
				cells[i] = format(row.Value)
			} else {
				cells[i] = clean(rows.Text(row, c.label), shortText)
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	t.More = rows.Count - len(shown)
	return t
}

// isEmpty reports whether a label has no value in any row.
func isEmpty(rows scrape.Rows, label string) bool {
	return !slices.ContainsFunc(rows.Rows, func(row scrape.Row) bool { return rows.Text(row, label) != "" })
}

// memory returns the free shared memory, and that of the process with the least free private memory, as far as they are known.
func memory(families map[string]scrape.Rows) []Amount {
	return append(sharedMemory(families), privateMemory(families)...)
}

// sharedMemory returns the free shared memory.
func sharedMemory(families map[string]scrape.Rows) []Amount {
	free, total := families["kamailio_shmem_free_bytes"].Rows, families["kamailio_shmem_total_bytes"].Rows
	if len(free) == 0 {
		free, total = families["kamailio_core_shmmem_free"].Rows, families["kamailio_core_shmmem_total"].Rows
	}
	if len(free) == 0 {
		return nil
	}
	a := Amount{"Free shared memory", bytes(free[0].Value), -1}
	if len(total) > 0 && total[0].Value > 0 {
		if percent := 100 * free[0].Value / total[0].Value; percent >= 0 && percent <= 100 {
			a.Percent = int(percent)
		}
		a.Text += " of " + bytes(total[0].Value)
	}
	return []Amount{a}
}

// privateMemory returns the free private memory of the process with the least. The short form of pkg.stats has only its role.
func privateMemory(families map[string]scrape.Rows) []Amount {
	least := families["kamailio_pkg_free_bytes"]
	if len(least.Rows) == 0 {
		least = families["kamailio_pkg_role_free_min_bytes"]
	}
	if len(least.Rows) == 0 {
		return nil
	}
	row := least.Rows[0]
	process := least.Text(row, "role")
	if number := least.Text(row, "process"); number != "" {
		process += ", process " + number
	}
	return []Amount{{"Least free private memory of a process", bytes(row.Value) + " (" + clean(process, shortText) + ")", -1}}
}

// Dropped reports whether parts of replies were dropped.
func (p TargetPage) Dropped() bool {
	return slices.ContainsFunc(p.Methods, func(m MethodRow) bool { return len(m.Skips) > 0 })
}
