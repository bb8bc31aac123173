package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

func parse(tb testing.TB, args ...string) *Config {
	tb.Helper()
	cfg, err := Parse(args)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func methodsOf(collectors []*collector.Collector) []string {
	var methods []string
	for _, c := range collectors {
		methods = append(methods, c.Method)
	}
	return methods
}

// TestDefaults checks the values that versions 0 to 2 had, and those of newer settings.
func TestDefaults(t *testing.T) {
	cfg := parse(t)
	web := cfg.Web
	if !slices.Equal(*web.Listen.WebListenAddresses, []string{":9494"}) || web.RoutePrefix != "" || web.TelemetryPath != "/metrics" || web.MaxRequests != 40 || !web.ExporterMetrics {
		t.Errorf("web %+v, listening on %v", web, *web.Listen.WebListenAddresses)
	}
	target := cfg.Target
	if target.URI.Protocol != dial.BINRPC || target.URI.Network != "unix" || target.URI.Address != "/var/run/kamailio/kamailio_ctl" || target.HTTP != nil || target.XHTTPProm != nil {
		t.Errorf("target %+v", target)
	}
	module := target.Modules[0]
	if module.Timeout != 5*time.Second || !module.Auto || len(module.Named) > 0 {
		t.Errorf("module %+v", module)
	}
	settings := module.Settings
	if settings.MaxSeries != 100_000 || settings.NoLegacySeries || !slices.Equal(settings.StatsGroups, []string{"script"}) ||
		len(settings.Short)+len(settings.DialogProfiles)+len(settings.HtableKeys)+len(settings.SharedVariables)+len(settings.KafkaTopics) > 0 {
		t.Errorf("settings %+v", settings)
	}
	if level := cfg.Log.Level.String(); level != "info" {
		t.Errorf("log level %q", level)
	}
}

func TestEveryFlagSetsItsValue(t *testing.T) {
	cfg := parse(t, "-l", "127.0.0.1:1", "-l", ":2", "--web.telemetry-path=/m", "--web.external-url=https://example.net/a", "--web.max-requests=7",
		"--web.disable-exporter-metrics", "-u", "http://127.0.0.1:5060/RPC", "-m", "core.uptime", "-t", "1s", "--kamailio.max-series=9",
		"--kamailio.short=dispatcher.list", "--kamailio.stats-groups=core", "--no-kamailio.legacy-series",
		"--kamailio.xhttp-prom-url=http://127.0.0.1:5060/metrics", "--log.level=debug", "--log.format=json")
	web := cfg.Web
	if !slices.Equal(*web.Listen.WebListenAddresses, []string{"127.0.0.1:1", ":2"}) || web.RoutePrefix != "/a" || web.TelemetryPath != "/m" || web.MaxRequests != 7 || web.ExporterMetrics {
		t.Errorf("web %+v, listening on %v", web, *web.Listen.WebListenAddresses)
	}
	target := cfg.Target
	if target.URI.Protocol != dial.JSONRPC || target.XHTTPProm == nil || target.Modules[0].Timeout != time.Second {
		t.Errorf("target %+v, module %+v", target, target.Modules[0])
	}
	settings := target.Modules[0].Settings
	if settings.MaxSeries != 9 || !settings.NoLegacySeries || !slices.Equal(settings.Short, []string{"dispatcher.list"}) || !slices.Contains(settings.StatsGroups, "core") {
		t.Errorf("settings %+v", settings)
	}
	if cfg.Log.Level.String() != "debug" || cfg.Log.Format.String() != "json" {
		t.Errorf("log level %s, format %s", cfg.Log.Level, cfg.Log.Format)
	}
}

func TestMethods(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		auto  bool
		named []string
	}{
		"auto":                       {[]string{"-m", "auto"}, true, nil},
		"named":                      {[]string{"-m", "tm.stats,core.uptime"}, false, []string{"core.uptime", "tm.stats"}},
		"auto and named":             {[]string{"-m", "auto", "-m", "tm.stats"}, true, []string{"tm.stats"}},
		"repeated":                   {[]string{"-m", "tm.stats,tm.stats,auto,auto"}, true, []string{"tm.stats"}},
		"named by its setting":       {[]string{"--kamailio.htable-keys", "a=>b"}, true, []string{"htable.get"}},
		"named, and by its setting":  {[]string{"-m", "htable.get", "--kamailio.htable-keys", "a=>b"}, false, []string{"htable.get"}},
		"named by two settings":      {[]string{"-m", "core.uptime", "--kamailio.htable-keys", "a=>b", "--kamailio.dialog-profiles", "a"}, false, []string{"core.uptime", "dlg.profile_get_size", "htable.get"}},
		"BINRPC only, over a socket": {[]string{"-m", "ctl.connections"}, false, []string{"ctl.connections"}},
	} {
		module := parse(t, test.args...).Target.Modules[0]
		named := methodsOf(module.Named)
		slices.Sort(named)
		if module.Auto != test.auto || !slices.Equal(named, test.named) {
			t.Errorf("%s: auto %t, named %v, want %t and %v", name, module.Auto, named, test.auto, test.named)
		}
	}
}

