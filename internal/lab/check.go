//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Check makes Debian suite's Kamailio check a configuration without starting it (kamailio -c). The configuration need not have
// the path of the modules. An error has Kamailio's output.
func Check(ctx context.Context, suite, config string) error {
	found, err := findInstall(ctx, suite)
	if err != nil {
		return fmt.Errorf("find a Kamailio: %w", err)
	}
	dir, err := os.MkdirTemp("", "kl")
	if err != nil {
		return fmt.Errorf("make a directory for the configuration: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary directory
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte("#!KAMAILIO\nmpath=\""+found.modules+"\"\n"+config), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if out, err := exec.CommandContext(ctx, found.kamailio, "-c", "-f", file, "-w", dir, "-Y", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("check the configuration: %w\n%s", err, out)
	}
	return nil
}
