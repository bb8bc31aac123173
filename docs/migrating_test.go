//go:build linux

package docs_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// tables are the tables of migrating.md with a mark: rows of two cells.
func tables(t *testing.T, mark string) [][2]string {
	t.Helper()
	var rows [][2]string
	parts := strings.Split(readPage(t, "migrating.md"), "<!-- "+mark+" -->\n")
	for _, part := range parts[1:] {
		table, _, _ := strings.Cut(part, "\n\n")
		for _, line := range strings.Split(table, "\n")[2:] {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			if len(cells) != 2 {
				t.Fatalf("%q has not two cells", line)
			}
			rows = append(rows, [2]string{cells[0], cells[1]})
		}
	}
	if len(rows) == 0 {
		t.Fatalf("there is no table of %s", mark)
	}
	return rows
}

var code = regexp.MustCompile("`([^`]+)`")

// series are the samples of a page by name and labels.
func series(page string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(page) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(fields) < 2 {
			continue
		}
		// xhttp_prom adds a time, and a name has no space in it here.
		if value, err := strconv.ParseFloat(fields[1], 64); err == nil {
			all[fields[0]] = value
		}
	}
	return all
}

// placeholders are the words in capitals of the table of statistics.
var placeholders = map[string]string{
	"CLASS": `[1-6]xx`, "CODE": `[1-6][0-9x][0-9x]`, "METHOD": `[a-z]+`, "DOMAIN": `[a-z]+`, "PROTOCOL": `sip|msrp`, "NAME": `.+`,
}

// row is a row of the table of statistics.
type row struct {
	theirs *regexp.Regexp
	ours   string
	scale  float64
}

func statisticsRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	for _, cells := range tables(t, "statistics") {
		theirs := regexp.QuoteMeta(strings.Trim(cells[0], "`"))
		for placeholder, pattern := range placeholders {
			theirs = regexp.MustCompile(`_`+placeholder+`(_|$)`).ReplaceAllString(theirs, "_(?P<"+placeholder+">"+pattern+")$1")
		}
		r := row{regexp.MustCompile("^" + theirs + "$"), code.FindStringSubmatch(cells[1])[1], 1}
		if strings.Contains(cells[1], "a hundredth of it") {
			r.scale = 0.01
		}
		rows = append(rows, r)
	}
	return rows
}

// find is the series of ours that the table has for one of theirs, "" for none, and what to multiply theirs with.
func find(rows []row, theirs string) (ours string, scale float64) {
	for _, r := range rows {
		match := r.theirs.FindStringSubmatch(theirs)
		if match == nil {
			continue
		}
		ours = r.ours
		for i, placeholder := range r.theirs.SubexpNames() {
			if i > 0 {
				ours = strings.ReplaceAll(ours, `"`+placeholder+`"`, `"`+labelOf(placeholder, match[i])+`"`)
			}
		}
		return ours, r.scale
	}
	return "", 0
}

func labelOf(placeholder, text string) string {
	switch {
	case placeholder == "METHOD" && text == "reg":
		return "REGISTER"
	case placeholder == "METHOD":
		return strings.ToUpper(text)
	default:
		return text
	}
}

// own tells whether a series of xhttp_prom is one that the routing script keeps there.
func own(name string) bool { return strings.HasPrefix(name, "kamailio_lab_") }

// TestStatisticsTable compares, after some traffic, every statistic that Kamailio's own xhttp_prom shows with the series that
// the table names.
func TestStatisticsTable(t *testing.T) {
	rows := statisticsRows(t)
	k := lab.StartTest(t, lab.Options{})
	stop := play(t, k)
	exporter := start(t, "-u", k.URI("unix"))
	awaitCalls(t, exporter)
	stop()
	// Kamailio refreshes some statistics once a second, in each process by itself.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	var different []string
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); <-again.C {
		ours, theirs := series(exporter.scrape()), series(get(t, "http://"+k.SIPAddr()+"/metrics"))
		if different = differences(rows, ours, theirs); len(different) == 0 {
			return
		}
	}
	t.Errorf("the table is wrong:\n%s", strings.Join(different, "\n"))
}

