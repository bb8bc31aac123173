package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// targetNames returns the names of the targets of a configuration.
func targetNames(cfg *Config) []string {
	var names []string
	for _, target := range cfg.Targets {
		names = append(names, target.Name)
	}
	return names
}

// TestLimits has files that would need too much time or memory, and checks the last line of their errors.
func TestLimits(t *testing.T) {
	numbers := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const tooMany = "the configuration must not have more than 1000000 values; an alias counts like what it stands for"
	for name, test := range map[string]struct{ content, want string }{
		"aliases of a list":       {"modules: {a: {stats_groups: &l [" + numbers(20_000, "g%d,") + "]}," + numbers(10_000, "m%d: {stats_groups: *l},") + "}", tooMany},
		"aliases of a mapping":    {"modules: {a: &a {timeout: 1s, methods: [auto], max_series: 5}," + numbers(200_000, "m%d: *a,") + "}", tooMany},
		"errors":                  {"targets: [" + numbers(1000, "{name: a%d},") + "]", "the file is not read further after 50 errors"},
		"errors of a mapping":     {"targets: [{" + numbers(1000, "k%d: 1,") + "}]", "the file is not read further after 50 errors"},
		"aliases with errors":     {"targets: [&a {" + numbers(1000, "k%d: 1,") + "}" + strings.Repeat(", *a", 1000) + "]", "the file is not read further after 50 errors"},
		"depth":                   {strings.Repeat("[", 20_000), "exceeded max depth of 10000"},
		"alias of what has it":    {"modules: &a {x: *a}", ""},
		"expression":              {entryWith("'.[]'", "'"+strings.Repeat("1//", 1_000_000)+"1'"), "c.yml:5: a jq expression must have at most 65536 bytes"},
		"longest expression":      {entryWith("'.[]'", "'"+strings.Repeat("1//", 21_800)+"1'"), "<nil>"},
		"largest size":            {strings.Repeat("#", maxFileSize), "c.yml:1: the file is empty"},
		"size":                    {strings.Repeat("#", maxFileSize+1), "c.yml has more than 4194304 bytes"},
		"long list without error": {"modules: {a: {stats_groups: [" + numbers(200_000, "g%d,") + "]}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.content)
			if got := fmt.Sprint(err); !strings.HasSuffix(got, test.want) || strings.Count(got, "\n") > maxErrors {
				t.Errorf("error with %d line breaks, its end is %q, want %q", strings.Count(got, "\n"), got[max(0, len(got)-200):], test.want)
			}
		})
	}
}

// TestLimitsOfTargetFiles has many files with errors, and many large ones.
func TestLimitsOfTargetFiles(t *testing.T) {
	large := "- {name: a%d, uri: 'unix:/x', labels: {a: " + strings.Repeat("x", maxFileSize-100) + "}}\n"
	for name, test := range map[string]struct{ content, want string }{
		"syntax": {"- {name: [", "c.yml:1: the file is not read further after 50 errors"},
		"key":    {"x: 1\n", "c.yml:1: the file is not read further after 50 errors"},
		"size":   {large, "the files of target_files must not have more than 33554432 bytes together"},
	} {
		files := map[string]string{"c.yml": "target_files: ['t/*.yml', 't/*']\n"}
		for i := range 100 {
			content := test.content
			if test.content == large {
				content = fmt.Sprintf(large, i)
			}
			if i < 10 || test.content != large {
				files[fmt.Sprintf("t/%d.yml", i)] = content
			}
		}
		_, err := Parse([]string{"--config.file", filepath.Join(writeFiles(t, files), "c.yml")})
		if got := fmt.Sprint(err); !strings.HasSuffix(got, test.want) || strings.Count(got, "\n") > maxErrors {
			t.Errorf("%s: error with %d line breaks, its end is %q, want %q", name, strings.Count(got, "\n"), got[max(0, len(got)-200):], test.want)
		}
	}
}

// TestNamesOfTargets has the longest name, and names that differ in case only, which are names of different targets.
func TestNamesOfTargets(t *testing.T) {
	long := strings.Repeat("x", 128)
	cfg, err := load(t, "targets: [{name: sbc, uri: 'unix:/a'}, {name: SBC, uri: 'unix:/b'}, {name: 5, uri: 'unix:/c'}, {name: "+long+", uri: 'unix:/d'}]\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := targetNames(cfg), []string{"sbc", "SBC", "5", long}; !slices.Equal(got, want) {
		t.Errorf("the targets are %q, want %q", got, want)
	}
}

