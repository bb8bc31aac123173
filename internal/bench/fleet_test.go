//go:build linux

package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

var simulator = flag.String("simulate", "", "path of the `program` that simulates Kamailios, for TestFleet")

const (
	// fleetInterval is the time between two scrapes of a target.
	fleetInterval = 15 * time.Second
	// hangingTimeout is the timeout of the module. A target that hangs takes this long.
	hangingTimeout = 5 * time.Second
)

// TestFleet measures one exporter with many simulated targets, each of which is scraped every 15 s through /probe.
func TestFleet(t *testing.T) {
	if *program == "" || *simulator == "" {
		t.Skip("measures for half an hour: run make bench-fleet")
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%s, load average %s\n\n", find(t, "/proc/cpuinfo", `model name\s*: (.+)`), find(t, "/proc/loadavg", `\S+ \S+ (\S+)`))
	table.WriteString("| targets | CPU per scrape | compared with back to back | of one core | median | p99 | peak memory | per target | goroutines, descriptors at the start and the end |\n|---|---|---|---|---|---|---|---|---|\n")
	base := measureFleet(t, fleetWork{targets: 1, lasting: lasting(time.Minute)})
	for _, w := range []fleetWork{
		{targets: 10, lasting: lasting(3 * time.Minute)},
		{targets: 100, lasting: lasting(3 * time.Minute)},
		{targets: 1000, lasting: lasting(10 * time.Minute)},
		{targets: 1000, hanging: 100, lasting: lasting(3 * time.Minute)},
	} {
		table.WriteString(measureFleet(t, w).row(base))
	}
	backToBack, perScrape := measureEmptyServer(t)
	fmt.Fprintf(&table, "\nAn HTTP server that does nothing but send a page of the same size: %.3g ms back to back, %.3g ms (%.3g ×) if 1,000 clients each send a request every 15 s.\n",
		milliseconds(backToBack), milliseconds(perScrape), float64(perScrape)/float64(backToBack))
	fmt.Print(table.String())
	if *output != "" && !t.Failed() {
		if err := os.WriteFile(*output, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// emptyServerVariable is the environment variable with which the test program is an HTTP server whose page is always the same.
const emptyServerVariable = "KAMAILIO_EXPORTER_BENCH_EMPTY_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(emptyServerVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := serveEmpty(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveEmpty serves a page as large as that of a target, with one CPU as the exporter.
func serveEmpty() error {
	runtime.GOMAXPROCS(1)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("msg=\"Listening on\" address=%s\n", listener.Addr())
	page := strings.Repeat("\nkamailio_up 1", 750)
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
}

// measureEmptyServer returns the CPU time of a request to a server that does nothing else, back to back and when the requests
// are as far apart as those of 1,000 targets. The difference is what waiting costs: each request wakes an idle CPU.
func measureEmptyServer(t *testing.T) (backToBack, perScrape time.Duration) {
	t.Helper()
	t.Setenv(emptyServerVariable, "1")
	pid, listening := startProgram(t, child.Listening, os.Args[0])
	f := &fleet{url: "http://" + listening[1], names: slices.Repeat([]string{"x"}, 1000), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	count := int(lasting(20_000))
	before := cpuTime(t, pid)
	for range count {
		f.scrape(t, "x")
	}
	backToBack = (cpuTime(t, pid) - before) / time.Duration(count)
	before = cpuTime(t, pid)
	f.scrapeAll(t, lasting(time.Minute))
	return backToBack, (cpuTime(t, pid) - before) / time.Duration(f.scrapes)
}

// fleetWork is a number of targets and the time of the measurement.
type fleetWork struct {
	targets, hanging int
	lasting          time.Duration
}

// fleetFigures is the result of a measurement.
type fleetFigures struct {
	fleetWork
	backToBack, perScrape time.Duration // CPU time
	share                 float64       // of one core
	median, p99           time.Duration // of targets that do not hang
	memory                int           // peak, in bytes
	start, end            usage
}

// usage is a number of goroutines and descriptors.
type usage struct{ goroutines, descriptors int }

func (f fleetFigures) row(base fleetFigures) string {
	name := strconv.Itoa(f.targets)
	if f.hanging > 0 {
		name += fmt.Sprintf(", %d of them hang", f.hanging)
	}
	return fmt.Sprintf("| %s | %.3g ms | %.3g × | %.2g %% | %.3g ms | %.3g ms | %.3g MB | %.3g KB | %d, %d; %d, %d |\n",
		name, milliseconds(f.perScrape), float64(f.perScrape)/float64(f.backToBack), 100*f.share, milliseconds(f.median), milliseconds(f.p99),
		megabytes(f.memory), float64(f.memory-base.memory)/1024/float64(f.targets-base.targets),
		f.start.goroutines, f.start.descriptors, f.end.goroutines, f.end.descriptors)
}

// measureFleet starts simulated targets and an exporter for them, and scrapes each target every 15 s.
func measureFleet(t *testing.T, w fleetWork) fleetFigures {
	t.Helper()
	dir := t.TempDir()
	targets := filepath.Join(dir, "targets.yml")
	startProgram(t, regexp.MustCompile(`targets listen`),
		*simulator, "-targets", strconv.Itoa(w.targets), "-hanging", strconv.Itoa(w.hanging), "-target-file", targets)
	config := filepath.Join(dir, "kamailio_exporter.yml")
	content := fmt.Sprintf("modules: {default: {methods: [%s], timeout: %s}}\ntarget_files: [targets.yml]\n", strings.Join(fiveMethods, ", "), hangingTimeout)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	pid, listening := startProgram(t, child.Listening, *program, "-l", "127.0.0.1:0", "--config.file", config)
	f := &fleet{url: "http://" + listening[1], names: namesIn(t, targets), hanging: w.hanging, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: w.targets}}}
	figures := fleetFigures{fleetWork: w}
	healthy := f.names[w.hanging]
	for range warmUp {
		f.scrape(t, healthy)
	}
	count := int(lasting(20_000))
	before := cpuTime(t, pid)
	for range count {
		f.scrape(t, healthy)
	}
	figures.backToBack = (cpuTime(t, pid) - before) / time.Duration(count)
	f.scrapeAll(t, fleetInterval) // connects to all targets
	figures.start = f.usage(t, pid)
	f.times = nil
	before, begin := cpuTime(t, pid), time.Now()
	f.scrapeAll(t, w.lasting)
	spent, took := cpuTime(t, pid)-before, time.Since(begin)
	figures.perScrape, figures.share = spent/time.Duration(f.scrapes), spent.Seconds()/took.Seconds()
	figures.median, figures.p99 = percentile(f.times, 50), percentile(f.times, 99)
	figures.end = f.usage(t, pid)
	figures.memory = 1024 * number(t, fmt.Sprintf("/proc/%d/status", pid), `VmHWM:\s+(\d+) kB`)
	t.Logf("%+v", figures)
	return figures
}

// startProgram starts a program, which ends with the test, and waits until its output matches.
func startProgram(t *testing.T, ready *regexp.Regexp, program string, args ...string) (pid int, match []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, args...)
	log := child.NewLog()
	cmd.Stderr, cmd.Stdout = log, log
	cmd.WaitDelay = patience
	process, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-process.Done()
	})
	if match, err = log.Await(ready, process.Done(), patience); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, match
}

