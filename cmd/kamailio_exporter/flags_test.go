package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

// wrongValues has values that a flag must refuse, by flag, each with a part of the error
// after the flag's name. A NUL character separates parts that must all be in the error.
var wrongValues = map[string][]struct{ value, want string }{
	"help":                         {{"true", `the flag takes no value, not "true": use --help or --no-help`}},
	"help-methods":                 {{"all", `the flag takes no value, not "all"`}},
	"version":                      {{"1", `the flag takes no value, not "1"`}},
	"web.systemd-socket":           {{"maybe", `the flag takes no value, not "maybe": use --web.systemd-socket or --no-web.systemd-socket`}},
	"web.disable-exporter-metrics": {{"", `the flag takes no value, not ""`}, {"false", `the flag takes no value, not "false"`}},
	"web.listen-address":           all("is not an address to listen on: use :port, host:port", "", "9494", "127.0.0.1", ":", ":-1", ":65536", ":nosuch", "::1:9494", " :9494", ":9494 ", "a/b:1", "vsock://", "vsock://:x", "http://127.0.0.1:9494"),
	"web.config.file":              {{"/no/such/file", `open /no/such/file`}, {"/", `read /: is a directory`}, {" ", `open  : no such file`}},
	"web.telemetry-path":           append(all("must start with a slash", "", "metrics", " /metrics"), all("must not have", "/a b", "/a/./b", "/-/../x", "//", "/a?b", "/a#b", "/%41", "/{a}")...),
	"web.external-url":             append(all("neither a URL such as https://example.net/kamailio nor a path", "example.net/kamailio", "ftp://example.net/", "http://", "http://[::1/", "-1"), struct{ value, want string }{"https://example.net/?a", `"https://example.net/": the URL must not have a query or a fragment`}),
	"web.route-prefix":             all("must not have", "/a/../b", "/a b", "/a//b", "/a?b", "/{a}"),
	"web.max-requests":             all("is not a whole number from 1 to 2147483647", "", "abc", "0", "-1", "1.5", "2147483648"),
	"kamailio.scrape-uri":          append(all("is not the URI of a Kamailio", "", "kamailio", "ftp://host", "unix:", "unix:kamailio_ctl", "tcp:*:2046", "tcp:2046", "udp://*:2046", "tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://:2046", "udp://ho st:2046", "http://", "http:/RPC", " unix:/run/kamailio_ctl", "jsonrpc+unixgram:"), all("", "unix:/"+strings.Repeat("x", 200))...),
	"kamailio.methods":             append(all("has an empty name", "", ",", "tm.stats,,sl.stats", " "), all("the known methods ", "nosuch.method", "AUTO", "tm.stats sl.stats")...),
	"kamailio.timeout":             all("is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms", "", "0", "0s", "-1s", "-5", "5", "abc", "5 s", " 5s", "5d", "1e9s", "24h1s", "9999999999999999999s", "NaN"),
	"kamailio.max-series":          all("is not a whole number from 0 to 2147483647", "", "abc", "-1", "1.5", "1e5", "0x10", " 5", "2147483648", "99999999999999999999"),
	"kamailio.short":               append(all("has an empty name", "", ","), all("has no short form; the methods with one are dispatcher.list", "core.uptime", "nosuch")...),
	"kamailio.stats-groups":        all("has an empty name", "", "script,"),
	"kamailio.dialog-profiles":     append(all("has an empty name", "", "a,,b"), all("use profile or profile:value", ":x", "trunk:")...),
	"kamailio.htable-keys":         append(all("has an empty name", "", "a=>b,"), all("use table=>key or table:key", "calls", "=>x", "calls=>", ":")...),
	"kamailio.shv":                 append(all("has an empty name", "", "a,"), all("use name for $shv(name)", "a\tb")...),
	"kamailio.kafka-topics":        append(all("has an empty name", "", "a,"), all("use letters, digits, dots, underscores and hyphens", "a b", "ä", strings.Repeat("x", 250))...),
	"kamailio.sip-probe":           all("sips:host:port for TLS", "", "on", "127.0.0.1:5060", "sip:user@host", "sip:h,", "sip:h;transport=ws"),
	"kamailio.host":                all("is not one of auto, on, full, off", "", "yes", "ON", "on,full"),
	"kamailio.legacy-series":       {{"false", `the flag takes no value, not "false": use --kamailio.legacy-series or --no-kamailio.legacy-series`}},
	"kamailio.http-config.file":    {{"/no/such/file", `open /no/such/file`}, {"/", `read /: is a directory`}, {" ", `open  : no such file`}},
	"kamailio.xhttp-prom-url":      all("use for example http://127.0.0.1:5060/metrics", "127.0.0.1:5060", "ftp://127.0.0.1/", "http:///metrics", " http://127.0.0.1/metrics", "/metrics", "http://[::1/", "-1"),
	"config.file":                  {{"/no/such/file", `open /no/such/file`}, {"/", `/ is a directory, not a file`}},
	"config.check":                 {{"1", `the flag takes no value, not "1"`}},
	"config.expand-environment":    {{"1", `the flag takes no value, not "1"`}},
	"once":                         {{"1", `the flag takes no value, not "1"`}},
	"target":                       {{"x", `the flag is for --once and for the command check only`}},
	"web.enable-lifecycle":         {{"1", `the flag takes no value, not "1"`}},
	"log.level":                    all("is not one of debug, info, warn, error", "", "verbose", "-1", " info", "debug,info"),
	"log.format":                   all("is not one of logfmt, json", "", "xml", "JSON", "json "),
}

