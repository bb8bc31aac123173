//go:build linux

package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// eachSuite runs a test with each Debian release's Kamailio, side by side.
func eachSuite(t *testing.T, test func(t *testing.T, suite string)) {
	t.Helper()
	for _, suite := range Suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			test(t, suite)
		})
	}
}

func kamcmd(t *testing.T, k *Kamailio, args ...string) string {
	t.Helper()
	out, err := k.Kamcmd(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stat returns one of Kamailio's statistics.
func stat(t *testing.T, k *Kamailio, name string) int {
	t.Helper()
	out := kamcmd(t, k, "stats.fetch", strings.Replace(name, ".", ":", 1))
	_, value, ok := strings.Cut(out, name+": ")
	if !ok {
		t.Fatalf("stats.fetch %s: no such statistic in %q", name, out)
	}
	n, err := strconv.Atoi(strings.Fields(value)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		case <-time.After(pollInterval):
		}
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	versions := map[string]string{Bookworm: "kamailio 5.6", Trixie: "kamailio 6.0", Forky: "kamailio 6.1"}
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite, Destinations: 60})
		if got := kamcmd(t, k, "core.version"); !strings.Contains(got, versions[suite]) {
			t.Errorf("core.version = %q, want %s", got, versions[suite])
		}
		if got := strings.Count(kamcmd(t, k, "dispatcher.list"), "URI:"); got != 65 {
			t.Errorf("%d destinations, want 65", got)
		}
		for _, method := range []string{"dmq.list_nodes", "rtpengine.show all", "tls.info", "uac.reg_dump", "htable.dump calls", "permissions.addressDump", "pl.stats", "rl.stats"} {
			if out := kamcmd(t, k, strings.Fields(method)...); strings.HasPrefix(out, "error") {
				t.Errorf("%s: %s", method, out)
			}
		}
		if got := kamcmd(t, k, "uac.reg_dump"); !strings.Contains(got, "socket: udp:"+k.SIPAddr()) {
			t.Errorf("uac.reg_dump = %s, want the lab's registrations", got)
		}
	})
}

func TestTransports(t *testing.T) {
	t.Parallel()
	k := StartTest(t, Options{})
	for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
		uri := strings.Replace(k.URI(transport), "://", ":", 1) // as kamcmd wants it
		out, err := k.Kamcmd(t.Context(), "-s", uri, "core.version")
		if err != nil || !strings.Contains(out, "kamailio") {
			t.Errorf("%s: %q, %v", uri, out, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("URI of an unknown transport did not panic")
		}
	}()
	k.URI("sctp")
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite})
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the lab's own certificate
		}}
		defer client.CloseIdleConnections()
		for _, url := range []string{k.JSONRPCURL(), "https://" + k.TLSAddr() + "/RPC"} {
			body := bytes.NewBufferString(`{"jsonrpc":"2.0","id":1,"method":"core.version"}`)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Result string }
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			if !strings.Contains(answer.Result, "kamailio") {
				t.Errorf("%s: %q", url, answer.Result)
			}
		}
	})
}

func TestMinimal(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite, Minimal: true})
		if out := kamcmd(t, k, "tm.stats"); !strings.Contains(out, "current") {
			t.Errorf("tm.stats = %s", out)
		}
		if out := kamcmd(t, k, "dispatcher.list"); !strings.Contains(out, "500 - command dispatcher.list not found") {
			t.Errorf("dispatcher.list = %s", out)
		}
	})
}

func TestNoDestinations(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite, NoDestinations: true})
		if out := kamcmd(t, k, "dispatcher.list"); !strings.Contains(out, "No Destination Sets") {
			t.Errorf("dispatcher.list = %s", out)
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	k := StartTest(t, Options{Config: `modparam("ctl", "mode", 0640)`})
	info, err := os.Stat(filepath.Join(k.Dir, "kamailio_ctl"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o640 {
		t.Errorf("ctl's socket has mode %o, want 640", got)
	}
}

func TestStartSaysWhatKamailioSaid(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	k, err := Start(t.Context(), Options{Config: `loadmodule "nonesuch.so"`})
	if err == nil {
		t.Fatal(errors.Join(errors.New("a broken configuration started"), k.Stop()))
	}
	if !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("the error does not quote Kamailio's log: %v", err)
	}
}

func TestStartTriesOtherPorts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	k, err := Start(t.Context(), Options{Minimal: true, Config: "listen=tcp:" + taken.Addr().String()})
	if err == nil {
		t.Fatal(errors.Join(errors.New("started on a port that is taken"), k.Stop()))
	}
	if !errors.Is(err, errAddressInUse) {
		t.Errorf("error %v, want one that makes Start choose other ports", err)
	}
}

func TestStartUnknownSuite(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), Options{Suite: "potato"}); err == nil || !strings.Contains(err.Error(), Bookworm) {
		t.Errorf("error %v does not name the suites there are", err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite})
		processes, uri := kamcmd(t, k, "core.ps"), k.URI("tcp")
		if err := k.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if k.URI("tcp") != uri {
			t.Errorf("ctl moved from %s to %s", uri, k.URI("tcp"))
		}
		if kamcmd(t, k, "core.ps") == processes {
			t.Error("the processes are still those of before")
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	k := StartTest(t, Options{})
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	socket := strings.TrimPrefix(k.URI("unix"), "unix:")
	if err := Answers(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused Kamailio: %v, want no answer", err)
	}
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer after Resume", func() bool { return Answers(t.Context(), socket) == nil })
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := k.Stop(); err != nil { // also when paused
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite})
		for range 2 {
			if err := k.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "no process of the stopped Kamailio", func() bool { return !mentioned(t, k.Dir) })
		if _, err := os.Stat(k.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory of the stopped Kamailio is left: %v", err)
		}
		if err := k.Pause(); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("pausing a stopped Kamailio: %v", err)
		}
	})
}

// mentioned tells whether a process was started with text in its arguments, as all of a Kamailio are with its directory.
func mentioned(t *testing.T, text string) bool {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		arguments, err := os.ReadFile(name)
		return err == nil && bytes.Contains(arguments, []byte(text)) // an error is a process that has just ended
	})
}

func TestContextEndsKamailio(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a real Kamailio")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-k.process.Done()
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Traffic(ctx, k) }()
		for _, name := range []string{"sl.200_replies", "registrar.accepted_regs", "dialog.active_dialogs", "tmx.2xx_transactions", "dialog.processed_dialogs"} {
			eventually(t, name+" > 0", func() bool { return stat(t, k, name) > 0 })
		}
		eventually(t, "an active destination", func() bool {
			return strings.Contains(kamcmd(t, k, "dispatcher.list"), "FLAGS: AX") || strings.Contains(kamcmd(t, k, "dispatcher.list"), "FLAGS: AP")
		})
		eventually(t, "a call that was hung up", func() bool {
			return stat(t, k, "dialog.processed_dialogs") > stat(t, k, "dialog.active_dialogs")
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAnswersRefused(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root is never refused")
	}
	socket := filepath.Join(t.TempDir(), "ctl")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	if err := Answers(t.Context(), socket); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want fs.ErrPermission", err)
	}
}
