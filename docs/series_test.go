//go:build linux

package docs_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// series returns the samples of a page by name and labels. A time after the value is left out.
func series(page string) map[string]float64 {
	all := map[string]float64{}
	for _, match := range regexp.MustCompile(`(?m)^(\w+(?:\{.*\})?) (\S+)`).FindAllStringSubmatch(page, -1) {
		if value, err := strconv.ParseFloat(match[2], 64); err == nil {
			all[match[1]] = value
		}
	}
	return all
}

// placeholders makes a pattern of a statistic in the table, which has words in capitals for what differs.
var placeholders = strings.NewReplacer("CLASS", "(?P<CLASS>[1-6]xx)", "CODE", "(?P<CODE>[1-6][0-9x][0-9x])", "METHOD", "(?P<METHOD>[a-z]+)",
	"DOMAIN", "(?P<DOMAIN>[a-z]+)", "PROTOCOL", "(?P<PROTOCOL>sip|msrp)", "NAME", "(?P<NAME>.+)")

var methodLabel = regexp.MustCompile(`method="[a-z]+"`)

// noSeries begins the cell of a statistic that has no series.
const noSeries = "none"

// find returns the series that the table has for a statistic of xhttp_prom, noSeries if it says that there is none, "" if it
// does not have the statistic.
func find(statistics [][]string, theirs string) string {
	for _, cells := range statistics {
		match := regexp.MustCompile("^" + placeholders.Replace(quoted(cells[0])[0]) + "$")
		if !match.MatchString(theirs) {
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(cells[1]), noSeries) {
			return noSeries
		}
		ours := regexp.MustCompile(`"([A-Z]+)"`).ReplaceAllString(quoted(cells[1])[0], `"$${$1}"`)
		ours = methodLabel.ReplaceAllStringFunc(match.ReplaceAllString(theirs, ours), func(label string) string {
			return "method=" + strings.ToUpper(strings.TrimPrefix(label, "method="))
		})
		return strings.ReplaceAll(ours, `"REG"`, `"REGISTER"`)
	}
	return ""
}

// TestMigrating compares, after some traffic, every statistic that Kamailio's xhttp_prom shows with the series that the table
// names, and the series of v0 to v2 with the preferred ones. It checks that the series exist that replace other exporters'.
func TestMigrating(t *testing.T) {
	statistics, others := rows(t, "statistics"), rows(t, "series")
	k := lab.StartTest(t, lab.Options{})
	exporter := start(t, "-u", k.URI("unix"), "--kamailio.dialog-profiles=all")
	play(t, k, exporter)
	// Kamailio refreshes some statistics once a second, in each process by itself.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	var different []string
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); <-again.C {
		ours, theirs := series(exporter.scrape()), series(get(t, "http://"+k.SIPAddr()+"/metrics"))
		if different = slices.Concat(differences(statistics, ours, theirs), missing(others, ours), differentTwins(ours)); len(different) == 0 {
			return
		}
	}
	t.Errorf("the tables are wrong:\n%s", strings.Join(different, "\n"))
}

// differences returns the statistics that differ from the series that the table has for them.
func differences(statistics [][]string, ours, theirs map[string]float64) []string {
	var different []string
	moved := 0
	for name, value := range theirs {
		if strings.HasPrefix(name, "kamailio_lab_") {
			continue // the routing script's own
		}
		if value != 0 {
			moved++
		}
		if value >= 1<<63 { // below zero, printed without a sign
			value -= 1 << 64
		}
		want := find(statistics, name)
		if want == noSeries {
			continue
		}
		got, ok := ours[want]
		// Between the two pages Kamailio pings, counts the request for one of them, and uses memory.
		if !ok || math.Abs(got-value) > 5 && !strings.Contains(name, "shmem") {
			different = append(different, fmt.Sprintf("%s is %v, but %s is %v", name, value, want, got))
		}
	}
	if moved < 20 {
		different = append(different, fmt.Sprintf("only %d of %d statistics are not 0, which proves little", moved, len(theirs)))
	}
	return different
}

// differentTwins returns the series whose preferred series, on the same page, differ in their sum.
func differentTwins(page map[string]float64) []string {
	sums := map[string]float64{}
	for series, value := range page {
		name, _, _ := strings.Cut(series, "{")
		sums[name] += value
	}
	sums["kamailio_start_time_seconds"] = float64(time.Now().Unix()) - sums["kamailio_start_time_seconds"]
	var different []string
	for name, desc := range descs() {
		sum, ok := sums[name]
		preferred, both := sums[desc.Preferred]
		if ok && both && math.Abs(sum-preferred) > 5 && !strings.Contains(name, "shmmem") {
			different = append(different, fmt.Sprintf("%s is %v, %s is %v", name, sum, desc.Preferred, preferred))
		}
	}
	return different
}

// missing returns the series in the right column of a table that a page does not have.
func missing(others [][]string, page map[string]float64) []string {
	var all []string
	for _, cells := range others {
		for _, want := range quoted(cells[1]) {
			name, labels, _ := strings.Cut(strings.TrimSuffix(want, "}"), "{")
			has := func(series string) bool {
				return (series == name || strings.HasPrefix(series, name+"{")) && strings.Contains(series, labels)
			}
			if strings.HasPrefix(name, "kamailio_") && !slices.ContainsFunc(slices.Collect(maps.Keys(page)), has) {
				all = append(all, "there is no "+want)
			}
		}
	}
	return all
}

// TestDangers checks that a Kamailio has every method of which security.md warns, and that the exporter calls none of them
// except for the one whose passwords it leaves out.
func TestDangers(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Config: `loadmodule "cfg_rpc.so"`})
	methods, err := k.Kamcmd(t.Context(), "system.listMethods")
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range rows(t, "dangers") {
		for _, method := range quoted(cells[0]) {
			if !strings.Contains(methods, method+"\n") {
				t.Errorf("Kamailio has no %s", method)
			}
			if _, err := collector.Select([]string{method}); err == nil && method != "uac.reg_dump" {
				t.Errorf("the exporter calls %s", method)
			}
		}
	}
	secrets, err := k.Kamcmd(t.Context(), "uac.reg_dump")
	if err != nil || !strings.Contains(secrets, "auth_password: secret") {
		t.Errorf("uac.reg_dump does not show the password (%v):\n%s", err, secrets)
	}
	if strings.Contains(start(t, "-u", k.URI("unix")).scrape(), "secret") {
		t.Error("the exporter shows the password")
	}
}