// TestErrorsNameTheFlag has combinations of flags that are not allowed, and the names that a file of settings would have.
func TestErrorsNameTheFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("basic_auth: {username: u, password: PW, password_file: PW}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--kamailio.methods: htable.get needs --kamailio.htable-keys too":                {"-m", "htable.get"},
		"--kamailio.methods: dlg.profile_get_size needs --kamailio.dialog-profiles too":  {"-m", "auto,dlg.profile_get_size"},
		"--kamailio.methods: pv.shvGet needs --kamailio.shv too":                         {"-m", "pv.shvGet"},
		"--kamailio.methods: kafka.stats_topic needs --kamailio.kafka-topics too":        {"-m", "kafka.stats_topic"},
		"--kamailio.methods: ctl.connections is not answered over JSON-RPC":              {"-m", "ctl.connections", "-u", "http://127.0.0.1/RPC"},
		`--kamailio.methods: unknown method "nosuch"`:                                    {"-m", "nosuch"},
		`--kamailio.short: "tm.stats" has no short form`:                                 {"--kamailio.short", "tm.stats"},
		"--kamailio.scrape-uri: ":                                                        {"-u", "nowhere"},
		"--kamailio.http-config.file: " + file + ": ":                                    {"--kamailio.http-config.file", file},
		`--kamailio.xhttp-prom-url: "…@h/": a URL must not contain a password`:           {"--kamailio.xhttp-prom-url", "http://u:PW@h/?token=PW"},
		`--web.external-url: "…@h/": a URL must not contain a password`:                  {"--web.external-url", "http://u:PW@h/"},
		`--web.external-url: the path "/a b" must not have`:                              {"--web.external-url", "http://h/a%20b"},
		`--web.route-prefix: the path "/a?b" must not have`:                              {"--web.route-prefix", "a?b", "--web.external-url", "http://h/a"},
		`--web.telemetry-path: the path "/-/healthy" is that of another page`:            {"--web.telemetry-path", "/-/healthy"},
		`--kamailio.timeout: "0s" is not a time with a unit`:                             {"-t", "0s"},
		`--kamailio.dialog-profiles: "a,,b" has an empty name: use one name, or several`: {"--kamailio.dialog-profiles", "a,,b"},
	} {
		cfg, err := Parse(args)
		if err == nil || cfg != nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "PW") {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
}

// TestSettingNamesAreFlags has the keys of all settings that are flags too.
func TestSettingNamesAreFlags(t *testing.T) {
	app := App()
	keys := []string{"uri", "auth", "methods", "timeout", "short", "stats_groups", "dialog_profiles", "htable_keys", "shv", "kafka_topics", "max_series", "legacy_series", "xhttp_prom_url"}
	for _, c := range collector.All {
		if c.Setting != "" {
			keys = append(keys, c.Setting)
		}
	}
	for _, key := range keys {
		name := SettingName(key)
		if flag, ok := strings.CutPrefix(name, "--"); !ok || app.GetFlag(flag) == nil {
			t.Errorf("the setting %s is named %s, which is not a flag", key, name)
		}
	}
}

// TestParseDoesNotShareState parses twice: values of the first command line must not remain.
func TestParseDoesNotShareState(t *testing.T) {
	first := parse(t, "-l", ":1", "-m", "core.uptime", "--kamailio.short=dispatcher.list", "--kamailio.htable-keys=a=>b")
	second := parse(t)
	if !slices.Equal(*second.Web.Listen.WebListenAddresses, []string{":9494"}) || len(second.Target.Modules[0].Named) > 0 || len(second.Target.Modules[0].Settings.Short) > 0 {
		t.Errorf("the second configuration has %v, %+v", *second.Web.Listen.WebListenAddresses, second.Target.Modules[0])
	}
	if got := methodsOf(first.Target.Modules[0].Named); !slices.Equal(got, []string{"core.uptime", "htable.get"}) {
		t.Errorf("the first configuration has %v", got)
	}
}

// TestHTTPConfigFile has a password that the client must send to the URI.
func TestHTTPConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("basic_auth: {username: u, password: p}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
	defer server.Close()
	client := parse(t, "-u", server.URL+"/RPC", "--kamailio.http-config.file", file).Target.HTTP
	response, err := client.Get(server.URL) //nolint:noctx // the server is in this process
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if user != "u" || password != "p" {
		t.Errorf("the request has user %q, password %q", user, password)
	}
}

// TestOrigin has a URI of a flag and the default.
func TestOrigin(t *testing.T) {
	for want, args := range map[string][]string{
		"--kamailio.scrape-uri":                {"-u", "unix:/a"},
		"the default of --kamailio.scrape-uri": nil,
	} {
		if _, targets, err := ParseCheck(args); err != nil || len(targets) != 1 || targets[0].Origin != want {
			t.Errorf("%q: %v, %v, want %s", args, targets, err, want)
		}
	}
}
