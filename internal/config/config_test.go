package config

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	if !slices.Equal(*web.Listen.WebListenAddresses, []string{"127.0.0.1:1", ":2"}) || web.RoutePrefix != "/a" || web.TelemetryPath != "/m" || web.MaxRequests != 7 || web.ExporterMetrics || web.ExternalURL.String() != "https://example.net/a" {
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
	ca := filepath.Join(writeFiles(t, map[string]string{"http.yml": "tls_config: {ca_file: none}\n"}), "http.yml")
	web := filepath.Join(writeFiles(t, map[string]string{"web.yml": "nosuch: 1\n"}), "web.yml")
	for want, args := range map[string][]string{
		"--web.config.file: " + web + ": yaml: unmarshal errors:":                        {"--web.config.file", web},
		"--kamailio.http-config.file: open ":                                             {"--kamailio.http-config.file", "/no/such/file"},
		"--kamailio.http-config.file: unable to read CA cert: ":                          {"--kamailio.http-config.file", ca},
		"--web.config.file: open /no/such/file":                                          {"--web.config.file", "/no/such/file"},
		"--config.expand-environment: needs --config.file too":                           {"--config.expand-environment"},
		"--web.enable-lifecycle: needs --config.file too":                                {"--web.enable-lifecycle"},
		`--web.max-requests: "0" is not a whole number from 1 to 2147483647`:             {"--web.max-requests=0"},
		`--log.format: "xml" is not one of logfmt, json`:                                 {"--log.format=xml"},
		`--kamailio.dialog-profiles: ":x" names no dialog profile`:                       {"--kamailio.dialog-profiles=a,:x"},
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

// TestParseCheck has the targets that the command checks, by name, or the error.
func TestParseCheck(t *testing.T) {
	file := filepath.Join(writeFiles(t, map[string]string{"c.yml": "targets: [{name: a, uri: 'unix:/a'}, {name: b, uri: 'unix:/b'}]\n"}), "c.yml")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `[""]`},
		{[]string{"--config.file", file}, `["a" "b"]`},
		{[]string{"--config.file", file, "-u", "unix:/x"}, `["" "a" "b"]`},
		{[]string{"--config.file", file, "--target=b"}, `["b"]`},
		{[]string{"--config.file", file, "--target=c"}, `--target: there is no target "c" in --config.file; the targets are a, b`},
		{[]string{"--nosuch"}, "unknown long flag '--nosuch'"},
		{[]string{"--once"}, "--once: the flag is not for the command check"},
		{[]string{"--config.check"}, "--config.check: the flag is not for the command check"},
		{[]string{"-u", "unix:"}, `--kamailio.scrape-uri: "unix:" is not the URI of a Kamailio: the path is missing: use unix:/path, unixd:/path (datagram), tcp://host:port or udp://host:port for ctl; ` +
			"http://host:port/RPC, https://, jsonrpc+unixgram:/path, jsonrpc+tcp:// or jsonrpc+udp:// for jsonrpcs"},
	} {
		cfg, targets, err := ParseCheck(test.args)
		var names []string
		for _, target := range targets {
			if err == nil {
				names = append(names, target.Name)
			}
		}
		got := fmt.Sprintf("%q", names)
		if err != nil {
			got = err.Error()
		}
		if got != test.want || err == nil && cfg == nil {
			t.Errorf("%q: got %s with the configuration %v, want %s", test.args, got, cfg, test.want)
		}
	}
}

// TestOnce has the target of --once, or the error.
func TestOnce(t *testing.T) {
	file := filepath.Join(writeFiles(t, map[string]string{"c.yml": "targets: [{name: a, uri: 'unix:/a'}, {name: b, uri: 'unix:/b'}]\n"}), "c.yml")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--once", "-u", "unix:/x"}, "unix:/x"},
		{[]string{"--once", "--config.file", file, "-u", "unix:/x"}, "unix:/x"},
		{[]string{"--once", "--config.file", file, "--target=b"}, "unix:/b"},
		{[]string{"--once", "--config.file", file, "-u", "unix:/x", "--target=a"}, "unix:/a"},
		{[]string{"--once", "--config.file", file, "--target=c"}, `--target: there is no target "c" in --config.file; the targets are a, b`},
		{[]string{"--once", "--target=c"}, `--target: there is no target "c" in --config.file`},
		{[]string{"--once", "--config.file", file}, "--once: --target is needed too, which names one of the targets of --config.file"},
		{[]string{"--config.file", file, "--target=a"}, "--target: the flag is for --once and for the command check only"},
	} {
		cfg, err := Parse(test.args)
		got := fmt.Sprint(err)
		if err == nil {
			got = cfg.Target.URI.String()
			if !cfg.Once || cfg.Check {
				t.Errorf("%q: once %t, check %t", test.args, cfg.Once, cfg.Check)
			}
		}
		if got != test.want {
			t.Errorf("%q: got %s, want %s", test.args, got, test.want)
		}
	}
}

