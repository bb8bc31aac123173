//go:build linux

package debian

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// sources are apt sources of one suite, in apt's two formats.
type sources struct {
	list   string // one line an entry, as in sources.list
	deb822 string // one stanza an entry, as in debian.sources
}

// machineSources reads the machine's apt sources from etc (the directory /etc) and returns those that name the
// machine's own release, renamed to suite. So whatever mirror and keys the machine's owner chose are used again.
// Other archives that carry a release's name are told apart later, by their Release file: see preferences.
func machineSources(etc fs.FS, suite string) (sources, error) {
	release, err := codename(etc)
	if err != nil {
		return sources{}, err
	}
	names := []string{"apt/sources.list"}
	for _, pattern := range []string{"apt/sources.list.d/*.list", "apt/sources.list.d/*.sources"} {
		found, err := fs.Glob(etc, pattern)
		if err != nil {
			return sources{}, fmt.Errorf("list apt's sources: %w", err)
		}
		names = append(names, found...)
	}
	var out sources
	for _, name := range names {
		text, err := fs.ReadFile(etc, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a machine has either sources.list or sources.list.d
		}
		if err != nil {
			return sources{}, fmt.Errorf("read apt's sources: %w", err)
		}
		if path.Ext(name) == ".sources" {
			out.deb822 += renameStanzas(string(text), release, suite)
		} else {
			out.list += renameLines(string(text), release, suite)
		}
	}
	if out == (sources{}) {
		return sources{}, fmt.Errorf("no entry for %q with component main in /etc/apt/sources.list or /etc/apt/sources.list.d: add Debian's", release)
	}
	return out, nil
}

// codename returns the name of the machine's Debian release.
func codename(etc fs.FS) (string, error) {
	text, err := fs.ReadFile(etc, "os-release")
	if err != nil {
		return "", fmt.Errorf("find the machine's release: %w", err)
	}
	facts := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		facts[name] = strings.Trim(value, `"'`)
	}
	if facts["ID"] != "debian" || facts["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("this machine runs %q, whose package sources do not lead to Debian's archive", facts["PRETTY_NAME"])
	}
	return facts["VERSION_CODENAME"], nil
}

// debLine matches a one-line entry: options in brackets, URI, suite, components.
var debLine = regexp.MustCompile(`^\s*deb\s+(?:(\[[^]]*])\s+)?(\S+)\s+(\S+)\s+([^#]*)`)

// renameLines returns the binary entries of release in a sources.list, renamed to suite.
func renameLines(text, release, suite string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		m := debLine.FindStringSubmatch(line)
		if m == nil || m[3] != release || !hasWord(m[4], "main") {
			continue
		}
		fmt.Fprintln(&out, "deb", m[1], m[2], suite, "main")
	}
	return out.String()
}

// renameStanzas returns the binary entries of release in a deb822 sources file, renamed to suite.
func renameStanzas(text, release, suite string) string {
	var out strings.Builder
	for _, s := range stanzas(text) {
		if !hasWord(s["types"], "deb") || !hasWord(s["suites"], release) || !hasWord(s["components"], "main") ||
			hasWord(s["enabled"], "no") {
			continue
		}
		s["types"], s["suites"], s["components"] = "deb", suite, "main"
		for _, name := range slices.Sorted(maps.Keys(s)) {
			fmt.Fprintf(&out, "%s: %s\n", name, s[name])
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// stanzas splits a deb822 file. Field names, in which case does not matter, are in small letters; a value keeps its
// continuation lines, as a key written into Signed-By needs them.
func stanzas(text string) []map[string]string {
	var out []map[string]string
	current, last := map[string]string{}, ""
	flush := func() {
		if len(current) > 0 {
			out = append(out, current)
		}
		current = map[string]string{}
	}
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		line := strings.TrimRight(scanner.Text(), " \t\r")
		switch {
		case line == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			current[last] += "\n" + line
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			current[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return out
}

func hasWord(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
