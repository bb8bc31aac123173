package cli

import (
	"runtime/debug"
	"strings"

	"github.com/prometheus/common/version"
)

// useModuleVersion sets the version of the programs to the module version that the go
// command recorded, for example with go install PATH@VERSION. It does nothing if the
// linker has set the version, as in releases and make build.
func useModuleVersion() {
	if version.Version != "" {
		return
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		version.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
}
