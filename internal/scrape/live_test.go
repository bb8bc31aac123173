//go:build linux

package scrape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

// hintedURIs has a URI of each kind.
var hintedURIs = []string{
	"unix:/run/kamailio/kamailio_ctl", "unix:/", "unixd:/run/kamailio/kamailio_ctl",
	"tcp://127.0.0.1:2046", "udp://127.0.0.1:2046", "tcp://sbc.example.net:2046", "tcp://[::1]:2046", "udp://[::1]:2046",
	"http://127.0.0.1:5060/RPC", "https://[::1]:5061/RPC",
	"jsonrpc+unixgram:/run/kamailio/kamailio_rpc.sock", "jsonrpc+unixgram:/",
	"jsonrpc+udp://127.0.0.1:8090", "jsonrpc+udp://[::1]:8090", "jsonrpc+tcp://127.0.0.1:8090", "jsonrpc+tcp://[::1]:8090",
}

// hintedErrors has an error for each hint.
var hintedErrors = []error{
	fs.ErrNotExist, fs.ErrPermission, syscall.ECONNREFUSED, syscall.EAGAIN, syscall.EPROTOTYPE, binrpc.ErrClosedUnanswered, io.EOF,
	hint.ErrLostReply, errOutOfTime, hint.ErrNotKamailio,
	&rpc.Fault{Code: 500, Reason: "Method Not Found"}, &rpc.Fault{Code: 500, Reason: "Internal error"},
	&rpc.LimitError{}, &binrpc.StallError{}, &binrpc.SyntaxError{}, &jsonrpc.SyntaxError{},
	&jsonrpc.StatusError{Code: 403}, &jsonrpc.StatusError{Code: 404},
}

var configLine = regexp.MustCompile(`(?:modparam\("|loadmodule )[^)]*?(?:\)|\.so")`)

// TestLiveKamailioAcceptsConfigLinesOfHints has Kamailio check every configuration line
// that a hint has.
func TestLiveKamailioAcceptsConfigLinesOfHints(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Kamailio; run without -short")
	}
	lines := map[string]bool{}
	for _, uri := range hintedURIs {
		target, err := dial.ParseTarget(uri)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range hintedErrors {
			text := string(hint.For(err, target))
			found := configLine.FindAllString(text, -1)
			if got, want := len(found), strings.Count(text, "modparam")+strings.Count(text, "loadmodule"); got != want {
				t.Errorf("%d of %d configuration lines of a hint are complete: %q", got, want, text)
			}
			for _, line := range found {
				lines[line] = strings.Contains(text, "since Kamailio 6.0, "+line)
			}
		}
	}
	if len(lines) < 15 {
		t.Fatalf("the hints have %d configuration lines, want at least 15", len(lines))
	}
	for _, suite := range lab.Suites() {
		for line, since6 := range lines {
			if since6 && suite == lab.Bookworm {
				continue
			}
			if err := lab.Check(t.Context(), suite, configWith(line)); err != nil {
				t.Errorf("%s: %s: %v", suite, line, err)
			}
		}
	}
}

// configWith returns a complete configuration with one more line.
func configWith(line string) string {
	var config strings.Builder
	config.WriteString("listen=udp:127.0.0.1:5060\ntcp_accept_no_cl=yes\n")
	for _, module := range []string{"tm", "sl", "pv", "kex", "ctl", "xhttp", "jsonrpcs"} {
		fmt.Fprintf(&config, "loadmodule \"%s.so\"\n", module)
	}
	if !strings.HasPrefix(line, "loadmodule") { // all these modules are loaded above
		config.WriteString(line + "\n")
	}
	config.WriteString("request_route { exit; }\n")
	return config.String()
}

// newLiveTarget returns a target with a real client.
func newLiveTarget(t *testing.T, uri string, options testOptions) (*Target, *logBuffer) {
	t.Helper()
	client, err := dial.New(uri)
	if err != nil {
		t.Fatal(err)
	}
	options.URI = uri
	return newTestTarget(t, client, options)
}