// all returns a row for each value. The errors have the value and the same text.
func all(want string, values ...string) []struct{ value, want string } {
	rows := make([]struct{ value, want string }, len(values))
	for i, value := range values {
		rows[i] = struct{ value, want string }{value, strconv.Quote(value) + "\x00" + want}
	}
	return rows
}

// TestEveryFlagHasWrongValues fails for a flag without a row above.
func TestEveryFlagHasWrongValues(t *testing.T) {
	t.Parallel()
	app := config.App()
	for _, flag := range app.Model().Flags {
		if !flag.Hidden && len(wrongValues[flag.Name]) == 0 {
			t.Errorf("wrongValues has no value for --%s", flag.Name)
		}
	}
	for name := range wrongValues {
		if app.GetFlag(name) == nil && (name != "web.systemd-socket" || runtime.GOOS == "linux") {
			t.Errorf("there is no flag --%s", name)
		}
	}
}

// TestWrongValuesEndTheProgram gives each wrong value after an equals sign. The last one
// of each flag is also a separate argument, if the flag takes a value.
func TestWrongValuesEndTheProgram(t *testing.T) {
	t.Parallel()
	app := config.App()
	for name, rows := range wrongValues {
		if app.GetFlag(name) == nil {
			continue // a flag for Linux
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, row := range rows {
				checkRefused(t, name, row.want, "--"+name+"="+row.value)
			}
			if last := rows[len(rows)-1]; !strings.Contains(last.want, "takes no value") {
				checkRefused(t, name, last.want, "--"+name, last.value)
			}
		})
	}
}

// checkRefused runs the exporter, which must end with status 1 before it listens. Its
// error must name the flag, the value and the allowed values.
func checkRefused(t *testing.T, flag, want string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), logPatience)
	defer cancel()
	out, err := command(ctx, append([]string{"--web.listen-address=127.0.0.1:0"}, args...)...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%q: ended with %v, want exit status 1", args, err)
	}
	text := strings.ReplaceAll(string(out), `\`, "")
	for _, part := range append(strings.Split(want, "\x00"), "--"+flag+": ") {
		if !strings.Contains(text, strings.ReplaceAll(part, `\`, "")) {
			t.Errorf("%q: %q is not in the output: %s", args, part, out)
		}
	}
	if strings.Contains(text, "Listening on") || strings.Contains(text, "strconv") {
		t.Errorf("%q: the output is %s", args, out)
	}
}

// TestUnixsIsReadAsUnix has the scheme that ctl's parameter binrpc has for unix.
func TestUnixsIsReadAsUnix(t *testing.T) {
	t.Parallel()
	e := start(t, "-u", "unixs:/no/such/kamailio_ctl")
	e.awaitLog(`msg="Starting kamailio_exporter".* target=unix:/no/such/kamailio_ctl`)
}

// TestErrorsOfURIsHaveNoPassword has URIs with a password in the wrong place.
func TestErrorsOfURIsHaveNoPassword(t *testing.T) {
	t.Parallel()
	uris := []string{
		"unix:u:PW@x", "unixd:u:PW@/x", "jsonrpc+unixgram:u:PW@x", "tcp://u:PW@127.0.0.1:2046", "tcp::PW@127.0.0.1", "udp:PW@x",
		"jsonrpc+tcp://u:PW@127.0.0.1", "jsonrpc+udp://PW@x:1", "http://u:PW@127.0.0.1/RPC", "https://u:PW%zz@127.0.0.1/", "http:u:PW@x",
		"u:PW@127.0.0.1", "ftp://u:PW@127.0.0.1", "HTTP://u:PW@127.0.0.1/", "http://u:P W@127.0.0.1/", "http://u:PW@PW@127.0.0.1/",
		"http://u:PW?PW@127.0.0.1/", "http:///RPC?token=u@PW", "nowhere?PW", "unix:x#PW",
	}
	for _, uri := range uris {
		for _, args := range [][]string{{"-u", uri}, {"--kamailio.xhttp-prom-url=" + uri}, {"-l", uri}, {"--web.external-url=" + uri}, {uri}} {
			ctx, cancel := context.WithTimeout(t.Context(), logPatience)
			defer cancel()
			out, err := command(ctx, args...).CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); !ok || bytes.Contains(out, []byte("PW")) || bytes.Contains(out, []byte("P W")) {
				t.Errorf("%q: %v, output %s", args, err, out)
			}
		}
	}
}

// TestAtSignIsAnOrdinaryCharacter has arguments that kingpin would replace by the lines of
// a file.
func TestAtSignIsAnOrdinaryCharacter(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(file, []byte("--version\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"@" + file}, `unexpected argument "…@` + file},
		{[]string{"@nobody"}, `unexpected argument "…@nobody"`},
		{[]string{"-m", "@" + file}, `unknown method "@` + file},
		{[]string{"-m", "@nobody"}, `unknown method "@nobody"`},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), logPatience)
		defer cancel()
		out, err := command(ctx, test.args...).CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); !ok || !strings.Contains(strings.ReplaceAll(string(out), `\`, ""), test.want) {
			t.Errorf("%q: %v, output %s", test.args, err, out)
		}
	}
}
