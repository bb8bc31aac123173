//go:build linux

package torture

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// reloadAlways lets Kamailio reload the dispatcher's list at any time. By default, it refuses that within 5 s after another reload.
const reloadAlways = `modparam("dispatcher", "reload_delta", 0)`

// TestKamailioInTrouble restarts, kills and reloads a Kamailio, and takes its socket and its connections away, while four clients
// scrape it. The pages are never false, and the first scrape after each trouble is whole.
func TestKamailioInTrouble(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 100
	}
	options := lab.Options{Destinations: 400, Config: reloadAlways}
	k := lab.StartTest(t, options)
	o := outages{watch(t, k, options, start(t, "-u", k.URI("unix"), "-t", "30s"))}
	defer o.startClients(t)()
	for round := range rounds {
		for name, trouble := range map[string]func(t *testing.T){
			"a restart": o.restart, "a kill": o.kill, "a removed socket": o.removeSocket, "too many connections": o.takeConnections, "a reload": o.reload,
		} {
			trouble(t)
			o.recovers(t)
			if t.Failed() {
				t.Fatalf("failed in round %d, at or before the end of %s", round, name)
			}
		}
	}
	t.Logf("%d rounds of 5 troubles", rounds)
}

// outages makes trouble for a Kamailio that is watched.
type outages struct{ *watched }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o outages) restart(t *testing.T) {
	o.starts.Add(1)
	must(t, o.Restart(t.Context()))
}

func (o outages) kill(t *testing.T) {
	o.starts.Add(1)
	must(t, o.Kill())
	o.wantUp(t, 0)
	must(t, o.Restart(t.Context()))
}

// removeSocket takes the path of the socket away while the connection of the exporter stays.
func (o outages) removeSocket(t *testing.T) {
	path := socketOf(o.Kamailio)
	must(t, os.Rename(path, path+".away"))
	o.wantUp(t, 1)
	must(t, os.Rename(path+".away", path))
}

// socketOf returns the path of ctl's socket.
func socketOf(k *lab.Kamailio) string { return strings.TrimPrefix(k.URI("unix"), "unix:") }

// takeConnections takes all connections that ctl serves. The exporter has its own already.
func (o outages) takeConnections(t *testing.T) {
	for range 1000 {
		conn, err := net.Dial("unix", socketOf(o.Kamailio))
		must(t, err)
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = rpc.One(ctx, binrpc.NewConn(conn, binrpc.Options{}), "core.uptime")
		cancel()
		if err != nil {
			o.wantUp(t, 1)
			return
		}
	}
	t.Error("ctl serves 1,000 connections, want at most 128")
}

func (o outages) reload(t *testing.T) { reload(t, o.Kamailio) }

// reload makes Kamailio read the dispatcher's list again.
func reload(t *testing.T, k *lab.Kamailio) {
	t.Helper()
	if out, err := k.Kamcmd(t.Context(), "dispatcher.reload"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestReload reloads a list of 4,000 destinations while four clients scrape it. The list on a page is complete or absent.
func TestReload(t *testing.T) {
	if !*long {
		t.Skip("takes a minute; run with -long")
	}
	options := lab.Options{Destinations: 4000, Config: reloadAlways}
	k := lab.StartTest(t, options)
	w := watch(t, k, options, start(t, "-u", k.URI("unix"), "-t", "30s"))
	defer w.startClients(t)()
	for range 100 {
		reload(t, k)
		w.recovers(t)
	}
}
