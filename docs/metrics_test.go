// Package docs_test writes the parts of the documentation that are generated,
// and fails where they are stale.
package docs_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

var update = flag.Bool("update", false, "write the generated documentation anew")

// TestMetrics compares metrics.md with what the program has.
func TestMetrics(t *testing.T) {
	got := metrics(t)
	if *update {
		if err := os.WriteFile("metrics.md", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("metrics.md")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("metrics.md is stale (%v): run go test ./docs -update, and look at what it changed", err)
	}
}

// entry is a method with some of its families.
type entry struct {
	collector *collector.Collector
	descs     []*metric.Desc
}

// statistic matches the group of a statistic in the help of its family.
var statistic = regexp.MustCompile(`Statistics? (\w+)\.`)

// sections returns the methods by Kamailio module. Families of stats.fetch belong to the group of their statistics, which as a
// rule has a module's name.
func sections() map[string][]*entry {
	all := map[string][]*entry{}
	for _, c := range collector.All {
		entries := map[string]*entry{}
		for _, desc := range c.Metrics {
			section := c.Module
			if match := statistic.FindStringSubmatch(desc.Help); match != nil {
				section = match[1]
			}
			if entries[section] == nil {
				entries[section] = &entry{collector: c}
				all[section] = append(all[section], entries[section])
			}
			entries[section].descs = append(entries[section].descs, desc)
		}
	}
	return all
}

func metrics(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(`# Metrics

This page is generated: ` + "`go test ./docs -update`" + ` writes it from the program's own tables. "Seen on" are the versions of
Kamailio whose captured replies have the series in this project's tests; "source" stands for a reply that was built from the
module's source. The column "use" says which of two series with the same figures to use; ` + "`--no-kamailio.legacy-series`" + `
leaves out those that are kept for v0 to v2.

## Contents

- [The exporter](#the-exporter)
`)
	all := sections()
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names {
		fmt.Fprintf(&b, "- [%s](#%s):", name, strings.ReplaceAll(name, " ", "-"))
		for i, e := range all[name] {
			fmt.Fprintf(&b, "%s `%s`", strings.Repeat(",", min(i, 1)), e.collector.Method)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## The exporter\n\nEvery scrape has these.\n\n")
	writeTable(&b, scrape.Metrics(), nil)
	b.WriteString(`
` + "`kamailio_exporter_build_info`, `go_*`, `process_*` and `promhttp_*`" + ` are client_golang's usual ones; ` + "`--web.disable-exporter-metrics`" + `
leaves out the last three.
`)
	seen := seenOn(t)
	for _, name := range names {
		fmt.Fprintf(&b, "\n## %s\n", name)
		for _, e := range all[name] {
			c, description := e.collector, "Statistics of the group "+name
			if name == c.Module {
				description = strings.ToUpper(c.Help[:1]) + c.Help[1:]
			}
			fmt.Fprintf(&b, "\n### %s\n\n%s.%s\n\n", c.Method, description, how(c))
			writeTable(&b, e.descs, seen)
		}
	}
	return b.Bytes()
}

// how says what it takes to have the collector.
func how(c *collector.Collector) string {
	text := ""
	switch {
	case c.Flag != "":
		text = " Needs `" + c.Flag + "`."
	case !c.Auto:
		text = " Not in `auto`: name it with `-m auto," + c.Method + "`."
	}
	if c.BINRPCOnly {
		text += " Over BINRPC only."
	}
	if c.Short {
		text += " Has a short form: `--kamailio.short=" + c.Method + "`."
	}
	return text
}

func writeTable(b *bytes.Buffer, descs []*metric.Desc, seen map[string][]string) {
	columns := "| series | type | labels | unit | use | help |"
	if seen != nil {
		columns += " seen on |"
	}
	b.WriteString(columns + "\n" + strings.Repeat("|---", strings.Count(columns, "|")-1) + "|\n")
	for _, desc := range slices.SortedFunc(slices.Values(descs), func(a, b *metric.Desc) int { return strings.Compare(a.Name, b.Name) }) {
		kind := "gauge"
		if desc.Type == metric.Counter {
			kind = "counter"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |", desc.Name, kind, strings.Join(desc.Labels, ", "), unit(desc), use(desc), strings.ReplaceAll(desc.Help, "|", `\|`))
		if seen != nil {
			fmt.Fprintf(b, " %s |", strings.Join(seen[desc.Name], ", "))
		}
		b.WriteString("\n")
	}
}

// use says whether the family is the one to use.
func use(desc *metric.Desc) string {
	switch {
	case desc.Legacy:
		return "kept for v0 to v2, use `" + desc.Preferred + "`"
	case desc.Preferred != "":
		return "same as `" + desc.Preferred + "`"
	default:
		return "use this"
	}
}

// unit is what the values count, where the name or the help says so.
func unit(desc *metric.Desc) string {
	name := strings.TrimSuffix(desc.Name, "_total")
	for _, unit := range []string{"seconds", "bytes", "ratio"} {
		if strings.HasSuffix(name, "_"+unit) || strings.HasPrefix(desc.Help, strings.ToUpper(unit[:1])+unit[1:]) {
			return unit
		}
	}
	return ""
}

// seenOn tells which golden files of the collectors have each family.
func seenOn(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../internal/collector/testdata/*/*.prom")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	slices.Sort(files)
	seen := map[string][]string{}
	for _, file := range files {
		version := filepath.Base(filepath.Dir(file))
		if version == "built" {
			version = "source"
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
			name, ok := strings.CutPrefix(scanner.Text(), "# TYPE ")
			name, _, _ = strings.Cut(name, " ")
			if ok && !slices.Contains(seen[name], version) {
				seen[name] = append(seen[name], version)
			}
		}
	}
	return seen
}