// TestManyTargetsAreNotNamed has one target more than an error names.
func TestManyTargetsAreNotNamed(t *testing.T) {
	var cfg Config
	var names []string
	for i := range 20 {
		names = append(names, strconv.Itoa(i))
		cfg.Targets = append(cfg.Targets, &Target{Name: names[i]})
	}
	want := `--target: there is no target "x" in --config.file; the targets are ` + strings.Join(names, ", ")
	if _, err := cfg.named("x"); fmt.Sprint(err) != want {
		t.Errorf("with 20 targets: error %v, want %s", err, want)
	}
	cfg.Targets = append(cfg.Targets, &Target{Name: "20"})
	if _, err := cfg.named("x"); fmt.Sprint(err) != want+" and 1 more" {
		t.Errorf("with 21 targets: error %v, want %s and 1 more", err, want)
	}
}

// TestSetNamesTheGivenSettings has flags of a module, one of a target, and one of the exporter itself.
func TestSetNamesTheGivenSettings(t *testing.T) {
	cfg := parse(t, "-t", "1s", "--kamailio.sip-probe=auto", "--no-kamailio.legacy-series", "--kamailio.stats-groups=all", "-m", "auto", "--kamailio.host=on",
		"-u", "unix:/x", "--web.max-requests=1")
	if got, want := cfg.Target.Modules[0].Set, []string{"host", "legacy_series", "methods", "sip", "stats_groups", "timeout"}; !slices.Equal(got, want) || cfg.Web.MaxRequests != 1 {
		t.Errorf("the settings %q, and %d requests, are given, want %q, and 1", got, cfg.Web.MaxRequests, want)
	}
}