// differences are the statistics of theirs that are not what the table has for them in ours.
func differences(rows []row, ours, theirs map[string]float64) []string {
	var different []string
	moved := 0
	for name, value := range theirs {
		if own(name) {
			continue
		}
		want, scale := find(rows, name)
		got, ok := ours[want]
		// Between the two pages Kamailio pings, counts the request for one of them, and uses memory.
		if !ok || math.Abs(got-int64Of(value)*scale) > 5 && !strings.Contains(name, "shmem") {
			different = append(different, fmt.Sprintf("%s is %v, but %s is %v", name, value, want, got))
		}
		if value != 0 {
			moved++
		}
	}
	if moved < 20 {
		different = append(different, fmt.Sprintf("only %d of %d statistics are not 0, which proves little", moved, len(theirs)))
	}
	return different
}

// int64Of is a number below zero that Kamailio printed without its sign.
func int64Of(value float64) float64 {
	if value >= 1<<63 {
		return value - 1<<64
	}
	return value
}

// awaitCalls waits until there were some calls.
func awaitCalls(t *testing.T, e *exporter) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		if series(e.scrape())[`kamailio_dialog_processed_total`] >= 6 {
			return
		}
	}
	t.Fatal("there are no calls")
}

// TestOtherExportersTable sees that the series exist that are to take the place of other exporters'.
func TestOtherExportersTable(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	page := start(t, "-u", k.URI("unix"), "--kamailio.dialog-profiles=all").scrape()
	for _, cells := range tables(t, "series") {
		for _, match := range code.FindAllStringSubmatch(cells[1], -1) {
			name, labels, _ := strings.Cut(strings.TrimSuffix(match[1], "}"), "{")
			if strings.HasPrefix(name, "kamailio_") && !hasSeries(page, name, labels) && !neverInLab(name) {
				t.Errorf("there is no %s", match[1])
			}
		}
	}
}

// neverInLab tells of series whose counts the lab does not give: no destination answers there without traffic.
func neverInLab(name string) bool {
	return strings.HasPrefix(name, "kamailio_dispatcher_destination_latency_") || name == "kamailio_dispatcher_destination_timeouts_total"
}

func hasSeries(page, name, labels string) bool {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		if strings.Contains(line, labels) {
			return true
		}
	}
	return false
}

// TestNames fails for any series in the pages that the exporter does not have, unless it is said to be another's.
func TestNames(t *testing.T) {
	known := map[string]bool{"kamailio_exporter_build_info": true, "kamailio_exporter": true, "kamailio_ctl": true}
	for _, descs := range [][]*metric.Desc{scrape.Metrics(), collectorMetrics()} {
		for _, desc := range descs {
			known[desc.Name] = true
		}
	}
	name := regexp.MustCompile("`(kamailio_[a-z0-9_]+)[`{]")
	for _, page := range pages(t) {
		if page == "migrating.md" || page == "../CHANGELOG.md" {
			continue // has others' series, and the next test's tables
		}
		for _, match := range name.FindAllStringSubmatch(readPage(t, page), -1) {
			if !known[match[1]] && !strings.HasSuffix(match[1], "_") {
				t.Errorf("%s has %s", page, match[1])
			}
		}
	}
}

func collectorMetrics() []*metric.Desc {
	var all []*metric.Desc
	for _, c := range collector.All {
		all = append(all, c.Metrics...)
	}
	return all
}

// TestContract compares the table of the article's series with the exporter's: name and labels.
func TestContract(t *testing.T) {
	_, table, _ := strings.Cut(readPage(t, "migrating.md"), "\n| series | labels | method |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	labels := map[string]string{}
	for _, desc := range append(scrape.Metrics(), collectorMetrics()...) {
		labels[desc.Name] = strings.Join(desc.Labels, ", ")
	}
	found := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		want := strings.ReplaceAll(strings.TrimSpace(cells[2]), "`", "")
		for _, match := range code.FindAllStringSubmatch(cells[1], -1) {
			found++
			if got, ok := labels[match[1]]; !ok || got != want {
				t.Errorf("%s has the labels %q, the table %q", match[1], got, want)
			}
		}
	}
	if found < 30 {
		t.Errorf("the table has %d series", found)
	}
}
