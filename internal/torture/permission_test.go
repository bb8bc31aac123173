//go:build linux

package torture

import (
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

// TestPermissionTakenAway takes the permission to use ctl's socket away, and gives it back, while four clients scrape. The exporter
// keeps its connection until Kamailio hangs, and connects again when it may.
func TestPermissionTakenAway(t *testing.T) {
	t.Parallel()
	rounds := 1
	if *long {
		rounds = 10
	}
	options := lab.Options{Minimal: true, Destinations: -labDestinations, Config: `modparam("ctl", "mode", 0666)`}
	k := lab.StartTest(t, options)
	w := watch(t, k, options, startAs(t, otherUser(t, k), "-u", k.URI("unix"), "-t", "15s"))
	defer w.startClients(t)()
	for range rounds {
		must(t, os.Chmod(socketOf(k), 0))
		w.awaitScrapes(t)
		w.wantUp(t, 1)
		must(t, k.Pause())
		w.wantUp(t, 0)
		must(t, k.Resume())
		w.wantUp(t, 0)
		if page := w.scrape(t); page[`kamailio_exporter_scrape_error{reason="permission"}`] != 1 {
			t.Error("the reason is not permission")
		}
		must(t, os.Chmod(socketOf(k), 0o666))
		w.recovers(t)
	}
	w.exporter.awaitLog(t, regexp.QuoteMeta(k.URI("unix")), "permission denied")
}

// otherUser returns a user whom permissions bind, who may enter Kamailio's directory. It is nil, this user, unless this is root.
func otherUser(t *testing.T, k *lab.Kamailio) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	must(t, os.Chmod(k.Dir, 0o711))
	const nobody = 65534
	return &syscall.Credential{Uid: nobody, Gid: nobody}
}
