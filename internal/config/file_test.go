package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeFiles writes files to a directory, by name, and returns the directory.
func writeFiles(tb testing.TB, files map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// load parses a configuration file, with further arguments.
func load(tb testing.TB, content string, args ...string) (*Config, error) {
	tb.Helper()
	dir := writeFiles(tb, map[string]string{"c.yml": content})
	return Parse(append([]string{"--config.file", filepath.Join(dir, "c.yml")}, args...))
}

// TestFile reads a file with every key.
func TestFile(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"c.yml": `
# anchors may be used
modules:
  default:
    methods: [auto, dispatcher.list]
    timeout: 3s
    short: [dispatcher.list]
    stats_groups: [script, core]
    dialog_profiles: [all, "trunk:carrier1"]
    htable_keys: ["calls=>total"]
    max_series: 5
    legacy_series: false
  slow: &slow {methods: [dlg.stats_active], timeout: 30s}
  other: *slow
auths:
  noc:
    hosts: [192.0.2.0/24, "2001:db8::/32", SBC1.example.net]
    basic_auth: {username: noc, password_file: secrets/noc}
    tls_config: {server_name: sbc1, min_version: TLS12, insecure_skip_verify: true}
    http_headers: {X-Site: {values: [ams], files: [secrets/noc]}}
    follow_redirects: false
    enable_http2: false
  token: {authorization: {type: Bearer, credentials_file: secrets/noc}}
targets:
- name: sbc1
  uri: https://192.0.2.10:5061/RPC
  modules: [slow, default]
  auth: noc
  labels: {site: ams, role: sbc}
  xhttp_prom_url: http://198.51.100.1/metrics
  xhttp_prom_auth: token
target_files: [targets.d/*.yml, more.yml]
`,
		"secrets/noc":     "PW",
		"targets.d/b.yml": "- {name: b, uri: 'unix:/run/b'}\n",
		"targets.d/a.yml": "- {name: a, uri: 'https://[2001:db8::1]/RPC', auth: noc}\n- {name: a2, uri: 'https://Sbc1.Example.net/RPC', auth: noc}\n",
		"more.yml":        "# no targets now\n",
	})
	cfg, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Target != nil || len(cfg.Targets) != 4 || cfg.Web.MaxRequests != 44 {
		t.Fatalf("target %v, targets %v, at most %d requests", cfg.Target, cfg.Targets, cfg.Web.MaxRequests)
	}
	var names []string
	for _, target := range cfg.Targets {
		names = append(names, target.Name)
	}
	if !slices.Equal(names, []string{"sbc1", "a", "a2", "b"}) {
		t.Errorf("the targets are %v", names)
	}
	sbc1 := cfg.Targets[0]
	if sbc1.URI.Address != "https://192.0.2.10:5061/RPC" || sbc1.AuthName != "noc" || sbc1.HTTP == nil || sbc1.XHTTPProm == nil || sbc1.Labels["role"] != "sbc" ||
		len(sbc1.Modules) != 2 || sbc1.Module("") != sbc1.Modules[0] || sbc1.Module("default") != sbc1.Modules[1] || sbc1.Module("other") != nil {
		t.Errorf("target %+v", sbc1)
	}
	if want := filepath.Join(dir, "c.yml") + ":26"; sbc1.Origin != want {
		t.Errorf("target sbc1 is from %s, want %s", sbc1.Origin, want)
	}
	if cfg.Targets[1].HTTP != sbc1.HTTP || cfg.Targets[2].HTTP != sbc1.HTTP {
		t.Error("targets with the same auth have HTTP clients of their own")
	}
	slow, module := sbc1.Modules[0], sbc1.Modules[1]
	if slow.Timeout != 30*time.Second || slow.Auto || slow.Settings.MaxSeries != 100_000 || slow.Settings.NoLegacySeries {
		t.Errorf("module slow is %+v", slow)
	}
	if module.Timeout != 3*time.Second || !module.Auto || module.Settings.MaxSeries != 5 || !module.Settings.NoLegacySeries ||
		!slices.Equal(module.Settings.StatsGroups, []string{"script", "core"}) || len(module.Settings.DialogProfiles) != 2 ||
		!slices.Equal(methodsOf(module.Named), []string{"dispatcher.list", "htable.get", "dlg.profile_get_size"}) || len(module.Set) != 8 {
		t.Errorf("module default is %+v with the methods %v", module, methodsOf(module.Named))
	}
	if other := cfg.Targets[3]; other.HTTP != nil || other.Modules[0] != module || other.SettingName(module, "timeout") != "timeout of module default" ||
		other.SettingName(module, "uri") != "uri of target b" {
		t.Errorf("target %+v", other)
	}
}

