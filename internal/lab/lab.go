//go:build linux

// Package lab starts a real Kamailio for tests and for make run: Debian's own packages, unpacked into the user's cache
// and run from there as an ordinary user, on loopback, in a temporary directory. Nothing is installed, and nothing is
// left running when the program ends, however it ends.
package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
)

const (
	loopback = "127.0.0.1"

	// startTries is how often Start chooses other ports after it finds one taken.
	startTries = 5
	// startTimeout is how long a started Kamailio may take to answer; it takes half a second on an idle machine.
	startTimeout = 30 * time.Second
	// pollInterval is the time between two checks whether a starting Kamailio answers.
	pollInterval = 20 * time.Millisecond
	// stopGrace is how long Kamailio may take to end. It needs some 20 ms, but a signal during its start can leave it waiting
	// without end; there is nothing to save.
	stopGrace = time.Second
	// maxSocketPath is the length of the longest path of a unix socket: 108 bytes with the terminating zero.
	maxSocketPath = 107
)

// Options describe the Kamailio to start. The zero value is Debian bookworm's Kamailio 5.6 with most modules.
type Options struct {
	// Suite is the Debian release whose Kamailio runs, one of [Suites]; the default is [Bookworm]. The environment
	// variables KAMAILIO (a program) and KAMAILIO_MODULES (its module directory) take precedence.
	Suite string
	// Minimal loads the fewest modules: ctl, kex, tm, sl, pv, textops and siputils. Then there is no dispatcher, no TLS and no
	// JSON-RPC, and only OPTIONS is answered with 200.
	Minimal bool
	// Destinations is the number of dispatcher destinations beyond the five fixed ones.
	Destinations int
	// NoDestinations leaves the dispatcher's list empty, so that dispatcher.list replies with a fault.
	NoDestinations bool
	// SharedMemory is the size of Kamailio's shared memory in MiB. The default is 128. The machine provides it as it is used.
	SharedMemory int
	// SIPPort is the port of SIP over UDP and TCP. The default is a free port.
	SIPPort int
	// UASPort is the UDP port that calls are relayed to. The default is a free port, where [Traffic] listens.
	UASPort int
	// Config is added to kamailio.cfg after the module parameters, so that it can add to them or override them. Kamailio
	// replaces LAB_DIR in it with [Kamailio.Dir]; text://LAB_DIR/dbtext is the URL of the db_text tables.
	Config string
	// Rows are added to the db_text tables, by the name of the table. Each row is a line with values separated by colons.
	Rows map[string]string
	// Route is added at the beginning of request_route.
	Route string
	// FakeClock lets [Kamailio.SetClock] change the clock that Kamailio reads.
	FakeClock bool
}

// Kamailio is a running server. Its methods may be called from several goroutines.
type Kamailio struct {
	// Dir holds the configuration, the sockets and the log.
	Dir string

	options                            Options
	install                            install
	sipPort, tlsPort, ctlPort, uasPort int

	mu      sync.Mutex // held while the process is started or stopped
	process *child.Child
	cancel  context.CancelFunc
}

// errAddressInUse is the error if another program took a port after it was chosen.
var errAddressInUse = errors.New("address already in use")

// Start starts a Kamailio and returns when its ctl socket answers. As in [exec.CommandContext], Kamailio ends when ctx ends.
// [Kamailio.Stop] must be called in any case, to remove the directory.
func Start(ctx context.Context, options Options) (*Kamailio, error) {
	if options.Suite == "" {
		options.Suite = Bookworm
	}
	found, err := findInstall(ctx, options.Suite)
	if err != nil {
		return nil, fmt.Errorf("find a Kamailio: %w", err)
	}
	for try := 1; ; try++ {
		k, err := startOn(ctx, found, options)
		if err == nil {
			return k, nil
		}
		if !errors.Is(err, errAddressInUse) || try == startTries {
			return nil, err
		}
	}
}

// StartTest starts a Kamailio that stops when the test ends. The test is skipped with -short, and shows the end of
// Kamailio's log if it fails.
func StartTest(tb testing.TB, options Options) *Kamailio {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts a real Kamailio; run without -short")
	}
	k, err := Start(tb.Context(), options)
	if err != nil {
		tb.Fatalf("start a Kamailio: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("Kamailio's log ends:\n%s", k.LogTail())
		}
		if err := k.Stop(); err != nil {
			tb.Errorf("stop Kamailio: %v", err)
		}
	})
	return k
}

// EachSuite runs a test in parallel with each of [Suites].
func EachSuite(t *testing.T, test func(t *testing.T, suite string)) {
	t.Helper()
	t.Parallel()
	for _, suite := range Suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			test(t, suite)
		})
	}
}

