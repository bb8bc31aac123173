//go:build linux

// Command bench measures the exporter against real Kamailios of the lab and prints a table. It is behind make bench.
//
// Kamailio's ctl process answers one request at a time, and how fast it does is not the exporter's doing. So times are
// compared with a floor: a bare client that sends the same requests and only takes the replies in. Both are measured in
// turn, on the same Kamailio, so that what else the machine does hits them alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// settings are the flags.
type settings struct {
	exporter    string // the program
	timed       time.Duration
	memory      time.Duration
	intervalCPU time.Duration
	sip         int // pairs of runs
	run         *regexp.Regexp
	update      string // a file, or nothing
}

// bench is a run of the benchmark.
type bench struct {
	settings
	ordinary *lab.Kamailio
	crowded  *lab.Kamailio // has many destinations
}

// destinations is how many the crowded Kamailio has, beside the lab's own five.
const destinations = 4000

// measurement gives one row of the table or several.
type measurement struct {
	name    string
	measure func(*bench, context.Context) ([]row, error)
}

// measurements are all there are, in their order in the table.
var measurements = []measurement{
	{"five", (*bench).fiveMethods},
	{"nine", (*bench).nineMethods},
	{"destinations-short", (*bench).destinationsShort},
	{"destinations", (*bench).destinationsLong},
	{"cpu", (*bench).cpuBackToBack},
	{"interval-cpu", (*bench).cpuAtIntervals},
	{"decode", (*bench).decode},
	{"memory", (*bench).peakMemory},
	{"start", (*bench).startToScrape},
	{"sip", (*bench).responseTimes},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	machine, rows, err := run(ctx, s)
	if err != nil {
		return err
	}
	text := machine + "\n\n" + table(rows)
	fmt.Print(text)
	if s.update != "" {
		if err := updateFile(s.update, text); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.missed }) {
		return errors.New("a limit was missed: see the rows that say so")
	}
	return nil
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.exporter, "exporter", "", "the exporter's program (required)")
	flags.DurationVar(&s.timed, "time", 10*time.Second, "how long each timed row is measured")
	flags.DurationVar(&s.memory, "memory", 10*time.Minute, "how long memory is watched")
	flags.DurationVar(&s.intervalCPU, "interval-cpu", 150*time.Second, "how long to scrape every 15 s for the CPU that this takes")
	flags.IntVar(&s.sip, "sip", 10, "how many runs of SIPp there are without scrapes, and as many with")
	names := flags.String("run", "", "measure only what matches this `regexp`: "+measurementNames())
	flags.StringVar(&s.update, "update", "", "replace what stands between "+beginMark+" and "+endMark+" in this `file`")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	var err error
	if s.run, err = regexp.Compile(*names); err != nil {
		return s, fmt.Errorf("-run: %w", err)
	}
	return s, s.check(flags.Args())
}

// check finds mistakes before they have cost a quarter of an hour.
func (s settings) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is no flag", rest[0])
	}
	if s.exporter == "" {
		return errors.New("name the exporter's program with -exporter")
	}
	if s.sip < 1 {
		return errors.New("-sip must be 1 or more")
	}
	if s.timed <= 0 || s.memory < scrapeEvery || s.intervalCPU < scrapeInterval {
		return fmt.Errorf("-time must be more than 0, -memory %v or more, and -interval-cpu %v or more", scrapeEvery, scrapeInterval)
	}
	if !slices.ContainsFunc(measurements, func(m measurement) bool { return s.run.MatchString(m.name) }) {
		return fmt.Errorf("-run %q matches none of %s", s.run, measurementNames())
	}
	if s.update == "" {
		return nil
	}
	if s.run.String() != "" {
		return errors.New("-update would lose the rows that -run leaves out: use one of the two")
	}
	text, err := os.ReadFile(s.update)
	if err != nil {
		return fmt.Errorf("-update: %w", err)
	}
	if _, err = replaceMarked(string(text), ""); err != nil {
		return fmt.Errorf("-update %s: %w", s.update, err)
	}
	return nil
}

func measurementNames() string {
	names := make([]string, len(measurements))
	for i, m := range measurements {
		names[i] = m.name
	}
	return strings.Join(names, " ")
}

// run measures what was asked for, on two Kamailios that it starts and ends.
func run(ctx context.Context, s settings) (machine string, rows []row, err error) {
	b := &bench{settings: s}
	if b.ordinary, err = lab.Start(ctx, lab.Options{}); err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.ordinary.Stop()) }()
	if b.crowded, err = lab.Start(ctx, lab.Options{Destinations: destinations}); err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.crowded.Stop()) }()
	if machine, err = describeMachine(ctx, s.exporter, b.ordinary); err != nil {
		return "", nil, err
	}
	for _, m := range measurements {
		if !s.run.MatchString(m.name) {
			continue
		}
		progress("%s", m.name)
		measured, err := m.measure(b, ctx)
		if ctx.Err() != nil {
			return "", nil, errors.New("interrupted")
		}
		if err != nil {
			return "", nil, fmt.Errorf("measure %s: %w", m.name, err)
		}
		rows = append(rows, measured...)
	}
	load, err := loadAverage()
	return machine + ", load average " + load, rows, err
}

// progress tells whoever waits what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