// TestTargetFiles checks which files the patterns of target_files match.
func TestTargetFiles(t *testing.T) {
	const first, second = "- {name: a, uri: 'unix:/a'}\n", "- {name: b, uri: 'unix:/b'}\n"
	for name, test := range map[string]struct {
		patterns string
		files    map[string]string
		want     string // names, or a part of the error
	}{
		"no file":                                         {"'*.yaml'", nil, "[]"},
		"no directory":                                    {"'targets.d/*.yml'", nil, "[]"},
		"order of patterns and names":                     {"'b*.yml', 'a*.yml'", map[string]string{"a.yml": first, "b.yml": second}, "[b a]"},
		"file of two patterns":                            {"'t/a.yml', 't/*.yml', './t/../t/a.yml'", map[string]string{"t/a.yml": first, "t/b.yml": second}, "[a b]"},
		"files that begin with a dot":                     {"'t/*'", map[string]string{"t/.a.yml.swp": "\x00", "t/b": second}, "[b]"},
		"directories that begin with a dot":               {"'./t/../t/*/*.yml'", map[string]string{"t/..data/a.yml": first, "t/x/b.yml": second}, "[b]"},
		"directory of the pattern that begins with a dot": {"'.t/?.yml'", map[string]string{".t/a.yml": first, ".t/..a.yml": second}, "[a]"},
		"pattern that begins with a dot":                  {"'t/.a*'", map[string]string{"t/.a.yml": first, "t/.b.yml": second}, "[a]"},
		"directories in the order of paths":               {"'t/*/x.yml'", map[string]string{"t/1/x.yml": first, "t/1-/x.yml": second}, "[b a]"},
		"tag":                                             {"a.t", map[string]string{"a.t": "!x []\n"}, "a.t:1: a value must not have a YAML tag: put a text that begins with ! in quotes"},
		"directory with wildcards":                        {"'t/*/x.yml'", map[string]string{"t/1/x.yml": first, "t/2/x.yml": second}, "[a b]"},
		"empty, with a comment alone, null":               {"'*.t'", map[string]string{"a.t": "", "b.t": "# none\n", "c.t": "---\n", "d.t": second}, "[b]"},
		"byte order mark":                                 {"a.t", map[string]string{"a.t": "\ufeff" + first}, "[a]"},
		"byte order mark in the middle":                   {"a.t", map[string]string{"a.t": first + "\ufeff"}, "a.t:2: the file has the character U+FEFF, which is not allowed"},
		"same name in two files":                          {"a.t, b.t", map[string]string{"a.t": first, "b.t": "\n" + first}, `b.t:2: the name "a" is not unique: the target in DIR/a.t:1 has it too`},
		"two documents":                                   {"a.t", map[string]string{"a.t": first + "---\n" + second}, "a.t:2: the file must be one YAML document"},
		"configuration file":                              {"'*.yml'", nil, "c.yml:1: must be a list of targets"},
		"directory":                                       {"'*'", map[string]string{"a/b": ""}, "c.yml:1: DIR/a is a directory, not a file"},
		"absolute path":                                   {"/no/such/file.yml", nil, "c.yml:1: open /no/such/file.yml: no such file or directory"},
		"name with a line break":                          {"'*.t'", map[string]string{"a\n.t": "x"}, `DIR/a\n.t:1: must be a list of targets`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"c.yml": "target_files: [" + test.patterns + "]\n"}
			for file, content := range test.files {
				files[file] = content
			}
			dir := writeFiles(t, files)
			cfg, err := Parse([]string{"--config.file", filepath.Join(dir, "c.yml")})
			got := strings.ReplaceAll(fmt.Sprint(err), dir, "DIR")
			if err == nil {
				got = fmt.Sprint(targetNames(cfg))
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestDirectoryOfFileIsNoPattern has wildcards in the name of the directory of the configuration file.
func TestDirectoryOfFileIsNoPattern(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		`[a]*\/c.yml`: "target_files: ['*.t']\n",
		`[a]*\/x.t`:   "- {name: right, uri: 'unix:/a'}\n",
		"a/x.t":       "- {name: wrong, uri: 'unix:/a'}\n",
	})
	cfg, err := Parse([]string{"--config.file", filepath.Join(dir, `[a]*\`, "c.yml")})
	if err != nil {
		t.Fatal(err)
	}
	if got := targetNames(cfg); !slices.Equal(got, []string{"right"}) {
		t.Errorf("the targets are %q", got)
	}
}

// TestAbsolutePattern has a pattern with the whole path, and a configuration file in another directory.
func TestAbsolutePattern(t *testing.T) {
	dir := writeFiles(t, map[string]string{"t/x.t": "- {name: x, uri: 'unix:/a'}\n"})
	cfg, err := load(t, "target_files: ['"+dir+"/t/../*/*.t']\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := targetNames(cfg); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the targets are %q", got)
	}
}

// TestFlagsBesideAFile combines flags of a module and of a target with files.
func TestFlagsBesideAFile(t *testing.T) {
	const (
		fleet     = "targets: [{name: a, uri: 'unix:/x'}]\n"
		noTargets = "targets: []\n"
		slow      = "modules: {slow: {methods: [tm.stats]}}\n"
		standard  = "modules:\n  default: {timeout: 3s}\n"
	)
	http := filepath.Join(writeFiles(t, map[string]string{"http.yml": "bearer_token: PW\n"}), "http.yml")
	const given = "FILE:2: the file has the module default, so the command line must not have "
	for _, test := range []struct {
		content string
		args    []string
		want    string // URI and timeout of the target of the flags, or the error
	}{
		{slow, nil, "unix:/var/run/kamailio/kamailio_ctl 5s"},
		{slow, []string{"-u", "unix:/y", "-t", "7s"}, "unix:/y 7s"},
		{standard, nil, "unix:/var/run/kamailio/kamailio_ctl 3s"},
		{standard + fleet, []string{"-u", "unix:/y"}, "unix:/y 3s"},
		{fleet, nil, "none"},
		{fleet, []string{"-t", "7s"}, "none"},
		{noTargets, nil, "none"},
		{"target_files: ['none/*']\n", nil, "none"},
		{standard, []string{"--web.max-requests=9"}, "unix:/var/run/kamailio/kamailio_ctl 3s"},
		{fleet, []string{"-u", "unix:/var/run/kamailio/kamailio_ctl"}, "unix:/var/run/kamailio/kamailio_ctl 5s"},
		{fleet, []string{"-u", "http://h/RPC", "--kamailio.http-config.file", http}, "http://h/RPC 5s"},
		{standard, []string{"-t", "5s"}, given + "--kamailio.timeout"},
		{standard, []string{"--no-kamailio.legacy-series", "--kamailio.shv=a"}, given + "--kamailio.legacy-series, --kamailio.shv"},
		{standard + fleet, []string{"-u", "unix:/y", "-m", "auto"}, given + "--kamailio.methods"},
		{fleet, []string{"--kamailio.http-config.file", http}, "--kamailio.http-config.file: the flag is for the target of --kamailio.scrape-uri, which is not given; a target of --config.file has the keys auth and xhttp_prom_url instead"},
	} {
		dir := writeFiles(t, map[string]string{"c.yml": test.content})
		file := filepath.Join(dir, "c.yml")
		cfg, err := Parse(append([]string{"--config.file", file}, test.args...))
		got := strings.ReplaceAll(fmt.Sprint(err), file, "FILE")
		switch {
		case err != nil:
		case cfg.Target == nil:
			got = "none"
		default:
			got = cfg.Target.URI.String() + " " + cfg.Target.Modules[0].Timeout.String()
		}
		if got != test.want {
			t.Errorf("%q with %q: %s, want %s", test.content, test.args, got, test.want)
		}
	}
}

// TestReadingEnds has counts around each limit. The error is returned once.
func TestReadingEnds(t *testing.T) {
	for _, test := range []struct {
		limits limits
		want   string
	}{
		{limits{values: maxValues}, "<nil>"},
		{limits{values: maxValues + 1}, "c.yml:3: the configuration must not have more than 1000000 values; an alias counts like what it stands for"},
		{limits{bytes: maxBytes}, "<nil>"},
		{limits{bytes: maxBytes + 1}, "c.yml:3: the files of target_files must not have more than 33554432 bytes together"},
		{limits{errors: maxErrors - 1}, "<nil>"},
		{limits{errors: maxErrors}, "c.yml:3: the file is not read further after 50 errors"},
	} {
		n := node{Node: &yaml.Node{Line: 3}, file: "c.yml", limits: &test.limits}
		ended, err := n.ended()
		if fmt.Sprint(err) != test.want || ended != (err != nil) {
			t.Errorf("ended: %t, error %v, want %s", ended, err, test.want)
		}
		if again, err := n.ended(); again != ended || err != nil {
			t.Errorf("%s: a second call returns %t, %v", test.want, again, err)
		}
	}
}

// TestLineOfErrorInALargeFile has the largest file in which the line of an error is searched, and one that is larger, with the line
// in which the list begins.
func TestLineOfErrorInALargeFile(t *testing.T) {
	const content = "a: 1\nb:\n  - c: 1\n    d: 2\n   e: 3\n  - c: 4\n#"
	for size, line := range map[int]string{maxSearched: "5", maxSearched + 1: "3"} {
		_, err := load(t, content+strings.Repeat("x", size-len(content)))
		if want := "c.yml:" + line + ": did not find expected '-' indicator"; !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%d bytes: error %v, want %s", size, err, want)
		}
	}
}