// startOn starts the found Kamailio on ports that are free now.
func startOn(ctx context.Context, found install, options Options) (_ *Kamailio, err error) {
	dir, err := os.MkdirTemp("", "kl") // short, and not a test's own: see maxSocketPath
	if err != nil {
		return nil, fmt.Errorf("make a directory for Kamailio: %w", err)
	}
	k := &Kamailio{Dir: dir, options: options, install: found, sipPort: options.SIPPort, uasPort: options.UASPort}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Stop())
		}
	}()
	if longest := k.path("kamailio_ctl_dgram"); len(longest) > maxSocketPath {
		return nil, fmt.Errorf("%s is too long for a unix socket: set TMPDIR to a shorter path", longest)
	}
	for _, port := range []*int{&k.sipPort, &k.tlsPort, &k.ctlPort, &k.uasPort} {
		if *port != 0 {
			continue
		}
		if *port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	if err := k.writeFiles(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k, k.launch(ctx)
}

// launch starts the process and waits until it answers. The caller holds k.mu.
func (k *Kamailio) launch(ctx context.Context) error {
	log, err := os.OpenFile(k.path("kamailio.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open Kamailio's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // Kamailio writes it, not we
	life, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(life, k.install.kamailio,
		"-DD", "-E", "-f", k.path("kamailio.cfg"), "-w", k.Dir, "-Y", k.Dir, "-m", strconv.Itoa(cmp.Or(k.options.SharedMemory, 128)), "-M", "16")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = stopGrace
	if k.options.FakeClock {
		if cmd.Env, err = k.clockEnv(ctx); err != nil {
			cancel()
			return err
		}
	}
	process, err := child.StartIn(k.Dir, cmd)
	if err != nil {
		cancel()
		return fmt.Errorf("start Kamailio: %w", err)
	}
	k.process, k.cancel = process, cancel
	if err := k.awaitAnswer(life); err != nil {
		k.end()
		tail := k.LogTail()
		if strings.Contains(tail, "Address already in use") {
			err = errors.Join(errAddressInUse, err)
		}
		return fmt.Errorf("start Kamailio: %w; its log ends:\n%s", err, tail)
	}
	return nil
}

// awaitAnswer waits until the process answers over both ctl and SIP over TCP, ends, or has taken too long. Kamailio starts its
// TCP processes last, and if it is told to end before it has started them all, it does not end.
func (k *Kamailio) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var last error
	for {
		select {
		case <-k.process.Done():
			return errors.Join(errors.New("it ended at once"), k.process.Wait())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w (%w)", ctx.Err(), last)
		case <-poll.C:
		}
		if last = Answers(ctx, k.path("kamailio_ctl")); last == nil {
			last = answersSIP(ctx, k.SIPAddr())
		}
		if last == nil {
			return nil
		}
	}
}

// end ends the process if there is one. The caller holds k.mu.
func (k *Kamailio) end() {
	if k.process == nil {
		return
	}
	k.cancel()
	<-k.process.Done()
	if k.options.FakeClock {
		removeClock(k.process.PID())
	}
}

// Stop ends the server and removes its directory. Calling it again does nothing.
func (k *Kamailio) Stop() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
	if err := os.RemoveAll(k.Dir); err != nil {
		return fmt.Errorf("remove Kamailio's directory: %w", err)
	}
	return nil
}

// Restart ends the server and starts it again at the same addresses, until ctx ends. Its counters start from zero.
func (k *Kamailio) Restart(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
	if err := k.awaitPorts(ctx); err != nil {
		return err
	}
	return k.launch(ctx)
}

// awaitPorts waits until Kamailio's ports are free: processes that were killed may use them for a moment longer.
func (k *Kamailio) awaitPorts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		err := errors.Join(checkFree(k.sipPort), checkFree(k.tlsPort), checkFree(k.ctlPort))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the processes of Kamailio: %w", err)
		case <-poll.C:
		}
	}
}

// Pause suspends the server's processes, so that it neither answers nor closes a connection until [Kamailio.Resume].
func (k *Kamailio) Pause() error { return k.signal(syscall.SIGSTOP) }

// Resume lets a paused server continue.
func (k *Kamailio) Resume() error { return k.signal(syscall.SIGCONT) }

// Kill ends the server's processes with SIGKILL, as in an outage: its peers get no message, and its sockets stay in the
// directory. [Kamailio.Restart] starts the server again.
func (k *Kamailio) Kill() error {
	if err := k.signal(syscall.SIGKILL); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
	return nil
}

func (k *Kamailio) signal(sig syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := os.ErrProcessDone
	select {
	case <-k.process.Done():
	default:
		err = k.process.Signal(sig)
	}
	if err != nil {
		return fmt.Errorf("send %v to Kamailio: %w", sig, err)
	}
	return nil
}

// Kamcmd calls an RPC method with Kamailio's own client and returns its output.
func (k *Kamailio) Kamcmd(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.install.kamcmd, append([]string{"-s", k.URI("unix")}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kamcmd %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// URI returns the URI of ctl over a transport: unix, unixd (datagrams), tcp or udp. It panics if the transport is another.
func (k *Kamailio) URI(transport string) string {
	switch transport {
	case "unix":
		return "unix:" + k.path("kamailio_ctl")
	case "unixd":
		return "unixd:" + k.path("kamailio_ctl_dgram")
	case "tcp", "udp":
		return transport + "://" + address(k.ctlPort)
	}
	panic(fmt.Sprintf("lab: no transport %q: there are unix, unixd, tcp and udp", transport))
}

// SIPAddr returns the address, with port, where Kamailio speaks SIP over UDP and TCP, and HTTP.
func (k *Kamailio) SIPAddr() string { return address(k.sipPort) }

// TLSAddr returns the address, with port, where Kamailio speaks SIP and HTTP over TLS.
func (k *Kamailio) TLSAddr() string { return address(k.tlsPort) }

// UASAddr returns the UDP address, with port, that Kamailio relays calls to.
func (k *Kamailio) UASAddr() string { return address(k.uasPort) }

// JSONRPCURL returns the URL at which Kamailio answers JSON-RPC over HTTP.
func (k *Kamailio) JSONRPCURL() string { return "http://" + k.SIPAddr() + "/RPC" }

// LogTail returns the last lines of Kamailio's log.
func (k *Kamailio) LogTail() string {
	text, err := os.ReadFile(k.path("kamailio.log"))
	if err != nil {
		return err.Error()
	}
	const most = 4096
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

func (k *Kamailio) path(name string) string { return filepath.Join(k.Dir, name) }

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
