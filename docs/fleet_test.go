//go:build linux

package docs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

// fleetBlock returns the text of the block of fleet.md with that mark.
func fleetBlock(t *testing.T, language, mark string) string {
	t.Helper()
	for _, b := range blocks(t, language) {
		if b.page == "fleet.md" && b.mark == mark {
			return b.text
		}
	}
	t.Fatalf("fleet.md has no block of %s with the mark %q", language, mark)
	return ""
}

// replaced returns a text with pairs of an old and a new text replaced. Each old text must occur.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in this block of fleet.md:\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

var intervals = regexp.MustCompile(`(scrape_interval|scrape_timeout|refresh_interval): \S+`)

// everySecond returns the text of a configuration of Prometheus with intervals of a second.
func everySecond(text string) string {
	return "global: {scrape_interval: 1s}\n" + intervals.ReplaceAllString(text, "$1: 1s")
}

// awaitSeries waits until an expression has samples of exactly these jobs and instances, each with a space between them.
func awaitSeries(p *lab.Prometheus, expression string, want ...string) {
	slices.Sort(want)
	p.Await(expression, fmt.Sprintf("of %q", want), func(samples model.Vector) bool {
		var got []string
		for _, sample := range samples {
			got = append(got, string(sample.Metric["job"]+" "+sample.Metric["instance"]))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// awaitAny waits until an expression has a sample.
func awaitAny(p *lab.Prometheus, expression string) {
	p.Await(expression, "there", func(samples model.Vector) bool { return len(samples) > 0 })
}

// expressionOf returns the expression of an alert in mixin/alerts.yml.
func expressionOf(t *testing.T, alert string) string {
	t.Helper()
	rules, err := os.ReadFile("../mixin/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`- alert: ` + alert + `\n +expr: (.+)\n`).FindSubmatch(rules)
	if match == nil {
		t.Fatalf("mixin/alerts.yml has no alert %s with an expression on one line", alert)
	}
	return string(match[1])
}

// fleet is the example of fleet.md.
type fleet struct {
	t          *testing.T
	dir        string // of the configuration file
	kamailios  []*lab.Kamailio
	exporter   *exporter
	prometheus *lab.Prometheus
}

const configFile = "kamailio_exporter.yml"

// startFleet starts three Kamailios, an exporter with the first two of them as targets, and a Prometheus.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir()}
	for _, suite := range lab.Suites() {
		f.kamailios = append(f.kamailios, lab.StartTest(t, lab.Options{Suite: suite}))
	}
	second := f.kamailios[1]
	f.write(configFile, replaced(t, fleetBlock(t, "yaml", "exporter-config"),
		"tcp://192.0.2.11:2046", f.kamailios[0].URI("tcp"),
		"https://192.0.2.12:5061/", "https://"+second.TLSAddr()+"/",
		"[192.0.2.12]", "[127.0.0.1]",
		"ca.pem", filepath.Join(second.Dir, "tls.crt"),
		"timeout: 5s", "timeout: 1s",
		"timeout: 20s", "timeout: 2s"))
	f.write("noc.password", "secret\n")
	if err := os.Mkdir(filepath.Join(f.dir, "targets.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.exporter = start(t, "--config.file", filepath.Join(f.dir, configFile), "--web.enable-lifecycle")
	f.prometheus = lab.StartPrometheus(t, everySecond(replaced(t, fleetBlock(t, "yaml", "prometheus"), "exporter.example.net:9494", f.exporter.address)))
	return f
}

func (f *fleet) write(name, text string) {
	f.t.Helper()
	writeFile(f.t, filepath.Join(f.dir, name), text)
}

// reload sends SIGHUP to the exporter, and waits until its log has a line that matches a pattern. No earlier line must match.
func (f *fleet) reload(pattern string) {
	f.t.Helper()
	f.exporter.signal(syscall.SIGHUP)
	f.awaitLog(pattern)
}

// awaitLog waits until the exporter's log has a line that matches a pattern.
func (f *fleet) awaitLog(pattern string) {
	f.t.Helper()
	if _, err := f.exporter.log.Await(regexp.MustCompile(pattern), f.exporter.ended, startTimeout); err != nil {
		f.t.Fatal(err)
	}
}

// TestFleet runs the example of fleet.md. It adds a target, has it hang, stop and removed, and makes the file wrong.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	p, third := f.prometheus, f.kamailios[2]
	awaitSeries(p, `kamailio_up == 1`, "kamailio sbc1", "kamailio sbc2", "kamailio-slow sbc1", "kamailio-slow sbc2")
	awaitSeries(p, `kamailio_exporter_targets == 2`, "kamailio-exporter "+f.exporter.address)
	awaitSeries(p, `kamailio_dlg_stats_active_all{role="sbc"}`, "kamailio-slow sbc1", "kamailio-slow sbc2")
	awaitSeries(p, `kamailio_core_uptime_uptime_total{site="ams"}`, "kamailio sbc1")
	f.runCommands()
	f.checkList()
	f.checkParameters()
	f.checkDebug("sbc1", "&module=slow")

	awaitSeries(p, `kamailio_exporter_total_scrapes{job="kamailio"} > 3`, "kamailio sbc1", "kamailio sbc2") // so that a reset is visible
	f.write("targets.d/lon.yml", replaced(t, fleetBlock(t, "yaml", "targets"), "tcp://192.0.2.13:2046", third.URI("tcp")))
	f.reload(`Reloaded the configuration file.*targets=3\n`)
	awaitSeries(p, `kamailio_up{site="lon"} == 1`, "kamailio sbc3", "kamailio-slow sbc3")
	if samples := p.Query(`resets(kamailio_exporter_total_scrapes[5m]) > 0`); len(samples) > 0 {
		t.Errorf("the reload reset the counters of %v", samples)
	}
	for _, alert := range []string{"KamailioDown", "KamailioNotScraped", "KamailioExporterReloadFailed"} {
		awaitSeries(p, expressionOf(t, alert)) // none
	}

	if err := third.Pause(); err != nil {
		t.Fatal(err)
	}
	for _, alert := range []string{"KamailioDown", "KamailioNotScraped", "KamailioExporterRejectsRequests"} {
		awaitAny(p, expressionOf(t, alert))
	}
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitSeries(p, `kamailio_exporter_scrape_error{reason="refused"} == 1`, "kamailio sbc3", "kamailio-slow sbc3")
	f.checkDebug("sbc3", "")

	if err := os.Remove(filepath.Join(f.dir, "targets.d/lon.yml")); err != nil {
		t.Fatal(err)
	}
	f.reload(`targets=3\n(?s:.*)Reloaded the configuration file.*targets=2\n`)
	awaitSeries(p, `{instance="sbc3"}`)
	awaitSeries(p, `kamailio_up == 1`, "kamailio sbc1", "kamailio sbc2", "kamailio-slow sbc1", "kamailio-slow sbc2")

	f.write(configFile, "targets: [{name: sbc1}]\n")
	f.reload(`Reloading the configuration file failed.*must have the key uri`)
	awaitAny(p, expressionOf(t, "KamailioExporterReloadFailed"))
	awaitSeries(p, `kamailio_up{job="kamailio"} == 1`, "kamailio sbc1", "kamailio sbc2")
}

// fleetMark is the mark of commands that need the exporter of the example.
const fleetMark = "fleet"

// runCommands runs the commands of fleet.md: three print the series of a target, one reloads the file.
func (f *fleet) runCommands() {
	f.t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		f.t.Log("SKIPPED: the commands of fleet.md need curl")
		return
	}
	var printed strings.Builder
	for _, b := range blocks(f.t, "sh") {
		if b.mark == fleetMark {
			text := replaced(f.t, b.text, "exporter.example.net:9494", f.exporter.address, "curl ", "curl --fail --silent --show-error ")
			printed.WriteString(run(f.t, "", "sh", "-e", "-c", text))
		}
	}
	if strings.Count(printed.String(), "\nkamailio_up 1\n") != 3 {
		f.t.Errorf("the commands print\n%s", printed.String())
	}
	f.awaitLog(`Reloaded the configuration file`)
}

// checkList compares the list for Prometheus with the sample in fleet.md.
func (f *fleet) checkList() {
	f.t.Helper()
	var sample, list []any
	text := strings.ReplaceAll(fleetBlock(f.t, "text", "sd"), "exporter.example.net:9494", f.exporter.address)
	if err := json.Unmarshal([]byte(text), &sample); err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(get(f.t, "http://"+f.exporter.address+"/sd")), &list); err != nil {
		f.t.Fatal(err)
	}
	if len(list) != 2 || !reflect.DeepEqual(sample, list[:1]) {
		f.t.Errorf("/sd has\n%v, fleet.md has\n%v", list, sample)
	}
}

// checkParameters compares the table of parameters in fleet.md with those that the exporter accepts.
func (f *fleet) checkParameters() {
	f.t.Helper()
	var names []string
	for _, cells := range rows(f.t, "parameters") {
		names = append(names, quoted(cells[0])[0])
	}
	text, status := fetch(f.t, "http://"+f.exporter.address+"/probe?none=1")
	if want := "the parameters are " + strings.Join(names, ", ") + "\n"; status != http.StatusBadRequest || !strings.HasSuffix(text, want) {
		f.t.Errorf("an unknown parameter gets status %d and %q; according to fleet.md, %s", status, text, want)
	}
}

// varying matches the numbers, except 0, and the addresses of a poll.
var varying = regexp.MustCompile(`[1-9][\d.:TZµmsh-]*`)

// checkDebug compares the description of a poll with the sample in fleet.md.
func (f *fleet) checkDebug(target, parameters string) {
	f.t.Helper()
	page := get(f.t, "http://"+f.exporter.address+"/probe?target="+target+parameters+"&debug=true")
	story, _, _ := strings.Cut(page, "\nMetrics:\n")
	sample := fleetBlock(f.t, "text", "debug "+target)
	if varying.ReplaceAllString(story, "0") != varying.ReplaceAllString(sample, "0") {
		f.t.Errorf("the description of a poll of %s is\n%s\nin fleet.md it is\n%s", target, story, sample)
	}
}

// TestFleetShards runs the configuration of fleet.md that distributes targets over two Prometheus servers: many simulated
// Kamailios and a real one.
func TestFleetShards(t *testing.T) {
	t.Parallel()
	const simulated = 50
	k := lab.StartTest(t, lab.Options{Minimal: true})
	dir := t.TempDir()
	simulate(t, simulated, filepath.Join(dir, "simulated.yml"))
	file := filepath.Join(dir, configFile)
	writeFile(t, file, fmt.Sprintf("targets: [{name: real, uri: %q}]\ntarget_files: [simulated.yml]\n", k.URI("unix")))
	var servers []*lab.Prometheus
	for shard := range 2 {
		exporter := start(t, "--config.file", file)
		servers = append(servers, lab.StartPrometheus(t, everySecond(replaced(t, fleetBlock(t, "yaml", "shard"),
			"exporter1.example.net:9494", exporter.address,
			`regex: "0"`, fmt.Sprintf("regex: \"%d\"", shard)))))
	}
	const up = "kamailio_up == 1"
	var by map[model.LabelValue][]int // servers, by target
	var counts []int                  // of targets, by server
	servers[0].Await(up, "of all targets together with the other server", func(first model.Vector) bool {
		by, counts = map[model.LabelValue][]int{}, nil
		for shard, samples := range []model.Vector{first, servers[1].Query(up)} {
			counts = append(counts, len(samples))
			for _, sample := range samples {
				target := sample.Metric["instance"]
				by[target] = append(by[target], shard)
			}
		}
		return len(by) == simulated+1
	})
	if by["real"] == nil || min(counts[0], counts[1]) < simulated/4 {
		t.Errorf("the servers scrape %d targets: %v", counts, by)
	}
	for target, shards := range by {
		if len(shards) != 1 {
			t.Errorf("%s is scraped by the servers %v", target, shards)
		}
	}
}

// simulate starts a program that replies like many Kamailios, and writes them to a file as targets.
func simulate(t *testing.T, targets int, file string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "simulate")
	run(t, "..", "go", "build", "-o", program, "./internal/lab/cmd/simulate")
	cmd := exec.CommandContext(t.Context(), program, "-targets", strconv.Itoa(targets), "-target-file", file)
	cmd.WaitDelay = startTimeout
	log := child.NewLog()
	cmd.Stdout, cmd.Stderr = log, log
	process, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-process.Done() })
	if _, err := log.Await(regexp.MustCompile(`targets listen`), process.Done(), startTimeout); err != nil {
		t.Fatal(err)
	}
}
