//go:build linux

package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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
	fields := strings.Fields(kamcmd(t, k, "stats.fetch", name)) // { NAME: VALUE }
	n, err := strconv.Atoi(fields[max(0, len(fields)-2)])
	if err != nil {
		t.Fatalf("stats.fetch %s: %q", name, fields)
	}
	return n
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// checkOutput calls methods with kamcmd. The output must contain a text, and be an error only if the text is one.
func checkOutput(t *testing.T, k *Kamailio, wanted map[string]string) {
	t.Helper()
	for method, want := range wanted {
		out := kamcmd(t, k, strings.Fields(method)...)
		if !strings.Contains(out, want) || strings.HasPrefix(out, "error") != strings.HasPrefix(want, "error") {
			t.Errorf("%s prints %s, want %q", method, out, want)
		}
	}
}

func TestFull(t *testing.T) {
	versions := map[string]string{Bookworm: "kamailio 5.6", Trixie: "kamailio 6.0", Forky: "kamailio 6.1"}
	EachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite, Destinations: 60})
		checkOutput(t, k, map[string]string{
			"core.version": versions[suite], "uac.reg_dump": "socket: udp:" + k.SIPAddr(), "dmq.list_nodes": "",
			"tls.info": "", "htable.dump calls": "", "permissions.addressDump": "", "pl.stats": "", "rl.stats": "",
		})
		eventually(t, "rtpengine.show replies", func() bool { return !strings.HasPrefix(kamcmd(t, k, "rtpengine.show", "all"), "error") })
		if got := strings.Count(kamcmd(t, k, "dispatcher.list"), "URI:"); got != 65 {
			t.Errorf("%d destinations, want 65", got)
		}
		for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
			uri := strings.Replace(k.URI(transport), "://", ":", 1) // the form of kamcmd
			if out := kamcmd(t, k, "-s", uri, "core.version"); !strings.Contains(out, "kamailio") {
				t.Errorf("%s: %q", uri, out)
			}
		}
		for _, url := range []string{k.JSONRPCURL(), "https://" + k.TLSAddr() + "/RPC"} {
			if out := post(t, url, `{"jsonrpc":"2.0","id":1,"method":"core.version"}`); !strings.Contains(out, "kamailio") {
				t.Errorf("%s: %q", url, out)
			}
		}
		checkRestart(t, k)
		checkStop(t, k)
	})
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the lab's own certificate
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

func checkRestart(t *testing.T, k *Kamailio) {
	t.Helper()
	processes, uri := kamcmd(t, k, "core.ps"), k.URI("tcp")
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k.URI("tcp") != uri {
		t.Errorf("ctl moved from %s to %s", uri, k.URI("tcp"))
	}
	if kamcmd(t, k, "core.ps") == processes {
		t.Error("the processes are those of before the restart")
	}
}

func checkStop(t *testing.T, k *Kamailio) {
	t.Helper()
	for range 2 {
		if err := k.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no process of the stopped Kamailio", func() bool { return !isInArguments(t, k.Dir) })
	if _, err := os.Stat(k.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the stopped Kamailio is left: %v", err)
	}
	if err := k.Pause(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("pausing a stopped Kamailio: %v", err)
	}
}

// isInArguments reports whether a process was started with text in its arguments, as all of a Kamailio are with its directory.
func isInArguments(t *testing.T, text string) bool {
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

func TestUnknownTransport(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("URI of an unknown transport did not panic")
		}
	}()
	(&Kamailio{}).URI("sctp")
}

func TestOptions(t *testing.T) {
	EachSuite(t, func(t *testing.T, suite string) {
		checkOutput(t, StartTest(t, Options{Suite: suite, Minimal: true}), map[string]string{
			"tm.stats": "current", "dispatcher.list": "error: 500 - command dispatcher.list not found",
		})
		k := StartTest(t, Options{Suite: suite, NoDestinations: true, Config: `modparam("ctl", "mode", 0640)`})
		checkOutput(t, k, map[string]string{"dispatcher.list": "error: 500 - No Destination Sets"})
		if info, err := os.Stat(k.path("kamailio_ctl")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("ctl's socket is %v, %v; want mode 640", info, err)
		}
	})
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		name    string
		options Options
		isWant  func(error) bool
	}{
		{"unknown suite", Options{Suite: "potato"}, func(err error) bool { return strings.Contains(err.Error(), Bookworm) }},
		{"module that does not exist", Options{Config: `loadmodule "nonesuch.so"`}, func(err error) bool { return strings.Contains(err.Error(), "nonesuch") }},
		{"port that is taken", Options{Minimal: true, Config: "listen=tcp:" + taken.Addr().String()}, func(err error) bool { return errors.Is(err, errAddressInUse) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() && test.options.Suite == "" {
				t.Skip("starts a real Kamailio")
			}
			k, err := Start(t.Context(), test.options)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it started"), k.Stop()))
			}
			if !test.isWant(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	k := StartTest(t, Options{})
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Answers(ctx, k.path("kamailio_ctl")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused Kamailio: %v, want no reply", err)
	}
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a reply after Resume", func() bool { return Answers(t.Context(), k.path("kamailio_ctl")) == nil })
	if err := errors.Join(k.Pause(), k.Stop()); err != nil { // it stops also when paused
		t.Error(err)
	}
}

func TestKill(t *testing.T) {
	EachSuite(t, func(t *testing.T, suite string) {
		const rows = "1:one.example::0\n2:two.example::0\n"
		k := StartTest(t, Options{Suite: suite, Rows: map[string]string{"domain": rows},
			Config: "loadmodule \"domain.so\"\nmodparam(\"domain\", \"db_url\", \"text://LAB_DIR/dbtext\")"})
		if err := k.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "no process of the killed Kamailio", func() bool { return !isInArguments(t, k.Dir) })
		if err := k.Restart(t.Context()); err != nil { // the sockets of the killed one are left
			t.Fatal(err)
		}
		checkOutput(t, k, map[string]string{"domain.dump": "two.example"})
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
	EachSuite(t, func(t *testing.T, suite string) {
		k := StartTest(t, Options{Suite: suite})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Traffic(ctx, k) }()
		for _, name := range []string{"sl:200_replies", "registrar:accepted_regs", "dialog:active_dialogs", "tmx:2xx_transactions", "dialog:processed_dialogs"} {
			eventually(t, name+" > 0", func() bool { return stat(t, k, name) > 0 })
		}
		eventually(t, "an active destination", func() bool {
			return strings.Contains(kamcmd(t, k, "dispatcher.list"), "FLAGS: A")
		})
		eventually(t, "a call that was hung up", func() bool {
			return stat(t, k, "dialog:processed_dialogs") > stat(t, k, "dialog:active_dialogs")
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
	listener, err := net.Listen("unix", socket)
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

func TestSetClock(t *testing.T) {
	k := StartTest(t, Options{Minimal: true, FakeClock: true})
	for _, ahead := range []time.Duration{0, -2 * time.Hour, time.Hour} {
		if err := k.SetClock(ahead); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(kamcmd(t, k, "core.uptime"), "\n") // {, now, up_since, uptime, }
		text, _ := strings.CutPrefix(strings.TrimSpace(lines[1]), "now: ")
		now, err := time.ParseInLocation(time.ANSIC, text, time.Local)
		if off := now.Sub(time.Now().Add(ahead)).Abs(); err != nil || off > 5*time.Minute {
			t.Errorf("the clock is set by %v, and Kamailio's now is %q: %v off, %v", ahead, text, off, err)
		}
	}
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(fmt.Sprintf("/dev/shm/*faketime*_%d", k.process.PID())); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
