//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// asProgram is the environment variable with which the test binary runs main.
const asProgram = "SIMULATE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// start serves the fleet of the flags until the test ends.
func start(t *testing.T, args ...string) fleet {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f, err := listen(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func client(t *testing.T, target *target) rpc.Client {
	t.Helper()
	c, err := dial.New("tcp://" + target.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(t *testing.T, c rpc.Client, method string, args ...any) rpc.Value {
	t.Helper()
	value, err := rpc.One(t.Context(), c, method, args...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// shapes adds the names and kinds of the values in v to all, by the names around them. The elements of a list have a
// shape each.
func shapes(all map[string][]string, path string, v rpc.Value) {
	var shape []string
	for value := range v.All() {
		shape = append(shape, value.Name()+" "+value.Kind().String())
		shapes(all, path+"/"+value.Name(), value)
	}
	all[path] = append(all[path], v.Kind().String()+": "+strings.Join(slices.Compact(shape), ", "))
}

func captured(t *testing.T, name string) rpc.Value {
	t.Helper()
	packet, err := os.ReadFile(filepath.Join("../../../collector/testdata/6.0.1", name+".binrpc"))
	if err != nil {
		t.Fatal(err)
	}
	message, err := binrpc.Parse(packet, rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return message.Value
}

// TestRepliesLookLikeThoseOfKamailio compares names, order and kinds of all values with replies of a real Kamailio 6.0.
func TestRepliesLookLikeThoseOfKamailio(t *testing.T) {
	c := client(t, start(t, "-targets", "1")[0])
	for method := range methods {
		t.Run(method, func(t *testing.T) {
			file, args := method, []any(nil)
			if method == "stats.fetch" {
				file, args = "stats.fetch_all", []any{"all"}
			}
			want, simulated := map[string][]string{}, map[string][]string{}
			shapes(want, "", captured(t, file))
			reply := call(t, c, method, args...)
			shapes(simulated, "", reply)
			if method == "stats.fetch" {
				checkStatistics(t, reply, captured(t, file))
				return
			}
			for path, found := range simulated {
				for _, shape := range found {
					if !slices.Contains(want[path], shape) {
						t.Errorf("%s has at %q\n%s\nand a Kamailio has\n%s", method, path, shape, strings.Join(want[path], "\n"))
					}
				}
			}
		})
	}
}

// checkStatistics compares the reply with the statistics that a Kamailio has in the groups of the reply.
func checkStatistics(t *testing.T, reply, capture rpc.Value) {
	t.Helper()
	names := func(v rpc.Value, groups map[string]bool) []string {
		var names []string
		for value := range v.All() {
			group, _, _ := strings.Cut(value.Name(), ".")
			if groups == nil || groups[group] {
				names = append(names, value.Name()+" "+value.Kind().String())
			}
		}
		return names
	}
	groups := map[string]bool{}
	for value := range reply.All() {
		group, _, _ := strings.Cut(value.Name(), ".")
		groups[group] = true
	}
	if got, want := names(reply, nil), names(capture, groups); len(groups) == 0 || !slices.Equal(got, want) {
		t.Errorf("stats.fetch has %q\nand a Kamailio has %q", got, want)
	}
	for name := range newKamailio(1, time.Now()).statisticValues() {
		if !capture.Get(name).Exists() {
			t.Errorf("a Kamailio has no statistic %s", name)
		}
	}
}

func TestStatisticsOfArguments(t *testing.T) {
	c := client(t, start(t, "-targets", "1")[0])
	for argument, want := range map[string]string{"script:": "script.destination_down, script.my_calls", "my_calls": "script.my_calls", "nonesuch": ""} {
		var names []string
		for value := range call(t, c, "stats.fetch", argument).All() {
			names = append(names, value.Name())
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("stats.fetch %s has %s, want %s", argument, got, want)
		}
	}
}

func TestSharedMemoryInKiB(t *testing.T) {
	c := client(t, start(t, "-targets", "1")[0])
	bytes, kib := call(t, c, "core.shmmem"), call(t, c, "core.shmmem", "k")
	for value := range bytes.All() {
		got, _ := kib.Get(value.Name()).Float()
		want, _ := value.Float()
		if value.Name() != "fragments" {
			want /= 1024
		}
		if got != want {
			t.Errorf("%s is %v in KiB, want %v", value.Name(), got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	c := client(t, start(t, "-targets", "1")[0])
	names := map[string]bool{}
	for value := range call(t, c, listMethods).All() {
		names[value.Text()] = true
	}
	for method := range methods {
		if !names[method] {
			t.Errorf("%s does not list %s", listMethods, method)
		}
	}
	_, err := rpc.One(t.Context(), c, "tls.info")
	if fault, ok := errors.AsType[*rpc.Fault](err); !ok || !fault.NoSuchMethod() {
		t.Errorf("an absent method returns %v", err)
	}
}

// TestCountersNeverFall reads the counters at many times: each of them is a sum of rounded quotients.
func TestCountersNeverFall(t *testing.T) {
	gauges := map[string]bool{"current": true, "waiting": true}
	for _, number := range []int{1, 7, 50, 999} {
		last := map[string]float64{}
		for second := range 2000 {
			k := newKamailio(number, time.Now().Add(-time.Duration(second)*time.Second))
			values := k.statisticValues()
			numbers := map[string]float64{}
			for name, value := range values {
				if !strings.HasPrefix(name, "shmem.") && !strings.Contains(name, "current") && !strings.HasSuffix(name, "e_transactions") {
					numbers[name] = float64(value)
				}
			}
			for _, reply := range []any{k.tmStats(rpc.Call{}), k.slStats(rpc.Call{})} {
				members, _ := reply.(rpc.Members)
				for _, member := range members {
					if !gauges[member.Name] {
						numbers["reply "+member.Name], _ = strconv.ParseFloat(fmt.Sprint(member.Value), 64)
					}
				}
			}
			for name, value := range numbers {
				if value < last[name] || value < 0 {
					t.Fatalf("target %d after %d s: %s is %v, and was %v a second before", number, second, name, value, last[name])
				}
			}
			last = numbers
		}
	}
}

func TestTargetsDiffer(t *testing.T) {
	f := start(t, "-targets", "60")
	seen := map[string]int{}
	for _, target := range f {
		c := client(t, target)
		reply := call(t, c, "core.shmmem").String() + call(t, c, "core.uptime").Get("up_since").Text() + call(t, c, "tm.stats").Get("current").String()
		if other, ok := seen[reply]; ok {
			t.Errorf("targets %d and %d have the same numbers: %s", other, target.number, reply)
		}
		seen[reply] = target.number
	}
}

func TestHangingTargetsAcceptAndNeverReply(t *testing.T) {
	f := start(t, "-targets", "2", "-hanging", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if reply := client(t, f[0]).Do(ctx, rpc.Call{Method: "core.uptime"})[0]; !errors.Is(reply.Err, context.DeadlineExceeded) || reply.NotSent {
		t.Errorf("the hanging target gives %+v, want a request that was sent and no reply in time", reply)
	}
	call(t, client(t, f[1]), "core.uptime")
}

// freePorts returns the first of two free ports.
func freePorts(t *testing.T) string {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func TestDyingTargetsComeBack(t *testing.T) {
	port := freePorts(t)
	f := start(t, "-targets", "1", "-dying", "1", "-dying-period", "200ms", "-listen-port", port)
	if f[0].address != "127.0.0.1:"+port {
		t.Errorf("the target listens on %s, want port %s", f[0].address, port)
	}
	c := client(t, f[0])
	wait := func(wantAlive bool) {
		for alive := !wantAlive; alive != wantAlive; {
			_, err := rpc.One(t.Context(), c, "core.uptime")
			alive = err == nil
		}
	}
	for range 2 {
		wait(true)
		wait(false)
	}
	wait(true)
}

func TestTargetFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "targets.yml")
	port := freePorts(t)
	var out strings.Builder
	if err := run(t.Context(), []string{"-targets", "1", "-target-file", file, "-listen-port", port, "-duration", "1ms"}, &out); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(file)
	want := `- {name: sim0001, uri: "tcp://127.0.0.1:` + port + `", labels: {site: site01, behavior: replying}}` + "\n"
	if err != nil || string(list) != want {
		t.Errorf("the target file has %q, %v; want %q", list, err, want)
	}
	if !strings.HasPrefix(out.String(), "1 targets listen.") {
		t.Errorf("the output is %q", out.String())
	}
}

// TestExporterAcceptsTargetFile reads the target file as the exporter does.
func TestExporterAcceptsTargetFile(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	if err := run(t.Context(), []string{"-targets", "25", "-target-file", filepath.Join(dir, "targets.yml"), "-duration", "1ms"}, &out); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kamailio_exporter.yml")
	if err := os.WriteFile(file, []byte("target_files: [targets.yml]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse([]string{"--config.file=" + file})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Targets) != 25 || cfg.Targets[24].Labels["site"] != "site05" {
		t.Errorf("the exporter reads the targets %+v", cfg.Targets)
	}
}

func TestTargetsOnStandardOutput(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-targets", "3", "-hanging", "1", "-duration", "1ms"}, &out); err != nil {
		t.Fatal(err)
	}
	if list := out.String(); strings.Count(list, "\n") != 3 || strings.Count(list, "behavior: hanging") != 1 {
		t.Errorf("the output is %q", list)
	}
}

func TestErrors(t *testing.T) {
	taken := start(t, "-targets", "1", "-listen-port", freePorts(t))[0].address
	_, takenPort, _ := strings.Cut(taken, ":")
	for args, want := range map[string]string{
		"-targets 0":                     "-targets must be positive, not 0",
		"-targets 2 -hanging 2 -dying 1": "together at most -targets=2",
		"-hanging -1":                    "must not be negative",
		"-dying 1":                       "-dying needs -listen-port",
		"-dying-period 0s":               "-dying-period must be positive",
		"-duration -1s":                  "-duration must be positive",
		"-listen-port 32760":             "must be from 1 to 32767",
		"-listen-port -1":                "must be from 1 to 32767",
		"extra":                          `unexpected argument "extra"`,
		"-target-file /nonesuch/file":    "write the target file",
		"-listen-port " + takenPort:      "address already in use",
		"-targets 1000000000":            "open files",
	} {
		var out strings.Builder
		if err := run(t.Context(), strings.Fields(args), &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

// TestLimitOfOpenFiles runs the program with a low limit: it may raise the soft one, and fails if the hard one is too low.
func TestLimitOfOpenFiles(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	simulate := func(limit string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", limit+` && exec "$0" -targets 100 -duration 1ms`, program)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := simulate("ulimit -S -n 64"); err != nil || strings.Count(out, "\n") != 100 {
		t.Errorf("with a low soft limit: %v, %s", err, out)
	}
	out, err := simulate("ulimit -n 64")
	want := "simulate: 100 targets need up to 420 open files, and the hard limit is 64: raise it, for example with ulimit -n as root, or use at most 11 targets\n"
	if err == nil || out != want {
		t.Errorf("with a low hard limit: %v, %q; want %q", err, out, want)
	}
}
