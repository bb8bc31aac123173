package rpcmethods

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// methodName matches a name of a method: that of its group, and at least one more part.
var methodName = regexp.MustCompile(`^\w+(\.\w+)+$`)

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
		if m.Note != "" && !strings.HasPrefix(m.Note, "it ") && !strings.HasPrefix(m.Note, "its ") {
			t.Errorf("the note of %s does not follow \"because\": %s", m.Name, m.Note)
		}
		if !methodName.MatchString(m.Name) {
			t.Errorf("%q is not the name of a method", m.Name)
		}
		if (m.ReadingArgs != "") != strings.HasSuffix(m.Note, " it only reads") {
			t.Errorf("%s reads with the arguments %q, and its note is %q", m.Name, m.ReadingArgs, m.Note)
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

// changing matches the part of a name behind the first dot, if it sounds as if the method changed something.
var changing = regexp.MustCompile(`(?i)activate|add|block|bridge|cancel|clean|clear|close|commit|connect$|continue|debug|del|disable|drop|enable|end|exec|` +
	`fetch|flush|free|kill|load|mark|pause|ping|publish|push|put|refresh|register|relay|reload|remove|replace|reply|reset|rm|rollback|rotate|run|` +
	`send|set|snapshot|start|stop|store|subscribe$|sync|terminate|trace|update`)

// harmless has the methods that only read although changing matches their names, and why. The source of each was read.
var harmless = map[string]string{
	"app_perl.get_reset_cycles":         "returns a number",
	"core.echo_delta":                   "returns its arguments",
	"core.runinfo":                      "returns the version and the uptime",
	"dns.debug":                         "lists the DNS cache",
	"dns.debug_all":                     "lists the DNS cache",
	"dst_blocklist.debug":               "lists blocked destinations",
	"gflags.is_set":                     "returns a flag",
	"permissions.addressDump":           "lists addresses",
	"sipp.running":                      "lists tests",
	"stats.fetch":                       "returns statistics",
	"stats.fetchn":                      "returns statistics",
	"userblocklist.check_blocklist":     "looks up a prefix",
	"userblocklist.check_userblocklist": "looks up a prefix",
	"userblocklist.dump_blocklist":      "lists prefixes",
}

// TestMethodsThatSoundChangingDoNotRead fails for a new method with such a name, until its source has been read.
func TestMethodsThatSoundChangingDoNotRead(t *testing.T) {
	exceptions := map[string]bool{}
	for _, m := range All() {
		_, name, _ := strings.Cut(m.Name, ".")
		if m.Effect != Reads && m.Effect != Costly || !changing.MatchString(name) {
			continue
		}
		exceptions[m.Name] = true
		if harmless[m.Name] == "" {
			t.Errorf("%s only reads by the table: read its source, and add it to harmless if that is true", m.Name)
		}
	}
	for name := range harmless {
		if !exceptions[name] {
			t.Errorf("%s is no exception: remove it from harmless", name)
		}
	}
}

// TestEffects has methods whose effect is easy to get wrong, with the reason.
func TestEffects(t *testing.T) {
	for name, want := range map[string]Effect{
		"app_lua.reload":      Unsafe, // runs a script
		"cfg.set_now_int":     Unsafe, // sets any variable
		"core.ppdefines":      Reads,
		"core.ppdefines_full": Unsafe, // has the passwords that the configuration defines
		"dispatcher.list":     Reads,
		"dlg.briefing":        Unsafe, // keeps a lock
		"dlg.list":            Costly,
		"dns.stats_get":       Changes, // can reset counters
		"dns.view":            Unsafe,  // keeps a lock
		"htable.dump":         Costly,
		"lcr.load_gws":        Unsafe,  // uses undefined memory
		"mqueue.fetch":        Changes, // removes what it returns
		"permissions.testUri": Unsafe,  // writes behind the end of a buffer
		"system.methodHelp":   Reads,
		"uac.reg_dump":        Reads,
		"ul.db_users":         Unsafe, // runs SQL
		"ul.lookup":           Costly,
	} {
		if m, ok := Lookup(name); !ok || m.Effect != want {
			t.Errorf("%s has the effect %q, want %s", name, m.Effect, want)
		}
	}
}

// TestSecrets checks that the notes of methods whose replies have secrets say so.
func TestSecrets(t *testing.T) {
	for name, secret := range map[string]string{
		"auth_xkeys_.list": "secret", "autheph.dump_secrets": "secret", "core.arg": "secret", "core.ppdefines_full": "password",
		"dbcl.list_connections": "password", "httpclient.listcon": "password", "modparam.gets": "password", "modparam.list": "password",
		"uac.reg_dump": "password", "uac.reg_info": "password",
	} {
		if m, _ := Lookup(name); !strings.Contains(m.Note, secret) {
			t.Errorf("the note of %s is %q", name, m.Note)
		}
	}
}

// TestParseRefusesBadLines has lines that the table must not have.
func TestParseRefusesBadLines(t *testing.T) {
	for _, line := range []string{
		"", "a.b", "a.b\tcore\treads", "a.b\tcore\tread\tsrc/a.c", "a.b\tcore\tchanges\tsrc/a.c", "a.b\tcore\tchanges\tsrc/a.c\t",
		"a.b\tcore\tunsafe\tsrc/a.c", "a.b\tcore\tcostly\tsrc/a.c", "a.b\tcore\tchanges except \tsrc/a.c\tit changes",
		"a.b\tcore\treads except none\tsrc/a.c\tit reads",
		"a.b\tcore\treads\tsrc/a.c\tit reads\tmore", "\tcore\treads\tsrc/a.c", "a.b\t\treads\tsrc/a.c", "a.b\tcore\treads\t",
	} {
		if m, err := parse(line); err == nil {
			t.Errorf("%q is parsed as %+v", line, m)
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
		{"corex.debug", []any{""}, Changes},
		{"corex.debug", []any{" "}, Changes},
		{"siptrace.status", []any{"check"}, Reads},
		{"siptrace.status", []any{"on"}, Changes},
		{"siptrace.status", []any{"check", "on"}, Changes},
		{"siptrace.status", nil, Changes},
		{"siptrace.status", []any{"check "}, Changes},
		{"siptrace.status", []any{"check", ""}, Changes},
		{"siptrace.status", []any{"none"}, Changes},
		{"pkg.stats", nil, Reads},
		{"pkg.stats", []any{"index", 0}, Unsafe},
		{"dispatcher.ping_active", []any{"none"}, Changes},
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
