//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// The Debian releases whose Kamailio the lab can start.
const (
	Bookworm = "bookworm" // Kamailio 5.6
	Trixie   = "trixie"   // Kamailio 6.0
	Forky    = "forky"    // Kamailio 6.1; not released yet, so a later Kamailio may replace it
)

// Suites returns the Debian releases whose Kamailio the lab can start, oldest first.
func Suites() []string { return []string{Bookworm, Trixie, Forky} }

// tools are the other programs that tests use, and the Debian package of each.
var tools = map[string]string{
	"amtool":                   "prometheus-alertmanager",
	"prometheus":               "prometheus",
	"prometheus-alertmanager":  "prometheus-alertmanager",
	"prometheus-node-exporter": "prometheus-node-exporter",
	"prometheus-pushgateway":   "prometheus-pushgateway",
	"promtool":                 "prometheus",
	"rtpengine":                "rtpengine-daemon",
	"sipp":                     "sip-tester",
}

// install describes a Kamailio that can be run.
type install struct {
	kamailio, kamcmd string // programs
	modules          string // directory of the modules
	tables           string // directory of empty db_text tables
}

// Fetch puts Debian suite's Kamailio into the user's cache unless it is there, and returns its directory. Nothing is installed
// and root is not needed. The first time, it downloads some 60 MB.
func Fetch(ctx context.Context, suite string) (dir string, err error) {
	set, err := kamailioSet(suite)
	if err != nil {
		return "", err
	}
	if err := set.Unpack(ctx); err != nil {
		return "", fmt.Errorf("%w\n(to use a Kamailio that is installed, set KAMAILIO to its program and KAMAILIO_MODULES to its module directory)", err)
	}
	return set.Dir()
}

// Fetched reports whether Debian suite's Kamailio is in the user's cache already.
func Fetched(suite string) bool {
	set, err := kamailioSet(suite)
	if err != nil {
		return false
	}
	dir, dirErr := set.Dir()
	_, err = os.Stat(dir)
	return dirErr == nil && err == nil
}

// Tool returns the path of another program that tests use, fetched from Debian as Kamailio is: amtool, prometheus,
// prometheus-alertmanager, prometheus-node-exporter, prometheus-pushgateway, promtool, rtpengine or sipp.
func Tool(ctx context.Context, name string) (string, error) {
	pkg, ok := tools[name]
	if !ok {
		return "", fmt.Errorf("no tool %q: there are %q", name, Tools())
	}
	set := debian.Set{Name: pkg, Suite: Bookworm, Packages: []string{pkg}}
	if pkg == "prometheus-alertmanager" {
		set.DataDirs = []string{"prometheus"} // its templates
	}
	for _, tool := range Tools() {
		if tools[tool] == pkg {
			set.Programs = append(set.Programs, tool)
		}
	}
	if err := set.Unpack(ctx); err != nil {
		return "", err
	}
	return set.Program(name)
}

// Tools returns the names of the programs that [Tool] fetches.
func Tools() []string { return slices.Sorted(maps.Keys(tools)) }

func kamailioSet(suite string) (debian.Set, error) {
	if !slices.Contains(Suites(), suite) {
		return debian.Set{}, fmt.Errorf("no suite %q: there are %q", suite, Suites())
	}
	return debian.Set{
		Name:  "kamailio",
		Suite: suite,
		Packages: []string{
			"kamailio", "kamailio-extra-modules", "kamailio-ims-modules", "kamailio-json-modules", "kamailio-presence-modules",
			"kamailio-tls-modules", "kamailio-utils-modules", "kamailio-websocket-modules",
		},
		Programs: []string{"kamailio", "kamcmd"},
		LibDirs:  []string{"kamailio"},
		DataDirs: []string{"kamailio"},
	}, nil
}

// findInstall returns the Kamailio to run: the one that the environment names, or else Debian's from the cache.
func findInstall(ctx context.Context, suite string) (install, error) {
	if program := os.Getenv("KAMAILIO"); program != "" {
		return namedInstall(program, os.Getenv("KAMAILIO_MODULES"))
	}
	dir, err := Fetch(ctx, suite)
	if err != nil {
		return install{}, err
	}
	modules, err := filepath.Glob(filepath.Join(dir, "root/usr/lib/*/kamailio/modules"))
	if err != nil || len(modules) != 1 {
		return install{}, fmt.Errorf("expected one directory of Kamailio modules below %s, found %q: remove the directory to fetch it again", dir, modules)
	}
	return install{
		kamailio: filepath.Join(dir, "bin/kamailio"),
		kamcmd:   filepath.Join(dir, "bin/kamcmd"),
		modules:  modules[0],
		tables:   filepath.Join(dir, "root/usr/share/kamailio/dbtext/kamailio"),
	}, nil
}

// namedInstall describes an installed Kamailio, whose files have the same places relative to each other as in Debian's package.
func namedInstall(program, modules string) (install, error) {
	if modules == "" {
		return install{}, errors.New("KAMAILIO is set but KAMAILIO_MODULES is not: set it to the directory that holds ctl.so, or unset both")
	}
	bin := filepath.Dir(program)
	return install{
		kamailio: program,
		kamcmd:   filepath.Join(bin, "kamcmd"),
		modules:  modules,
		tables:   filepath.Join(bin, "../share/kamailio/dbtext/kamailio"),
	}, nil
}
