//go:build linux

package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// download fetches the archives of the packages and of all they depend on into a directory below work, with an apt that
// knows nothing of this machine but its sources, keys and network settings.
func download(ctx context.Context, work, suite string, packages []string) ([]string, error) {
	entries, err := machineSources(etc, suite)
	if err != nil {
		return nil, err
	}
	network, err := networkSettings(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"apt.conf":               settings(work) + network,
		"preferences":            preferences(suite),
		"sources/debian.list":    entries.list,
		"sources/debian.sources": entries.deb822,
		"state/status":           "", // nothing is installed, so apt takes every dependency
	}
	for _, dir := range []string{"sources", "state/lists/partial", "cache/archives/partial", "none"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o750); err != nil {
			return nil, fmt.Errorf("make a directory for apt: %w", err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write a file for apt: %w", err)
		}
	}
	env := []string{"APT_CONFIG=" + filepath.Join(work, "apt.conf"), "LC_ALL=C.UTF-8"}
	log := filepath.Join(work, "apt.log")
	if err := run(ctx, log, env, "apt-get", "-qq", "update"); err != nil {
		return nil, err
	}
	install := append([]string{"-qq", "--yes", "--no-install-recommends", "--download-only", "install"}, packages...)
	if err := run(ctx, log, env, "apt-get", install...); err != nil {
		return nil, err
	}
	archives, err := filepath.Glob(filepath.Join(work, "cache/archives/*.deb"))
	if err != nil {
		return nil, fmt.Errorf("list the archives: %w", err)
	}
	return archives, nil
}

// settings keep apt inside work. The machine's own configuration is not read: it has hooks that want root or that delete
// archives once they are downloaded.
func settings(work string) string {
	return fmt.Sprintf(`Dir::State "%[1]s/state";
Dir::State::status "%[1]s/state/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "%[1]s/none";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "%[1]s/sources";
Dir::Etc::preferences "%[1]s/preferences";
Dir::Etc::preferencesparts "%[1]s/none";
APT::Sandbox::User "";
Acquire::Languages "none";
`, work)
}

// preferences let packages come from Debian's own archive only, whatever other archives have the suite's name too.
func preferences(suite string) string {
	return fmt.Sprintf("Package: *\nPin: release o=Debian, n=%s\nPin-Priority: 500\n\nPackage: *\nPin: release *\nPin-Priority: -1\n", suite)
}

// networkSettings are the machine's settings of how apt reaches its archives: proxies, certificates, time limits.
func networkSettings(ctx context.Context) (string, error) {
	dump, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return "", fmt.Errorf("read apt's configuration with apt-config dump: %w", err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(dump)) {
		what, isAcquire := strings.CutPrefix(line, "Acquire::")
		if !isAcquire || strings.HasPrefix(what, "IndexTargets") || strings.HasPrefix(what, "Languages") {
			continue // what to download is ours to say
		}
		out.WriteString(line)
	}
	return out.String(), nil
}