// TestSettingNamesOfTargets has a target of the flags and one of a file, each with a module of the flags and one of a file.
func TestSettingNamesOfTargets(t *testing.T) {
	flags, file := &Module{Name: "default", fromFlags: true}, &Module{Name: "slow"}
	for _, test := range []struct {
		target string
		module *Module
		key    string
		want   string
	}{
		{"", flags, "uri", "--kamailio.scrape-uri"},
		{"", flags, "timeout", "--kamailio.timeout"},
		{"", file, "uri", "--kamailio.scrape-uri"},
		{"", file, "timeout", "timeout of module slow"},
		{"a", flags, "uri", "uri of target a"},
		{"a", flags, "timeout", "--kamailio.timeout"},
		{"a", file, "uri", "uri of target a"},
		{"a", file, "timeout", "timeout of module slow"},
	} {
		if got := (&Target{Name: test.target}).SettingName(test.module, test.key); got != test.want {
			t.Errorf("target %q, module %s: %s is %q, want %q", test.target, test.module.Name, test.key, got, test.want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"http://h/a", "http://H:80/b", true},
		{"https://h", "https://h:443", true},
		{"http://h:443", "https://h", false},
		{"https://h:80", "https://h", false},
		{"http://h:80", "http://h:81", false},
		{"http://h", "http://i", false},
		{"http://[", "http://h", true},
	} {
		if got, reverse := sameOrigin(test.a, test.b), sameOrigin(test.b, test.a); got != test.want || reverse != test.want {
			t.Errorf("%s and %s: %t and %t, want %t", test.a, test.b, got, reverse, test.want)
		}
	}
}

// TestListenAddresses has values that --web.listen-address accepts and refuses.
func TestListenAddresses(t *testing.T) {
	for address, accepted := range map[string]bool{
		":1": true, ":65535": true, ":http": true, "h:1": true, "[::1]:1": true, "vsock://:1": true, "vsock://:4294967295": true,
		":65536": false, ":nosuch": false, "h": false, "h:": false, "a/b:1": false, "::1:1": false, "vsock://:": false, "vsock://:4294967296": false, "vsock://:http": false,
	} {
		cfg, err := Parse([]string{"-l", address})
		if accepted && (err != nil || !slices.Equal(*cfg.Web.Listen.WebListenAddresses, []string{address})) {
			t.Errorf("%s: error %v", address, err)
		}
		if want := "--web.listen-address: " + strconv.Quote(address) + " is not an address to listen on: use :port, host:port, [address]:port for IPv6 or vsock://:port"; !accepted && fmt.Sprint(err) != want {
			t.Errorf("%s: error %v, want %s", address, err, want)
		}
	}
}

// TestSIPProbe has values of --kamailio.sip-probe, and the settings that they mean.
func TestSIPProbe(t *testing.T) {
	uris := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("sip:h:%d", i+1))
		}
		return strings.Join(list, ",")
	}
	for value, want := range map[string]string{
		"off":                         "off",
		"auto":                        "auto, timeout 2s",
		"sip:h, sip:h,sips:192.0.2.1": "udp:h:5060,tls:192.0.2.1:5061, timeout 2s",
		uris(MaxSIPSockets):           strings.ReplaceAll(uris(MaxSIPSockets), "sip:", "udp:") + ", timeout 2s",
		uris(MaxSIPSockets + 1):       "--kamailio.sip-probe: must have at most 32 URIs",
		"sip:u@h": `--kamailio.sip-probe: "sip:u@h" is not auto, off or a list of URIs: "sip:u@h" is not the URI of a SIP socket: ` +
			"use sip:host:port, sip:host:port;transport=tcp, or sips:host:port for TLS; the port is 5060 or 5061 by default",
	} {
		cfg, err := Parse([]string{"--kamailio.sip-probe", value})
		got := fmt.Sprint(err)
		if err == nil {
			sip := cfg.Target.Modules[0].SIP
			got = sipFlag{&sip}.String()
			if sip != nil {
				got += fmt.Sprintf(", timeout %v", sip.Timeout)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
}

// TestFlagsPrintTheirValues has the values of repeatable flags and of those with a list of values.
func TestFlagsPrintTheirValues(t *testing.T) {
	values := map[string]string{
		"kamailio.dialog-profiles": "all,trunk:carrier1",
		"kamailio.htable-keys":     "calls=>total,a=>b",
		"kamailio.short":           "dispatcher.list,pkg.stats",
		"kamailio.host":            "full",
		"kamailio.sip-probe":       "auto",
		"web.listen-address":       ":1",
		"web.max-requests":         "7",
		"log.format":               "json",
	}
	app := App()
	var args []string
	for flag, value := range values {
		args = append(args, "--"+flag, value)
	}
	if _, err := app.Parse(append(args, "-l", ":2")); err != nil {
		t.Fatal(err)
	}
	values["web.listen-address"] = ":1,:2"
	for _, flag := range app.Model().Flags {
		if want, ok := values[flag.Name]; ok && flag.Value.String() != want {
			t.Errorf("--%s prints %s, want %s", flag.Name, flag.Value, want)
		}
	}
}

// TestReadsHost has all values of the setting host, with the methods and sockets on which auto depends.
func TestReadsHost(t *testing.T) {
	for _, test := range []struct {
		host Host
		args []string
		want bool
	}{
		{HostOn, []string{"-m", "core.uptime", "-u", "tcp://h:1"}, true},
		{HostFull, []string{"-m", "core.uptime", "-u", "tcp://h:1"}, true},
		{HostOff, nil, false},
		{HostAuto, nil, true},
		{HostAuto, []string{"-m", "core.uptime"}, false},
		{HostAuto, []string{"-u", "tcp://h:1"}, false},
	} {
		target := parse(t, append(test.args, "--kamailio.host", string(test.host))...).Target
		if got := target.Modules[0].ReadsHost(target.URI); got != test.want {
			t.Errorf("%s with %q: %t, want %t", test.host, test.args, got, test.want)
		}
	}
}

// TestWebConfigFile has the users and the TLS settings of --web.config.file.
func TestWebConfigFile(t *testing.T) {
	const hash = "$2a$04$zINBUwZTcg7XFON/Kn861egqTRRsLAhD8ULIGA.qkDbXOtIFedgbC"
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	certificate := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := writeFiles(t, map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	})
	file := filepath.Join(dir, "web.yml")
	for content, want := range map[string]string{
		"": "[] false",
		"basic_auth_users: {b: " + hash + ", a: " + hash + "}\n":        "[a b] false",
		"tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n": "[] true",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		web := parse(t, "--web.config.file", file).Web
		if got := fmt.Sprint(web.Users, web.TLS); got != want {
			t.Errorf("%q: the users, and whether there is TLS, are %s, want %s", content, got, want)
		}
	}
	if web := parse(t).Web; len(web.Users) > 0 || web.TLS {
		t.Errorf("without a file, there are the users %q, TLS %t", web.Users, web.TLS)
	}
}
