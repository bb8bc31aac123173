package rpcmethods

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTable checks each line, and that the table is sorted and has no method twice.
func TestTable(t *testing.T) {
	last := ""
	for line := range strings.Lines(data) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		m, err := parse(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Error(err)
		}
		if m.Name <= last {
			t.Errorf("%s is after %s", m.Name, last)
		}
		last = m.Name
		if !strings.HasPrefix(m.Source, "src/") || m.Module == "" {
			t.Errorf("%s has the module %q and the source %q", m.Name, m.Module, m.Source)
		}
		if m.Note != "" && !strings.HasPrefix(m.Note, "it ") && !strings.HasPrefix(m.Note, "its ") && !strings.HasPrefix(m.Note, "with ") {
			t.Errorf("the note of %s does not follow \"because\": %s", m.Name, m.Note)
		}
		if m.ReadingArgs != "" && m.Effect != Changes {
			t.Errorf("%s has arguments with which it only reads, and the effect %s", m.Name, m.Effect)
		}
	}
}

// TestListedMethodsAreKnown has the methods that system.listMethods of Kamailio 5.6.3, 6.0.1 and 6.1.5 list with most modules
// loaded.
func TestListedMethodsAreKnown(t *testing.T) {
	listed, err := os.ReadFile("testdata/listed.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(listed)) {
		if _, ok := Lookup(name); !ok {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// changing matches names of methods that sound as if they changed something.
var changing = regexp.MustCompile(`(?i)(^|[._])(add|set|del|delete|rm|remove|reload|reset|clear|clean|kill|drop|end|start|stop|enable|disable|refresh|sync|flush|put|seti|sets|update|store|load|bridge|send|push|exec|run|activate|deactivate|ping|terminate|commit|rollback|fetch|free|rotate|cancel|reply)`)

// TestMethodsThatSoundDangerousAreNotReading fails for a new method with such a name, until somebody has read what it does.
func TestMethodsThatSoundDangerousAreNotReading(t *testing.T) {
	harmless := []string{
		"app_perl.get_reset_cycles",   // returns a number
		"lcr.load_gws",                // lists the gateways for a user
		"sipp.running",                // lists tests
		"core.runinfo",                // as core.info
		"stats.fetch", "stats.fetchn", // return statistics
		"core.echo_delta",         // returns its arguments
		"gflags.is_set",           // returns a flag
		"permissions.addressDump", // lists a table
	}
	for _, m := range All() {
		if changing.MatchString(m.Name) && (m.Effect == Reads || m.Effect == Costly) && !slices.Contains(harmless, m.Name) {
			t.Errorf("%s only reads by the table", m.Name)
		}
	}
}

func TestWith(t *testing.T) {
	for _, test := range []struct {
		method string
		args   []any
		want   Effect
	}{
		{"core.uptime", nil, Reads},
		{"core.kill", nil, Unsafe},
		{"htable.seti", []any{"a", "b", 1}, Changes},
		{"corex.debug", nil, Reads},
		{"corex.debug", []any{3}, Changes},
		{"corex.debug", []any{""}, Reads}, // prints as nothing
		{"siptrace.status", []any{"check"}, Reads},
		{"siptrace.status", []any{"on"}, Changes},
		{"siptrace.status", []any{"check", "on"}, Changes},
		{"siptrace.status", nil, Changes},
		{"dns.stats_get", []any{"x", 0}, Changes},
	} {
		m, ok := Lookup(test.method)
		if got := m.With(test.args...); got != test.want || !ok {
			t.Errorf("%s %v: %s, want %s", test.method, test.args, got, test.want)
		}
	}
	if _, ok := Lookup("CORE.KILL"); ok {
		t.Error("a name in upper case is known; Kamailio compares names exactly")
	}
}
