package xhttpprom

import (
	"strings"
	"testing"
)

// The lines that Kamailio adds, as 6.0.1, later releases and the development version write them.
const (
	memory60 = `PREFIXpkgmem_used{pid="4711", rank="0", desc="main process - attendant"TAGS} 1009736 1795620014499
PREFIXpkgmem_available{pid="4711", rank="0", desc="main process - attendant"TAGS} 7378872 1795620014499
PREFIXpkgmem_real_used{pid="4711", rank="0", desc="main process - attendant"TAGS} 1109736 1795620014499
PREFIXpkgmem_total_frags{pid="4711", rank="0", desc="main process - attendant"TAGS} 4 1795620014499
PREFIXpkgmem_total_size{pid="4711", rank="0" desc="main process - attendant"TAGS} 8388608 1795620014499
PREFIXpkgmem_used{pid="4712", rank="-4", desc="udp receiver child=0 sock=127.0.0.1:5060"TAGS} 1009736 1795620014499
`
	statistics    = "\n# Kamailio whole internal statistics\nPREFIXcore_rcv_requests{TAGS} 5 1795620014499\nPREFIXsl_200_replies{TAGS} 1 1795620014499\n"
	statisticsNew = "\n# Kamailio statistics for group: core:\n# TYPE PREFIXcore_rcv_requests gauge\nPREFIXcore_rcv_requests{TAGS} 5 1795620014.499\n"
	uptimeLineOf  = "PREFIXuptime{TAGS} 3600 1795620014499\n"
)

var memoryNew = strings.ReplaceAll(strings.ReplaceAll(memory60, `" desc=`, `", desc=`), "1795620014499", "1795620014.499")

// ofKamailio returns lines with the parameters xhttp_prom_beginning and xhttp_prom_tags set to these.
func ofKamailio(lines, prefix, tags string) string {
	lines = strings.ReplaceAll(lines, "PREFIX", prefix)
	if tags == "" {
		return strings.NewReplacer("{TAGS}", "", "TAGS", "").Replace(lines)
	}
	return strings.NewReplacer("{TAGS}", "{"+tags+"}", "TAGS", ", "+tags).Replace(lines)
}

// TestKamailiosOwnValuesAreDropped has each combination of them after metrics of the script. The metrics of the script remain,
// and no line counts as bad, even if it cannot be parsed.
func TestKamailiosOwnValuesAreDropped(t *testing.T) {
	const script = "# User defined metrics\nPREFIXcalls_total 3 1795620014499\nPREFIXlevel{a=\"b\"} 1.500000 1795620014499\n"
	for _, prefix := range []string{"kamailio_", "", "sbc_", "kamailio_sbc_"} {
		for _, tags := range []string{"", `site="ams"`, "site=ams"} { // the last one is not valid, but is in the module's documentation
			for _, memory := range []string{"", memory60, memoryNew} {
				for _, uptime := range []string{"", uptimeLineOf} {
					for _, stats := range []string{"", statistics, statisticsNew} {
						page := ofKamailio(script, prefix, "") + ofKamailio(memory+uptime+stats, prefix, tags)
						got, err := Parse(t.Context(), page)
						if err != nil || got.BadCount > 0 {
							t.Errorf("%v, bad %q of\n%s", err, got.Bad, page)
						}
						want := ofKamailio("# TYPE PREFIXcalls_total counter\nPREFIXcalls_total 3\n# TYPE PREFIXlevel untyped\nPREFIXlevel{a=\"b\"} 1.5\n", prefix, "")
						if text := text(t, got); text != want {
							t.Errorf("got\n%s\nof\n%s", text, page)
						}
					}
				}
			}
		}
	}
}

// TestPageWithKamailiosOwnValuesOnlyIsNoError has the page of a script without metrics.
func TestPageWithKamailiosOwnValuesOnlyIsNoError(t *testing.T) {
	for _, prefix := range []string{"kamailio_", "", "sbc_"} {
		page := "# NO User defined metrics\n" + ofKamailio(memory60+uptimeLineOf+statistics, prefix, "site=ams")
		if got, err := Parse(t.Context(), page); err != nil || len(got.Families) > 0 || got.BadCount > 0 {
			t.Errorf("%v, %s, bad %q of\n%s", err, text(t, got), got.Bad, page)
		}
		page = "# NO User defined metrics\n" + ofKamailio(uptimeLineOf, prefix, "")
		if got, err := Parse(t.Context(), page); err != nil || len(got.Families) > 0 || got.BadCount > 0 {
			t.Errorf("%v, %s, bad %q of\n%s", err, text(t, got), got.Bad, page)
		}
	}
}

// TestMetricsLikeKamailiosOwnAreKept has metrics of a script with names similar to Kamailio's own.
func TestMetricsLikeKamailiosOwnAreKept(t *testing.T) {
	const calls = "# User defined metrics\nkamailio_calls_total 3 5\n"
	for name, page := range map[string]string{
		"a name that ends in uptime":            calls + "kamailio_gw_uptime 5 5\n",
		"a name with uptime, and statistics":    calls + "kamailio_gw_uptime 5 5\n" + ofKamailio(statistics, "kamailio_", ""),
		"a name with uptime, and memory":        calls + "kamailio_gw_uptime 5 5\n" + ofKamailio(memory60, "kamailio_", ""),
		"the only metric, which ends in uptime": "# User defined metrics\nkamailio_gw_uptime 5 5\n",
		"a gauge, which has decimals":           calls + "kamailio_uptime 5.000000 5\n",
		"one that is not the last":              "# User defined metrics\nkamailio_uptime 5 5\nkamailio_x 1 5\n",
		"one with a type":                       calls + "# TYPE kamailio_uptime counter\nkamailio_uptime 5 5\n",
		"one for each gateway":                  calls + "kamailio_uptime{gw=\"a\"} 5 5\nkamailio_uptime{gw=\"b\"} 5 5\n",
		"memory that is not a process's":        calls + "kamailio_pkgmem_used{pid=\"1\"} 5 5\n",
		"another memory":                        calls + "kamailio_pkgmem_used_more{pid=\"1\", rank=\"0\", desc=\"\"} 5 5\n",
	} {
		got, err := Parse(t.Context(), page)
		if err != nil || got.BadCount > 0 {
			t.Errorf("%s: %v, bad %q", name, err, got.Bad)
		}
		script, _, _ := strings.Cut(page, "\n# Kamailio")
		want := 0
		for line := range strings.Lines(script) {
			if !strings.HasPrefix(line, "#") && !ownMemory.MatchString(line) {
				want++
			}
		}
		samples := 0
		for _, family := range got.Families {
			samples += len(family.GetMetric())
		}
		if samples != want {
			t.Errorf("%s: %d samples, want %d:\n%s", name, samples, want, text(t, got))
		}
	}
}