// keys matches the lists of the keys of a file and of a module, which docs/configuring.md has too.
var keys = regexp.MustCompile(`auths, [a-z_, ]*targets|custom_metrics, dialog_profiles, [a-z_, ]*timeout|dialog_profiles, [a-z_, ]*timeout`)

// TestFileErrors has the whole errors of files that are wrong. FILE stands for the path of the file, and DIR for its directory.
func TestFileErrors(t *testing.T) {
	const target = "targets: [{name: a, uri: 'unix:/x'}]\n"
	for _, test := range []struct {
		content string
		args    []string
		want    string
	}{
		{"", nil, "FILE:1: the file is empty"},
		{"# nothing\n", nil, "FILE:1: the file is empty"},
		{"a: [\n", nil, "FILE:2: did not find expected node content"},
		{"a: 1\n\n- b\n", nil, "FILE:3: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a:\n  b: [1, 2\n  c: d\n", nil, "FILE:2: did not find expected ',' or ']': a bracket or brace is not closed, or a comma is missing"},
		{"a: 1\nb: {c: 1\n", nil, "FILE:2: did not find expected ',' or '}': a bracket or brace is not closed, or a comma is missing"},
		{"a: 1\nb: !x!y z\n", nil, "FILE:2: found undefined tag handle"},
		{"a: 1\nb: 2\n c: 3\n", nil, "FILE:3: mapping values are not allowed in this context: check the indentation of this line, and that the line before has a space after its colon; put a text that contains a colon and a space in quotes"},
		{"\tx: 1\n", nil, "FILE:1: found character that cannot start any token: indent with spaces, not with tabs, and put a text that begins with @, ` or % in quotes"},
		// The YAML library has the line in which the list or the mapping begins.
		{"a: 1\nb:\n  - c: 1\n    d: 2\n   e: 3\n  - c: 4\n", nil, "FILE:5: did not find expected '-' indicator: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\nb:\n    c: 1\n\n  d: 2\n", nil, "FILE:5: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\nb:\n    c: 1\n  d: 2", nil, "FILE:4: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\n-\nb: 2\n", nil, "FILE:2: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\nb:\n  c: [1,\n    2]\n d: 3\n", nil, "FILE:5: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\nb:\n  - c: 1\n\td: 2\n", nil, "FILE:4: found a tab character that violates indentation: indent with spaces"},
		{"a: 1\n---\nb:\n    c: 1\n  d: 2\n", nil, "FILE:5: did not find expected key: all keys of a mapping, and all elements of a list, must begin in the same column; a quotation mark may be missing in a line before"},
		{"a: 1\nb: 'c\nd: e\n", nil, "FILE:2: found unexpected end of stream: a quotation mark has no second one"},
		{"a: 1\nb:2\nc: 3\n", nil, "FILE:2: could not find expected ':': a key needs a colon and a space after it; check the indentation of this line"},
		{"a: *.yml\n", nil, "FILE:1: did not find expected alphabetic or numeric character: put a text that begins with * or & in quotes"},
		{"a\x00: 1\n", nil, "FILE:1: the file has the character U+0000, which is not allowed"},
		{"a: \ufffe\n", nil, "FILE:1: the file has the character U+FFFE, which is not allowed"},
		{"a: \uffff\n", nil, "FILE:1: the file has the character U+FFFF, which is not allowed"},
		{"# \ufffd \u0085\r\ntargets: []\r\n", nil, "<nil>"},
		{"!x {}\n", nil, "FILE:1: a value must not have a YAML tag: put a text that begins with ! in quotes"},
		{"[]\n", nil, "FILE:1: must be a mapping with the keys KEYS"},
		{"\n--- ~\n", nil, "FILE:2: the file is empty"},
		{"targets: []\n---\ntargets: []\n", nil, "FILE:2: the file must be one YAML document"},
		{"target: []\n", nil, `FILE:1: unknown key "target", allowed are KEYS`},
		{"targets: []\ntargets: []\n", nil, `FILE:2: the key "targets" is repeated; it is also in line 1`},
		{"modules:\n  a: &a {timeout: 1s}\n  b:\n    <<: *a\n", nil, "FILE:4: a key must be a plain word"},
		{"? [a]\n: 1\n", nil, "FILE:1: a key must be a plain word"},
		{"modules: &a {x: *a}\n", nil, `FILE:1: unknown key "x", allowed are KEYS`},

		{"modules: {'a b': {}}\n", nil, "FILE:1: the name of a module must match ^[A-Za-z0-9][A-Za-z0-9._-]*$ and must have at most 128 bytes"},
		{"modules:\n  a:\n    methods: core.uptime\n", nil, "FILE:3: methods: must be a list, for example [a, b]"},
		{"modules:\n  a:\n    methods: []\n", nil, `FILE:3: module "a": methods: must name at least one method, or auto`},
		{"modules:\n  a:\n    methods: [core.uptime, core.uptime]\n", nil, `FILE:3: methods: the list has "core.uptime" twice`},
		{"modules:\n  a:\n    methods: [htable.get]\n", nil, `FILE:3: module "a": methods: htable.get needs htable_keys too, which names what to read`},
		{"modules:\n  a:\n    short: [core.uptime]\n", nil, `FILE:3: module "a": short: "core.uptime" has no short form; the methods with one are dispatcher.list, pkg.stats, pl.list, uac.reg_dump`},
		{"modules:\n  a:\n    timeout: 5\n", nil, `FILE:3: timeout: "5" is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms`},
		{"modules:\n  a:\n    max_series: -1\n", nil, `FILE:3: max_series: "-1" is not a whole number from 0 to 2147483647`},
		{"modules:\n  a:\n    timeout: [5s]\n", nil, "FILE:3: timeout: must be a text, which must not be empty"},
		{"modules:\n  a:\n    legacy_series: 'yes'\n", nil, "FILE:3: legacy_series: must be true or false"},
		{"modules:\n  a:\n    legacy_series: 'true'\n", nil, "FILE:3: legacy_series: must be true or false"},
		{"modules:\n  a:\n    legacy_series: [true]\n", nil, "FILE:3: legacy_series: must be true or false"},
		{"modules:\n  a:\n    htable_keys: [calls]\n", nil, `FILE:3: "calls" names no key of a hash table, use table=>key or table:key`},
		{"modules: {a: {hosts: auto}}\n", nil, `FILE:1: unknown key "hosts", allowed are KEYS`},
		{"modules: {a: {host: true}}\n", nil, `FILE:1: host: "true" is not one of auto, on, full, off`},
		{"modules: {a: {sip: off}}\n", nil, "FILE:1: sip: must be a mapping, for example {sockets: auto}; it has the keys ca_file, server_name, sockets, timeout"},
		{"modules: {a: {sip: {timeout: 1s}}}\n", nil, "FILE:1: sip must have the key sockets: auto, off or a list of URIs"},
		{"modules: {a: {sip: {sockets: on}}}\n", nil, `FILE:1: must be auto, off or a list of URIs such as ["sip:192.0.2.1:5060"]`},
		{"modules: {a: {sip: {sockets: []}}}\n", nil, "FILE:1: must have at least one URI; off switches probes off"},
		{"modules: {a: {sip: {sockets: ['sip:u@h']}}}\n", nil, `FILE:1: "sip:u@h" is not the URI of a SIP socket: use sip:host:port, sip:host:port;transport=tcp, or sips:host:port for TLS; the port is 5060 or 5061 by default`},
		{"modules: {a: {sip: {sockets: auto, timeout: 0s}}}\n", nil, `FILE:1: timeout: "0s" is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms`},
		{"modules: {a: {sip: {sockets: auto, ca_file: c.yml}}}\n", nil, "FILE:1: FILE has no certificate in PEM"},
		{"targets: [{name: a, uri: 'unix:/x', sip: []}]\n", nil, "FILE:1: must have at least one URI; a target without the key sip has the sockets of its modules"},
		{"targets: [{name: a, uri: 'unix:/x', sip: ['sip:h']}]\n", nil, "FILE:1: none of the modules of the target has the key sip, so that its SIP sockets would not be probed"},
		{"modules: {default: {methods: [auto]}}\n" + target, []string{"-m", "core.uptime", "-t", "1s"},
			"FILE:1: the file has the module default, so the command line must not have --kamailio.methods, --kamailio.timeout"},

		// errors must not contain a secret that is not in quotes, or in the wrong place
		{"a: 1\nb: *PW\n", nil, "FILE:2: the alias has no anchor: put a text that begins with * in quotes"},
		{"auths: {a: {bearer_token: !PW }}\n", nil, "FILE:1: a value must not have a YAML tag: put a text that begins with ! in quotes"},
		{"auths: {a: {bearer_token: &PW}}\n", nil, "FILE:1: bearer_token: must be a text, which must not be empty"},
		{"auths: {a: {basic_auth: {username: u, password:PW}}}\n", nil, "FILE:1: unknown key, allowed are password, password_file, username, username_file"},
		{"auths: {a: {basic_auth: {PW: 1, PW: 2}}}\n", nil, "FILE:1: unknown key, allowed are password, password_file, username, username_file\nFILE:1: the key is repeated; it is also in line 1"},
		{"auths: {a b: {}}\n", nil, "FILE:1: the name of an auth must match ^[A-Za-z0-9][A-Za-z0-9._-]*$ and must have at most 128 bytes"},
		{"auths: {a: {authorization: {user: PW}}}\n", nil, "FILE:1: unknown key, allowed are credentials, credentials_file, type"},
		{"auths: {a: {bearer_token_file: [PW]}}\n", nil, "FILE:1: bearer_token_file: must be a text, which must not be empty"},
		{"auths: {a: {http_headers: {X: {secrets: [[PW]]}}}}\n", nil, "FILE:1: secrets: must be a text, which must not be empty"},
		{"auths: {a: {tls_config: {min_version: TLS13, max_version: TLS12, PW: 1}}}\n", nil,
			"FILE:1: unknown key, allowed are ca, ca_file, cert, cert_file, insecure_skip_verify, key, key_file, max_version, min_version, server_name"},
		{"auths: {a: {tls_config: {min_version: TLS12, max_version: TLS12}}}\n", nil, "<nil>"},
		{"auths: {a: {tls_config: {min_version: TLS12, max_version: TLS13}}}\n", nil, "<nil>"},
		{"auths: {a: {tls_config: {min_version: TLS13}}}\n", nil, "<nil>"},
		{"auths: {a: {tls_config: {server_name: [PW]}}}\n", nil, "FILE:1: server_name: must be a text, which must not be empty"},
		{"auths: {a: {http_headers: {'X PW': {}}}}\n", nil, "FILE:1: the key is not the name of an HTTP header"},
		{"auths: {a: {http_headers: {X-Key: {}, x-key: {}}}}\n", nil, "FILE:1: the header is repeated; upper and lower case are the same"},
		{"auths: {a: {http_headers: {X-Key: {values: [\"PW\\n\"]}}}}\n", nil, "FILE:1: values: must be a text without control characters, for example line breaks"},
		{"auths: {a: {bearer_token: \"PW\\n\"}}\n", nil, "FILE:1: must be a text without control characters, for example line breaks"},
		{"auths: {a: {hosts: []}}\n", nil, "FILE:1: hosts must have at least one element"},
		{"auths: {a: {hosts: ['::ffff:192.0.2.0/120', '[h']}}\n", nil, `FILE:1: "::ffff:192.0.2.0/120" is not a network such as 192.0.2.0/24` + "\n" +
			`FILE:1: "[h" is not a host name, an address or a network; it must not have a port or wildcards`},
		{"auths: {a: {hosts: [192.0.2.1, '::ffff:192.0.2.1']}}\n", nil, `FILE:1: hosts: the list has "::ffff:192.0.2.1" twice`},
		{"auths: {a: {tls_config: {min_version: TLS13, max_version: TLS12}}}\n", nil, "FILE:1: min_version must not be above max_version"},
		{"auths: {a: {tls_config: {cert_file: c.yml}}}\n", nil, `FILE:1: auth "a": exactly one of key or key_file must be configured when a client certificate is configured`},
		{"auths: {a: {tls_config: {ca_file: c.yml}}}\n", nil, `FILE:1: auth "a": unable to use specified CA cert file FILE`},
		{"auths: {a: {tls_config: {cert: PW, key: PW}}}\n", nil, `FILE:1: auth "a": unable to use specified client cert (inline) & key (inline): tls: failed to find any PEM data in certificate input`},

		{"custom_metrics: {a b: {}}\n", nil, "FILE:1: the name of an entry of custom_metrics must match ^[A-Za-z0-9][A-Za-z0-9._-]*$ and must have at most 128 bytes"},
		{"custom_metrics: {a: {method: core.uptime, args: [[x]], metrics: []}}\n", nil, "FILE:1: an argument must be a text or a number"},
		{"custom_metrics: {a: {method: core.uptime}}\n", nil, "FILE:1: an entry of custom_metrics must have the keys method and metrics"},
		{"custom_metrics: {a: {method: core.uptime, metrics: []}}\n", nil, "FILE:1: an entry of custom_metrics must have at least one metric"},
		{"custom_metrics: {a: {method: core.uptime, rows: [x], metrics: []}}\n", nil, "FILE:1: rows: must be a text, which must not be empty"},
		{"custom_metrics: {a: {method: core.uptime, metrics: [{name: [x]}]}}\n", nil, "FILE:1: name: must be a text, which must not be empty"},
		{"custom_metrics: {a: {method: core.uptime, metrics: [{name: x, value: '1', labels: {a: [x]}}]}}\n", nil, "FILE:1: must be a text, which must not be empty"},
		{"modules: {a: {custom_metrics: [x]}}\n", nil, `FILE:1: there is no entry "x" in custom_metrics; the entries are none`},
		{"modules: {a: {custom_metrics: [[x]]}}\n", nil, "FILE:1: custom_metrics: must be a text, which must not be empty"},

		{"targets: [{uri: 'unix:/x'}, {name: a}]\n", nil, "FILE:1: the target must have the key name\nFILE:1: the target must have the key uri"},
		{"targets:\n- {name: a, uri: ftp}\n", nil, `FILE:2: "ftp" is not the URI of a Kamailio: use unix:/path, unixd:/path (datagram), tcp://host:port or udp://host:port for ctl; http://host:port/RPC, https://, jsonrpc+unixgram:/path, jsonrpc+tcp:// or jsonrpc+udp:// for jsonrpcs`},
		{"targets:\n- {name: a, uri: 'http://u:PW@h/RPC'}\n", nil, `FILE:2: "http:…" is not the URI of a Kamailio: a URL must not contain a password, because process lists and logs show URLs`},
		{"targets:\n- {name: a, uri: 'unix:/x'}\n- {name: a, uri: 'unix:/y'}\n", nil, `FILE:3: the name "a" is not unique: the target in FILE:2 has it too`},
		{"targets: [{name: 'a/b', uri: 'unix:/x'}]\n", nil, "FILE:1: the name of a target must match ^[A-Za-z0-9][A-Za-z0-9._-]*$ and must have at most 128 bytes"},
		{"targets: [{name: " + strings.Repeat("x", 129) + ", uri: 'unix:/x'}]\n", nil, "FILE:1: the name of a target must match ^[A-Za-z0-9][A-Za-z0-9._-]*$ and must have at most 128 bytes"},
		{"targets: [{name: a, uri: 'unix:/x', modules: [none]}]\n", nil, `FILE:1: there is no module "none"; the modules are default`},
		{"targets: [{name: a, uri: 'unix:/x', modules: []}]\n", nil, "FILE:1: a target must have at least one module; without the key modules it has the module default"},
		{"modules: {b: {methods: [ctl.connections]}}\ntargets: [{name: a, uri: 'http://h/RPC', modules: [b]}]\n", nil,
			`FILE:2: module "b" has the method ctl.connections, which is not answered over JSON-RPC, or only in part: use a socket of the Kamailio module ctl, or a module without the method`},
		{"targets: [{name: a, uri: 'unix:/x', labels: {__address__: h}}]\n", nil, `FILE:1: the label "__address__" is not allowed, because labels that begin with __ configure Prometheus`},
		{"targets: [{name: a, uri: 'unix:/x', labels: {__scheme__: h, job: x, instance: y}}]\n", nil,
			`FILE:1: the label "__scheme__" is not allowed, because labels that begin with __ configure Prometheus` + "\n" +
				`FILE:1: the label "job" is not allowed: Prometheus or the exporter sets it` + "\n" +
				`FILE:1: the label "instance" is not allowed: Prometheus or the exporter sets it`},
		{"targets: [{name: a, uri: 'unix:/x', labels: {a-b: x}}]\n", nil, `FILE:1: "a-b" is not the name of a label: it must match [a-zA-Z_][a-zA-Z0-9_]*`},
		{"targets: [{name: a, uri: 'unix:/x', labels: {a: \"x\\ny\"}}]\n", nil, "FILE:1: must be a text without control characters, for example line breaks"},
		{"targets:\n", nil, "FILE:1: must be a list of targets, for example [{name: sbc1, uri: 'unix:/run/kamailio/kamailio_ctl'}], or [] for none"},
		{"target_files: [c.yml]\n", nil, "FILE:1: must be a list of targets, for example [{name: sbc1, uri: 'unix:/run/kamailio/kamailio_ctl'}], or [] for none"},
		{"target_files: [c.yml/*.yml]\n", nil, "FILE:1: open FILE: not a directory"},
		{"targets: [{name: a, uri: 'unix:/x', labels: {a: [x]}}]\n", nil, "FILE:1: must be a text, which must not be empty"},
		{"targets: [{name: a, uri: 'unix:/x', xhttp_prom_url: 'x'}]\n", nil, "FILE:1: this is not the URL of a page, use for example http://127.0.0.1:5060/metrics"},
		{"listen: !x 1\n? [x]\n: 1\nb: 1\nb: 2\nc: 1\n", nil,
			"FILE:1: a value must not have a YAML tag: put a text that begins with ! in quotes\nFILE:2: a key must be a plain word\n" +
				"FILE:4: unknown key \"b\", allowed are KEYS\nFILE:5: the key \"b\" is repeated; it is also in line 4\nFILE:6: unknown key \"c\", allowed are KEYS"},
		{"target_files: [nosuch.yml]\n", nil, "FILE:1: open DIR/nosuch.yml: no such file or directory"},
		{"target_files: [.]\n", nil, "FILE:1: DIR is a directory, not a file"},
		{"a: 1\nb: \"x\x01\"\n", nil, "FILE:2: the file has the character U+0001, which is not allowed"},
		{"a: 1\nb: \xff\n", nil, "FILE:2: the file must be a text in UTF-8"},
		{"target_files: ['[']\n", nil, `FILE:1: the pattern "[" is not valid`},

		{"target_files: [[x]]\n", nil, "FILE:1: target_files: must be a text, which must not be empty"},
		{"auths: {noc: {x: PW}}\ntargets: [{name: a, uri: 'http://h/RPC', auth: noc}]\n", nil,
			"FILE:1: unknown key, allowed are authorization, basic_auth, bearer_token, bearer_token_file, enable_http2, follow_redirects, hosts, http_headers, tls_config"},

		{"targets: [{name: a, uri: 'http://h/RPC', auth: [noc]}]\n", nil, "FILE:1: auth: must be a text, which must not be empty"},
		{"auths: {noc: {}, other: {}}\ntargets: [{name: a, uri: 'http://h/RPC', auth: none}]\n", nil, `FILE:2: there is no auth "none"; the auths are noc, other`},
		{"auths: {noc: {}}\ntargets: [{name: a, uri: 'unix:/x', xhttp_prom_url: 'http://[::1/', xhttp_prom_auth: noc}]\n", nil,
			"FILE:2: xhttp_prom_auth needs a xhttp_prom_url that begins with http:// or https://"},
		{"targets: [{name: a, uri: 'http://h/RPC', auth: noc}]\n", nil, `FILE:1: there is no auth "noc"; the file of --config.file has no auths`},
		{"auths: {noc: {bearer_token: PW}}\ntargets: [{name: a, uri: 'unix:/x', auth: noc}]\n", nil, "FILE:2: auth needs a uri that begins with http:// or https://"},
		{"auths: {noc: {bearer_token: PW}}\ntargets: [{name: a, uri: 'http://h/RPC', xhttp_prom_auth: noc}]\n", nil, "FILE:2: xhttp_prom_auth needs a xhttp_prom_url that begins with http:// or https://"},
		{"auths: {noc: {hosts: [192.0.2.0/24], bearer_token: PW}}\ntargets: [{name: a, uri: 'http://198.51.100.1/RPC', auth: noc}]\n", nil,
			`FILE:2: auth "noc" must not be sent to 198.51.100.1, which is not in its hosts: add it to them in the file of --config.file`},
		{"auths: {noc: {hosts: ['h:80', 'a/b', '*.x']}}\n", nil, `FILE:1: "h:80" is not a host name, an address or a network; it must not have a port or wildcards` + "\n" +
			`FILE:1: "a/b" is not a network such as 192.0.2.0/24` + "\n" + `FILE:1: "*.x" is not a host name, an address or a network; it must not have a port or wildcards`},
		{"auths: {noc: {proxy_url: 'http://PW'}}\n", nil, "FILE:1: proxy_url is not allowed in an auth: a proxy would receive the credentials"},
		{"auths: {noc: {proxy_from_environment: true, oauth2: {client_secret: PW}}}\n", nil, "FILE:1: proxy_from_environment is not allowed in an auth: a proxy would receive the credentials\n" +
			"FILE:1: oauth2 is not allowed in an auth: it would send credentials to another host"},
		{"auths: {noc: {follow_redirects: true}}\n", nil, "FILE:1: follow_redirects must not be true in an auth: a redirect could send the credentials to another host"},
		{"auths: {noc: {basic_auth: {user: PW}}}\n", nil, `FILE:1: unknown key, allowed are password, password_file, username, username_file`},
		{"auths: {noc: {basic_auth: {password: [PW]}}}\n", nil, "FILE:1: password: must be a text, which must not be empty"},
		{"auths: {noc: {basic_auth: {username: x, password: PW}, bearer_token: PW}}\n", nil, `FILE:1: auth "noc": at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured`},
		{"auths: {noc: {basic_auth: {password_file: nosuch}}}\n", nil, "FILE:1: open DIR/nosuch: no such file or directory"},
		{"auths: {noc: {basic_auth: {password_file: .}}}\n", nil, "FILE:1: DIR is a directory, not a file"},
		{"auths: {noc: {tls_config: {min_version: 1.2}}}\n", nil, "FILE:1: must be one of TLS10, TLS11, TLS12, TLS13"},
		{"auths: {noc: {http_headers: {authorization: {values: [PW]}}}}\n", nil, "FILE:1: the header Authorization must not be set"},
		{"auths: {noc: {bearer_token: $PW}}\n", nil, "FILE:1: a value that begins with $ stands for an environment variable, which needs --config.expand-environment: set that flag, or put the secret into a file"},
		{"auths: {noc: {bearer_token: $NOT_SET_PW}}\n", []string{"--config.expand-environment"}, "FILE:1: the environment variable with this name is not set, or empty"},
		{"auths: {noc: {bearer_token: $a-PW}}\n", []string{"--config.expand-environment"}, "FILE:1: a value that begins with $ must be the name of an environment variable: put other secrets into a file"},
		{target, []string{"--kamailio.xhttp-prom-url=http://h/"}, "--kamailio.xhttp-prom-url: the flag is for the target of --kamailio.scrape-uri, which is not given; a target of --config.file has the keys auth and xhttp_prom_url instead"},
	} {
		dir := writeFiles(t, map[string]string{"c.yml": test.content})
		file := filepath.Join(dir, "c.yml")
		_, err := Parse(append([]string{"--config.file", file}, test.args...))
		got := strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(err), file, "FILE"), dir, "DIR")
		got = keys.ReplaceAllString(got, "KEYS")
		if got != test.want {
			t.Errorf("%q: error\n%s\nwant\n%s", test.content, got, test.want)
		}
		wrong, ok := errors.AsType[*FileError](err)
		if ok != strings.HasPrefix(test.want, "FILE") {
			t.Errorf("%q: the error is a FileError: %t", test.content, ok)
		}
		if ok && (len(wrong.Faults()) != strings.Count(test.want, "\n")+1 || errors.Join(wrong.Faults()...).Error() != err.Error()) {
			t.Errorf("%q: the faults are %q", test.content, wrong.Faults())
		}
		if strings.Contains(got, "PW") {
			t.Errorf("%q: the error has the secret: %s", test.content, got)
		}
	}
}

