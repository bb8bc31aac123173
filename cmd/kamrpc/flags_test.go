package main

import (
	"strings"
	"testing"
)

// wrongValues has values that a flag must refuse, by flag, and a part of the error.
var wrongValues = map[string]struct {
	values []string
	want   string
}{
	"help":                      {[]string{"", "true"}, "the flag takes no value"},
	"version":                   {[]string{"", "1"}, "the flag takes no value"},
	"config.file":               {[]string{"/no/such/file", "/"}, ""},
	"config.expand-environment": {[]string{"", "1"}, "the flag takes no value"},
	"list":                      {[]string{"", "1"}, "the flag takes no value"},
	"raw":                       {[]string{"", "1"}, "the flag takes no value"},
	"yes":                       {[]string{"", "1"}, "the flag takes no value"},
	"timeout":                   {[]string{"", "0", "0s", "-1s", "-1", "5", "abc", "5 s", "24h1s", "9999999999999999999s"}, "is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms"},
	"uri": {[]string{"", "nowhere", "ftp://host", "unix:", "tcp://host", "tcp://host:0", "tcp:*:2046", "http://", " unix:/x"},
		"is not the URI of a Kamailio"},
}

// TestWrongFlagValues fails for a flag without a row above.
func TestWrongFlagValues(t *testing.T) {
	t.Parallel()
	app, _ := newApp()
	for _, flag := range app.Model().Flags {
		if flag.Hidden {
			continue
		}
		row, ok := wrongValues[flag.Name]
		if !ok {
			t.Errorf("wrongValues has no value for --%s", flag.Name)
		}
		for _, value := range row.values {
			parts := []string{"--" + flag.Name + ": ", `"` + value + `"`, row.want}
			if flag.Name == "config.file" {
				parts[1] = value
			}
			stderr := checkFails(t, []string{"--" + flag.Name + "=" + value, "core.uptime"}, parts...)
			if strings.Contains(stderr, "strconv") {
				t.Errorf("--%s=%s: %s", flag.Name, value, stderr)
			}
		}
	}
	for _, value := range []string{"0", "-1", "-1s"} {
		checkFails(t, []string{"-t", value, "core.uptime"}, "--timeout: ", `"`+value+`"`, "for example 5s")
	}
}

// TestErrorsOfURIsHaveNoPassword has URIs with a password in the wrong place or in the
// query.
func TestErrorsOfURIsHaveNoPassword(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"unix:u:PW@x", "unixd:u:PW@/x", "jsonrpc+unixgram:u:PW@x", "tcp://u:PW@127.0.0.1:2046", "tcp::PW@127.0.0.1", "udp:PW@x",
		"jsonrpc+tcp://u:PW@127.0.0.1", "http://u:PW@127.0.0.1/RPC", "https://u:PW%zz@127.0.0.1/", "u:PW@127.0.0.1", "ftp://u:PW@127.0.0.1",
		"http://127.0.0.1:1/RPC?token=PW", "http://u:PW?PW@127.0.0.1/", "http:///RPC?token=u@PW",
	} {
		if stderr := checkFails(t, []string{"-u", uri, "core.uptime"}); strings.Contains(stderr, "PW") {
			t.Errorf("%s: %s", uri, stderr)
		}
	}
}
