//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// alertmanagerData is where Debian's Alertmanager reads its templates. The path is a constant of the program, and nothing is
// installed here.
const alertmanagerData = "/usr/share/prometheus/alertmanager"

// RunAlertmanager starts Debian bookworm's Alertmanager with a configuration file, an absolute path. Its files are in the directory
// dir, which must outlive it. See [StartServer].
func RunAlertmanager(ctx context.Context, file, dir string) (*Server, error) {
	program, err := Tool(ctx, "prometheus-alertmanager")
	if err != nil {
		return nil, err
	}
	if program, err = moveAlertmanager(program, dir); err != nil {
		return nil, fmt.Errorf("prepare Alertmanager: %w", err)
	}
	return StartServer(ctx, program, "--config.file", file, "--storage.path", filepath.Join(dir, "data"),
		"--web.listen-address", address(0), "--cluster.listen-address", "")
}

// moveAlertmanager makes a copy of Alertmanager in a directory that reads its templates from there, and returns a script that runs
// it. In the copy, a path relative to the directory, of the same length, replaces that of the templates.
func moveAlertmanager(script, dir string) (moved string, err error) {
	root := filepath.Join(filepath.Dir(script), "../root")
	program, err := os.ReadFile(filepath.Join(root, "usr/bin/prometheus-alertmanager")) //nolint:gosec // of the cache
	if err != nil {
		return "", err
	}
	const link = "templates"
	path := "." + strings.Repeat("/", len(alertmanagerData)-len("."+link)) + link
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.Symlink(root+alertmanagerData, filepath.Join(dir, link)); err != nil {
		return "", err
	}
	copied := filepath.Join(dir, "program")
	if err := os.WriteFile(copied, bytes.ReplaceAll(program, []byte(alertmanagerData), []byte(path)), 0o700); err != nil { //nolint:gosec // a program
		return "", err
	}
	text, err := os.ReadFile(script) //nolint:gosec // of the cache
	if err != nil {
		return "", err
	}
	run := strings.NewReplacer("root=${0%/*}/../root", "cd '"+dir+"'\nroot="+root, `"$root/./usr/bin/prometheus-alertmanager"`, "./program").Replace(string(text))
	moved = filepath.Join(dir, "alertmanager")
	return moved, os.WriteFile(moved, []byte(run), 0o700) //nolint:gosec // a program
}
