//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// row is one of the table. What does not apply is empty.
type row struct {
	work, floor, exporter string
	figure                string // what the limit is about
	atMost                string
	missed                bool
}

// table is the rows in Markdown.
func table(rows []row) string {
	var text strings.Builder
	text.WriteString("| work | floor | exporter | ratio or figure | at most |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		atMost := r.atMost
		if r.missed {
			atMost += ", missed"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", r.work, r.floor, r.exporter, r.figure, atMost)
	}
	return text.String()
}

// ratioRow is a row about times of which exporter may be limit times floor.
func ratioRow(work string, floor, exporter time.Duration, limit float64) row {
	times := ratio(exporter, floor)
	return row{
		work:     work,
		floor:    milliseconds(floor),
		exporter: milliseconds(exporter),
		figure:   fmt.Sprintf("%.2f ×", times),
		atMost:   fmt.Sprintf("%v ×", limit),
		missed:   times > limit,
	}
}

// timeRow is a row about a time of its own.
func timeRow(work string, took, limit time.Duration) row {
	return row{work: work, figure: milliseconds(took), atMost: milliseconds(limit), missed: took > limit}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func milliseconds(d time.Duration) string {
	return threeDigits(float64(d)/float64(time.Millisecond)) + " ms"
}

func microseconds(d time.Duration) string {
	return threeDigits(float64(d)/float64(time.Microsecond)) + " µs"
}

// megabytes is a number of bytes in millions.
func megabytes(bytes int) string { return threeDigits(float64(bytes)/1e6) + " MB" }

// threeDigits rounds a number to three digits, or to whole ones where it has more before the point.
func threeDigits(f float64) string {
	if f >= 1000 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// percentile is the smallest of the times that at least p percent of them do not exceed; p is from 1 to 100, and there has
// to be a time.
func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*p+99)/100-1]
}

// The marks between which -update writes.
const (
	beginMark = "<!-- bench -->"
	endMark   = "<!-- /bench -->"
)

// replaceMarked returns text with replacement between the marks, each of which has to be there once.
func replaceMarked(text, replacement string) (string, error) {
	head, rest, hasBegin := strings.Cut(text, beginMark)
	_, tail, hasEnd := strings.Cut(rest, endMark)
	if !hasBegin || !hasEnd || strings.Contains(rest, beginMark) || strings.Contains(tail, endMark) {
		return "", errors.New("it must have one " + beginMark + " and one " + endMark + " behind it")
	}
	return head + beginMark + "\n" + replacement + endMark + tail, nil
}

// updateFile replaces what stands between the marks in a file.
func updateFile(path, replacement string) error {
	old, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	text, err := replaceMarked(string(old), replacement)
	if err != nil {
		return fmt.Errorf("update %s: %w", path, err)
	}
	// The mode of a file that is there stays as it is.
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil { //nolint:gosec // the user names it
		return fmt.Errorf("update: %w", err)
	}
	return nil
}
