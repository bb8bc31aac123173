package xhttpprom

import (
	"regexp"
	"slices"
	"strings"
)

// Parameters of xhttp_prom add Kamailio's own values after the metrics of the script: the memory of each process
// (xhttp_prom_pkg_stats), the uptime (xhttp_prom_uptime_stat), and the statistics (xhttp_prom_stats), in this order. The
// exporter gets all of them over RPC and drops them here. They are recognised line by line, even if they cannot be parsed:
// Kamailio 6.0 omits a comma in pkgmem_total_size, and xhttp_prom_tags is copied without checks.
//
// Source: prom_stats_get, prom_metric_pkgmem_print and prom_metric_uptime_print in src/modules/xhttp_prom/prom.c.
var (
	// ownStatistics matches the comment before Kamailio's statistics, which are the last part of the page.
	ownStatistics = regexp.MustCompile(`(?m)^# Kamailio (whole internal statistics|statistics for)`)
	// ownMemory matches a line about the memory of a process. The first group is the prefix of all names.
	ownMemory = regexp.MustCompile(`^([^{\s]*)pkgmem_(?:used|available|real_used|total_frags|total_size)\{pid="\d+", rank="-?\d+",? desc="`)
	// ownUptime matches the line of the uptime, and similar lines of the script. The first group is the prefix of all names,
	// the second one the tags.
	ownUptime = regexp.MustCompile(`^([^{\s]*)uptime(\{.*\})? \d+ \S+$`)
)

const (
	// noScriptMetrics is the first line of a page without metrics of the script.
	noScriptMetrics = "# NO User defined metrics"
	// defaultPrefix is the default value of the parameter xhttp_prom_beginning.
	defaultPrefix = "kamailio_"
)

// scriptLines returns the lines of a page with the metrics of the routing script. It trims lines and drops empty ones.
func scriptLines(text string) []string {
	statistics := ""
	if at := ownStatistics.FindStringIndex(text); at != nil {
		text, statistics = text[:at[0]], text[at[0]:]
	}
	lines := trimmedLines(text)
	memory := map[string]bool{} // names of the samples about memory
	prefix, prefixKnown := "", false
	lines = slices.DeleteFunc(lines, func(line string) bool {
		match := ownMemory.FindStringSubmatch(line)
		if match == nil {
			return false
		}
		prefix, prefixKnown = match[1], true
		memory[rawNameOf(line)] = true
		return true
	})
	if len(memory) > 0 {
		lines = slices.DeleteFunc(lines, func(line string) bool {
			match := comment.FindStringSubmatch(line)
			return match != nil && memory[match[2]]
		})
	}
	if i := uptimeLine(lines); i >= 0 {
		own := ownUptime.FindStringSubmatch(lines[i])[1]
		if prefixKnown && own == prefix || !prefixKnown && isPrefix(own, lines, i, statistics) {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	return lines
}

func trimmedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// rawNameOf returns the start of a line, up to the labels or the value. It may not be a valid name.
func rawNameOf(line string) string {
	if end := strings.IndexAny(line, "{ \t"); end >= 0 {
		return line[:end]
	}
	return line
}

// uptimeLine returns the index of the line that may be Kamailio's uptime, -1 if there is none. Kamailio's uptime is the last
// sample of the page and has no TYPE or HELP. If it has labels, which are the tags of all lines, no other line has its name.
func uptimeLine(lines []string) int {
	last := len(lines) - 1
	for last >= 0 && lines[last][0] == '#' {
		last--
	}
	if last < 0 {
		return -1
	}
	match := ownUptime.FindStringSubmatch(lines[last])
	if match == nil {
		return -1
	}
	name := rawNameOf(lines[last])
	for i, line := range lines {
		described := comment.FindStringSubmatch(line)
		if described != nil && described[2] == name || match[2] != "" && i != last && rawNameOf(line) == name {
			return -1
		}
	}
	return last
}

// isPrefix reports whether all names on a page without the memory of processes have a prefix. It checks Kamailio's statistics
// if the page has them, otherwise the other metrics of the script.
func isPrefix(prefix string, lines []string, uptime int, statistics string) bool {
	var names []string
	for _, line := range trimmedLines(statistics) {
		if line[0] != '#' {
			names = append(names, rawNameOf(line))
		}
	}
	if len(names) == 0 {
		for i, line := range lines {
			if i != uptime && line[0] != '#' {
				names = append(names, rawNameOf(line))
			}
		}
	}
	if len(names) == 0 {
		return prefix == "" || prefix == defaultPrefix || slices.Contains(lines, noScriptMetrics)
	}
	return !slices.ContainsFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
}