// TestLiveFullCtl opens as many connections as ctl serves.
func TestLiveFullCtl(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Minimal: true})
	for _, transport := range []string{"unix", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			fillCtl(t, strings.TrimPrefix(k.URI("unix"), "unix:"))
			target, log := newLiveTarget(t, k.URI(transport), testOptions{Auto: true})
			for range 3 {
				if got := scrapeFor(t, target, time.Minute, "kamailio_up"); got != "up[] 0\n" {
					t.Errorf("samples %s", got)
				}
			}
			if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "128 connections") {
				t.Errorf("log %s", text)
			}
		})
	}
}

// fillCtl opens connections until ctl closes one. They stay open until the end of the
// test.
func fillCtl(t *testing.T, path string) {
	t.Helper()
	for range 1000 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		client := binrpc.NewConn(conn, binrpc.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err = rpc.One(ctx, client, "core.uptime")
		cancel()
		if err != nil {
			return
		}
	}
	t.Fatal("ctl serves 1,000 connections, want at most 128")
}

// TestLiveTinyBufferSize has a binrpc_buffer_size that is too small for replies, with
// the default sizes of bodies.
func TestLiveTinyBufferSize(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			k := lab.StartTest(t, lab.Options{Suite: suite, Config: `modparam("ctl", "binrpc_buffer_size", 8)`})
			target, log := newLiveTarget(t, k.URI("unix"), testOptions{Named: named(t, "stats.fetch"), Settings: collector.Settings{StatsGroups: []string{"all"}}})
			scrapeTarget(t.Context(), target)
			if text := log.String(); !strings.Contains(text, "hint=") || !strings.Contains(text, "binrpc_buffer_size") || !strings.Contains(text, "binrpc_struct_max_body_size") {
				t.Errorf("log %s", text)
			}
		})
	}
}

// TestLiveReplyLargerThanADatagram has a list of destinations that is larger than the
// buffer of a unix datagram socket.
func TestLiveReplyLargerThanADatagram(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Destinations: 2000})
	uri := "jsonrpc+unixgram:" + filepath.Join(k.Dir, "kamailio_rpc.sock")
	target, log := newLiveTarget(t, uri, testOptions{Auto: true, Timeout: 2 * time.Second})
	const polls = 10
	slow := 0
	for i := range polls {
		start := time.Now()
		got := scrapeFor(t, target, time.Minute, "kamailio_exporter_collector_success")
		if time.Since(start) > time.Second {
			slow++
		}
		if strings.Count(got, " 0\n") != 1 || !strings.Contains(got, "[dispatcher.list] 0\n") || !strings.Contains(got, "[uac.reg_dump] 1\n") {
			t.Errorf("poll %d: samples\n%s", i, got)
		}
	}
	if slow > polls/2 {
		t.Errorf("%d of %d polls lasted until their deadline", slow, polls)
	}
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "collectors=dispatcher.list") || !strings.Contains(text, "Message too long") {
		t.Errorf("log %s", text)
	}
	if log := k.LogTail(); !strings.Contains(log, "Message too long") {
		t.Errorf("Kamailio's log lacks the message that the hint quotes: %s", log)
	}
}

// TestHintNamesKindOfFileThatIsNotASocket has other files in the place of a socket.
func TestHintNamesKindOfFileThatIsNotASocket(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{dir: "a directory", file: "a regular file", fifo: "a FIFO", os.DevNull: "a device"} {
		for _, scheme := range []string{"unix:", "unixd:", "jsonrpc+unixgram:"} {
			t.Run(scheme+kind, func(t *testing.T) {
				target, log := newLiveTarget(t, scheme+path, testOptions{Auto: true})
				scrapeTarget(t.Context(), target)
				if want := fmt.Sprintf("%s is %s and not a socket", path, kind); !strings.Contains(log.String(), want) || strings.Contains(log.String(), "nothing listens") {
					t.Errorf("log %s, want %q", log, want)
				}
			})
		}
	}
}