// namesIn returns the names of the targets in a target file, in order.
func namesIn(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, match := range regexp.MustCompile(`name: "?([\w-]+)`).FindAllStringSubmatch(string(content), -1) {
		names = append(names, match[1])
	}
	return names
}

// fleet scrapes the targets of an exporter as Prometheus does: each at its own time within the interval.
type fleet struct {
	url     string
	names   []string // those that hang are the first ones
	hanging int
	client  *http.Client

	mu      sync.Mutex
	scrapes int
	times   []time.Duration // of targets that do not hang
}

// scrapeAll scrapes all targets for some time.
func (f *fleet) scrapeAll(t *testing.T, lasting time.Duration) {
	t.Helper()
	f.scrapes = 0
	end := time.Now().Add(lasting)
	var targets sync.WaitGroup
	for i, name := range f.names {
		first := time.Now().Add(fleetInterval * time.Duration(i) / time.Duration(len(f.names)))
		targets.Go(func() {
			for next := first; next.Before(end); next = next.Add(fleetInterval) {
				time.Sleep(time.Until(next))
				took := f.scrape(t, name)
				f.mu.Lock()
				f.scrapes++
				if i >= f.hanging {
					f.times = append(f.times, took)
				}
				f.mu.Unlock()
			}
		})
	}
	targets.Wait()
}

// scrape scrapes a target.
func (f *fleet) scrape(t *testing.T, name string) time.Duration {
	begin := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/probe?target="+name, http.NoBody)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3")
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	response, err := f.client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(page), "\nkamailio_up ") {
		t.Errorf("%s: %s, %v: %.200s", name, response.Status, err, page)
	}
	return time.Since(begin)
}

// usage returns the goroutines and the descriptors of the exporter while no scrape is running.
func (f *fleet) usage(t *testing.T, pid int) usage {
	t.Helper()
	response, err := f.client.Get(f.url + "/metrics?name[]=go_goroutines") //nolint:noctx // the exporter ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var u usage
	for line := range strings.Lines(string(page)) {
		_, _ = fmt.Sscanf(line, "go_goroutines %d", &u.goroutines)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors = len(descriptors)
	return u
}
