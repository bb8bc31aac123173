// Package check says in plain words what works between this host and a Kamailio, what
// each RPC method costs, and what to change. It measures with scrapes of package scrape,
// calls only methods that read, and changes nothing.
package check

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// maxConcurrent is the maximum number of targets that are checked at the same time.
const maxConcurrent = 8

// maxNamed is the maximum number of targets that the result names.
const maxNamed = 20

// Run checks targets of a configuration and writes a report to out. It reports whether
// kamailio_up would be 1 for all of them, with each of their modules. It ends when ctx is
// done; without that, each target takes at most three times the sum of the timeouts of its
// modules.
func Run(ctx context.Context, out io.Writer, cfg *config.Config, targets []*config.Target, users Users) (up bool, err error) {
	reports := examineAll(ctx, targets, users)
	var down, refused, faulty []string
	for i, target := range targets {
		r := <-reports[i]
		if !r.up {
			down = append(down, nameOf(target))
		}
		switch {
		case r.serviceRefused:
			refused = append(refused, nameOf(target))
		case r.up && r.hasFailed():
			faulty = append(faulty, nameOf(target))
		}
		if err := write(out, r.title, r.sections); err != nil {
			return false, err
		}
	}
	var end []section
	if len(down) < len(targets) {
		end = append(end, prometheusSection(cfg))
	}
	end = append(end, resultSection(len(targets), down, refused, faulty))
	return len(down) == 0, write(out, "", end)
}

// examineAll checks targets in their order, so that their reports can be written soon. It returns a channel for each report.
func examineAll(ctx context.Context, targets []*config.Target, users Users) []chan *report {
	reports := make([]chan *report, len(targets))
	for i := range reports {
		reports[i] = make(chan *report, 1)
	}
	places := make(chan struct{}, maxConcurrent)
	go func() {
		for i, target := range targets {
			places <- struct{}{}
			go func() {
				defer func() { <-places }()
				reports[i] <- examine(ctx, target, users).report()
			}()
		}
	}()
	return reports
}

// nameOf returns the name of a target, or its URI if it has none.
func nameOf(target *config.Target) string {
	if target.Name != "" {
		return target.Name
	}
	return target.URI.Redacted()
}

// resultSection returns the result for a number of targets. It names those whose kamailio_up would be 0 (down), those to which only
// the user of the packaged service may not connect (refused), and others of which something else failed (faulty).
func resultSection(targets int, down, refused, faulty []string) section {
	s := section{title: "Result"}
	switch {
	case targets == 0:
		s.add(note, "The configuration has no targets to check.")
	case len(down) == 0 && targets == 1:
		s.add(ok, "kamailio_up would be 1.")
	case len(down) == 0:
		s.add(ok, fmt.Sprintf("kamailio_up would be 1 for all %d targets.", targets))
	case targets == 1:
		s.add(failed, "kamailio_up would be 0.")
	default:
		s.add(failed, fmt.Sprintf("kamailio_up would be 0 for %d of %d targets: %s", len(down), targets, someOf(down)))
	}
	const seeFailed = "Something else does not work: see the lines above that begin with failed"
	switch {
	case len(faulty) > 0 && targets == 1:
		s.add(failed, seeFailed+".")
	case len(faulty) > 0:
		s.add(failed, seeFailed+", of "+someOf(faulty))
	}
	if len(refused) > 0 {
		s.add(failed, "The user of the packaged service may not connect, see step 1: "+someOf(refused))
	}
	return s
}

// someOf returns the first maxNamed names, separated by commas.
func someOf(names []string) string {
	if len(names) > maxNamed {
		return strings.Join(names[:maxNamed], ", ") + " …"
	}
	return strings.Join(names, ", ")
}

// report is what a check found out about a target.
type report struct {
	title    string
	sections []section
	up       bool
	// serviceRefused reports whether only the user of the packaged service may not connect.
	serviceRefused bool
}

// hasFailed reports whether the report has a line with the state failed.
func (r *report) hasFailed() bool {
	return slices.ContainsFunc(r.sections, func(s section) bool {
		return slices.ContainsFunc(s.lines, func(l line) bool { return l.state == failed })
	})
}

// report turns the facts into a report.
func (f *facts) report() *report {
	r := &report{title: fmt.Sprintf("Kamailio %s (%s)", f.target.URI.Redacted(), f.target.Origin), up: f.isUp(), serviceRefused: f.isServiceRefused()}
	if f.target.Name != "" {
		r.title = fmt.Sprintf("Target %s: %s (%s)", f.target.Name, f.target.URI.Redacted(), f.target.Origin)
	}
	r.sections = []section{f.addressSection(), f.replySection()}
	if f.server == nil {
		return r
	}
	r.sections = append(r.sections, f.modulesSection())
	for i := range f.scrapes {
		r.sections = append(r.sections, f.scrapes[i].section(f))
	}
	r.sections = append(r.sections, f.sipSection(), f.hostSection())
	return r
}