// TestTargetFilesCannotUseAuthsForOtherHosts has files of target_files that name auths for hosts which the main file does not list.
func TestTargetFilesCannotUseAuthsForOtherHosts(t *testing.T) {
	for target, want := range map[string]string{
		"{name: a, uri: 'http://192.0.2.1/RPC', auth: any}":                                                    `auth "any" has no hosts, so that a target of target_files cannot use it: add 192.0.2.1 to its hosts in the file of --config.file`,
		"{name: a, uri: 'http://evil.example.net/RPC', auth: noc}":                                             `auth "noc" must not be sent to evil.example.net`,
		"{name: a, uri: 'http://192.0.2.1.evil.example.net/RPC', auth: noc}":                                   `auth "noc" must not be sent to 192.0.2.1.evil.example.net`,
		"{name: a, uri: 'http://sbc1.example.net./RPC', auth: noc}":                                            `auth "noc" must not be sent to sbc1.example.net.`,
		"{name: a, uri: 'http://[::ffff:198.51.100.7]/RPC', auth: noc}":                                        `auth "noc" must not be sent to ::ffff:198.51.100.7`,
		"{name: a, uri: 'http://192.0.2.1/RPC', xhttp_prom_url: 'http://198.51.100.7/', xhttp_prom_auth: noc}": `auth "noc" must not be sent to 198.51.100.7`,
		"{name: a, uri: 'http://192.0.2.1/RPC', auth: noc}":                                                    "",
		"{name: a, uri: 'http://[::ffff:192.0.2.1]:81/RPC', auth: noc}":                                        "",
		"{name: a, uri: 'https://SBC1.example.net/RPC', auth: noc}":                                            "",
	} {
		dir := writeFiles(t, map[string]string{
			"c.yml": "auths:\n  noc: {hosts: [192.0.2.0/24, sbc1.example.net], bearer_token: PW}\n  any: {bearer_token: PW}\ntarget_files: [t.yml]\n",
			"t.yml": "- " + target + "\n",
		})
		_, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
		if want == "" && err != nil || want != "" && !strings.Contains(fmt.Sprint(err), filepath.Join(dir, "t.yml")+":1: "+want) {
			t.Errorf("%s: error %v, want %q", target, err, want)
		}
	}
}

