package cli

import (
	"runtime/debug"
	"strings"

	"github.com/prometheus/common/version"
)

// useModuleVersion sets the version that the programs print and export to that of
// the module, as the go command recorded it, unless the linker has set it (make
// build and releases do). It is what go install PATH@VERSION gives.
func useModuleVersion() {
	if version.Version != "" {
		return
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		version.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
}
