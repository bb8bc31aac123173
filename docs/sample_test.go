//go:build linux

package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

var (
	sampleLine  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	sampleLabel = regexp.MustCompile(`([a-z]+)="(?:[^"\\]|\\.)*"`)
)

// shape is a sample without its values: the name and the names of its labels.
func shape(line string) string {
	match := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
	if match == nil {
		return ""
	}
	var labels []string
	for _, label := range sampleLabel.FindAllStringSubmatch(match[2], -1) {
		labels = append(labels, label[1])
	}
	return match[1] + "{" + strings.Join(labels, ",") + "}"
}

// TestSample compares the README's sample of output with a real page: names and labels.
func TestSample(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	var shapes []string
	for line := range strings.Lines(start(t, "-u", k.URI("unix")).scrape()) {
		shapes = append(shapes, shape(line))
	}
	found := 0
	for _, b := range blocks(t, "../README.md") {
		if b.mark != "sample" {
			continue
		}
		for line := range strings.Lines(b.text) {
			found++
			if s := shape(line); s == "" || !slices.Contains(shapes, s) {
				t.Errorf("a real page has no %s", line)
			}
		}
	}
	if found < 5 {
		t.Errorf("the README's sample has %d lines", found)
	}
}