// TestEqual changes one thing at a time.
func TestEqual(t *testing.T) {
	const content = `
modules: {default: {methods: [core.uptime], sip: {sockets: auto}}, slow: {methods: [tm.stats], sip: {sockets: auto}}}
auths: {noc: {bearer_token: one}, other: {bearer_token: one}}
targets: [{name: a, uri: 'http://h/RPC', auth: noc, labels: {x: y}, sip: ['sip:h'], xhttp_prom_url: 'http://h/m', xhttp_prom_auth: other}]
`
	first, err := load(t, content)
	if err != nil {
		t.Fatal(err)
	}
	for change, equal := range map[string]bool{
		"y}, sip=>z}, sip":                                     true,
		"auth: noc, labels=>auth: other, labels":               false, // /probe?debug=true shows the name
		"name: a=>name: b":                                     false,
		"http://h/RPC=>http://h:81/RPC":                        false,
		"{default: {methods=>{default: {timeout: 3s, methods":  false,
		"sip:h=>sip:i":                                         false,
		", sip: ['sip:h']=>":                                   false,
		"http://h/m=>http://h/n":                               false,
		"[core.uptime]=>[core.uptime, sl.stats]":               false,
		"uri: 'http=>modules: [slow], uri: 'http":              false,
		"noc: {bearer_token: one=>noc: {bearer_token: two":     false,
		"other: {bearer_token: one=>other: {bearer_token: two": false,
		", auth: noc=>":                                        false,
	} {
		from, to, _ := strings.Cut(change, "=>")
		if strings.Count(content, from) != 1 {
			t.Fatalf("%q is not once in the file", from)
		}
		second, err := load(t, strings.Replace(content, from, to, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got := first.Targets[0].Equal(second.Targets[0]); got != equal {
			t.Errorf("%s: equal is %t", change, got)
		}
	}
}

// TestSecretsAreNotPrinted formats a configuration as a careless log line would.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Setenv("TOKEN", "PW-token")
	cfg, err := load(t, "auths: {a: {basic_auth: {username: u, password: PW-1}}, b: {bearer_token: $TOKEN}}\n"+
		"targets: [{name: a, uri: 'http://h/', auth: a, xhttp_prom_url: 'http://h/', xhttp_prom_auth: b}]\n", "--config.expand-environment")
	if err != nil {
		t.Fatal(err)
	}
	target := cfg.Targets[0]
	if text := fmt.Sprintf("%v %+v %s", target, *target, target.SettingName(target.Modules[0], "auth")); strings.Contains(text, "PW-") {
		t.Errorf("the text has a secret: %s", text)
	}
	if string(target.pageAuth.Authorization.Credentials) != "PW-token" || string(target.auth.BasicAuth.Password) != "PW-1" {
		t.Error("the secrets are not those of the file")
	}
}

// TestParseAgainLeaksNothing parses a file often, as reloads do.
func TestParseAgainLeaksNothing(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"c.yml": "auths: {a: {basic_auth: {username: u, password_file: p}}}\ntargets: [{name: a, uri: 'https://h/', auth: a}]\n", "p": "x",
	})
	before := runtime.NumGoroutine()
	for range 100 {
		if _, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")}); err != nil {
			t.Fatal(err)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// faultLine matches a line of an error of a file.
var faultLine = regexp.MustCompile(`^/.*/[ct]\.yml:[1-9][0-9]*: .`)

// FuzzFile reads files, as a configuration file and as a file of target_files: it must not panic, and each line of an error must have
// the file and the line.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"modules: {a: &a {methods: [auto]}, b: *a}\n", "targets: [{name: a, uri: 'unix:/x', labels: {a: b}}]\n",
		"auths: {a: {basic_auth: {username: x, password: y}, hosts: [h]}}\n", "a: &a [*a]\n", "? [\n", "--- {}\n--- {}\n",
		"x: &a [&b [*a, *a], *b]\ny: [*b, *b]\n", "- {name: a, uri: 'http://h/', auth: a, labels: {a: \"\\x01\"}}\n", "a: *b", "\ufeff- !x a", "a: \x00", "<<: {}",
		"auths: {a: {tls_config: {min_version: TLS12, ca: x}, http_headers: {X: {values: [$a]}}}}",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	file, main := filepath.Join(dir, "t.yml"), filepath.Join(dir, "c.yml")
	if err := os.WriteFile(main, []byte("auths: {a: {hosts: [h]}}\ntarget_files: [t.yml]\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	module := parse(f).Target.Modules[0]
	f.Fuzz(func(t *testing.T, content string) {
		if strings.Contains(content, "_file") { // would read files of this machine
			return
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, main} {
			_, err := loadFile(path, fileOptions{module: module})
			if err == nil {
				continue
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !faultLine.MatchString(line) {
					t.Errorf("a line of the error is %q", line)
				}
			}
		}
	})
}
