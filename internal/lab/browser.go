//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/debian"
)

// chromium is Debian's Chromium without windows, with fonts.
var chromium = debian.Set{Name: "chromium", Suite: Bookworm, Packages: []string{"chromium-headless-shell", "fonts-inter"}, DataDirs: []string{"fonts"}}

// FetchBrowser puts Debian's Chromium into the user's cache unless it is there, as [Fetch] does for Kamailio, and returns its
// directory.
func FetchBrowser(ctx context.Context) (dir string, err error) {
	if err := chromium.Unpack(ctx); err != nil {
		return "", err
	}
	return chromium.Dir()
}

// browserTimeout is the longest time that Chromium may take for a command. It takes less than a second on an idle machine.
const browserTimeout = 3 * time.Minute

// Browser is a running Chromium without windows, for a test. Its methods must be called from the goroutine of the test, because
// they end the test if they fail.
type Browser struct {
	tb      testing.TB
	process *child.Child
	log     *child.Log
	in      io.Writer
	out     *bufio.Reader
	calls   int
	events  []message // that no command has waited for
}

// StartBrowser starts a Chromium, which ends with the test. The test is skipped with -short.
func StartBrowser(tb testing.TB) *Browser {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts a Chromium; run without -short")
	}
	if _, err := FetchBrowser(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	b := &Browser{tb: tb, log: child.NewLog()}
	if err := b.start(tb.TempDir()); err != nil {
		tb.Fatalf("start Chromium: %v", err)
	}
	return b
}

// start starts the program in a directory. Commands of Chrome's DevTools go through a pipe, so that no port is open.
func (b *Browser) start(dir string) error {
	program, err := prepareBrowser(dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.tb.Context()))
	cmd := exec.CommandContext(ctx, program,
		"--remote-debugging-pipe", "--user-data-dir="+filepath.Join(dir, "profile"), "--browser-subprocess-path="+program, "--no-zygote",
		"--no-sandbox", // which needs privileges; the pages are the exporter's own
		"--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none", "--lang=en-US", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+dir, "FONTCONFIG_FILE="+filepath.Join(dir, "fonts.conf"), "TZ=UTC")
	cmd.WaitDelay = browserTimeout
	cmd.Stdout, cmd.Stderr = b.log, b.log
	commands, in, err := os.Pipe()
	if err != nil {
		stop()
		return err
	}
	out, replies, err := os.Pipe()
	if err != nil {
		stop()
		return errors.Join(err, commands.Close(), in.Close())
	}
	b.in, b.out = in, bufio.NewReader(out)
	cmd.ExtraFiles = []*os.File{commands, replies} // descriptors 3 and 4
	b.process, err = child.Start(cmd)
	err = errors.Join(err, commands.Close(), replies.Close())
	b.tb.Cleanup(func() {
		stop()
		if b.process != nil {
			<-b.process.Done()
		}
		_, _ = in.Close(), out.Close()
		if b.tb.Failed() {
			b.tb.Logf("Chromium's log:\n%s", b.log)
		}
	})
	return err
}

// prepareBrowser writes a program that runs Chromium with the libraries and fonts of its packages, and returns its path.
// Chromium looks for its files next to the running program, which is the loader: so a copy of the loader is there, and links to
// the files.
func prepareBrowser(dir string) (program string, err error) {
	root, err := chromium.Root()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(root, "usr/lib/chromium/*"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return "", err
		}
	}
	loaders, err := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*/ld-linux*.so.*"))
	if err != nil || len(loaders) != 1 {
		return "", fmt.Errorf("expected one loader below %s, found %q: remove the directory to fetch it again", root, loaders)
	}
	loader, err := os.ReadFile(loaders[0])
	if err != nil {
		return "", err
	}
	triplet := filepath.Base(filepath.Dir(loaders[0]))
	usr := filepath.Join(root, "usr/lib", triplet)
	libraries := strings.Join([]string{usr, filepath.Join(root, "lib", triplet), filepath.Join(usr, "pulseaudio")}, ":")
	program = filepath.Join(dir, "run")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s/loader' --library-path '%s' '%s/chromium-headless-shell' \"$@\"\n", dir, libraries, dir)
	return program, errors.Join(
		os.WriteFile(filepath.Join(dir, "loader"), loader, 0o700), //nolint:gosec // a program
		os.WriteFile(program, []byte(script), 0o700),              //nolint:gosec // a program
		os.WriteFile(filepath.Join(dir, "fonts.conf"), []byte(fonts(root, dir)), 0o600),
	)
}

// fonts returns a configuration of fontconfig that has the fonts of the packages only.
func fonts(root, dir string) string {
	alias := func(family, font string) string {
		return "<alias><family>" + family + "</family><prefer><family>" + font + "</family></prefer></alias>"
	}
	return `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>` +
		"<dir>" + filepath.Join(root, "usr/share/fonts") + "</dir><cachedir>" + filepath.Join(dir, "fonts") + "</cachedir>" +
		alias("system-ui", "Inter") + alias("sans-serif", "Inter") + alias("monospace", "DejaVu Sans Mono") + "</fontconfig>"
}

// message is a command, a reply or an event of Chrome's DevTools protocol.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// call makes a command and sets result, which may be nil, to its result.
func (b *Browser) call(session, method string, params, result any) {
	b.tb.Helper()
	b.calls++
	text, err := json.Marshal(message{ID: b.calls, Session: session, Method: method, Params: params})
	if err != nil {
		b.tb.Fatal(err)
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		b.tb.Fatalf("send %s to Chromium: %v", method, err)
	}
	for {
		m := b.next(method)
		if m.ID != b.calls {
			b.events = append(b.events, m)
			continue
		}
		if m.Error != nil {
			b.tb.Fatalf("Chromium's reply to %s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.tb.Fatalf("Chromium's reply to %s: %v", method, err)
			}
		}
		return
	}
}

// await waits for an event of a session.
func (b *Browser) await(session, event string) {
	b.tb.Helper()
	for i, m := range b.events {
		if m.Session == session && m.Method == event {
			b.events = slices.Delete(b.events, i, i+1)
			return
		}
	}
	for {
		m := b.next(event)
		if m.Session == session && m.Method == event {
			return
		}
		b.events = append(b.events, m)
	}
}

// next reads a message. what is what the caller waits for.
func (b *Browser) next(what string) message {
	b.tb.Helper()
	late := time.AfterFunc(browserTimeout, func() { _ = b.process.Signal(syscall.SIGKILL) })
	defer late.Stop()
	text, err := b.out.ReadBytes(0)
	if err != nil {
		b.tb.Fatalf("wait for %s of Chromium: %v", what, err)
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		b.tb.Fatalf("a message of Chromium: %v", err)
	}
	return m
}

// Screen is how a page is shown.
type Screen struct {
	// Name is a word for the name of a screenshot.
	Name string
	// Width and Height are in pixels.
	Width, Height int
	// Dark prefers dark colors.
	Dark bool
}

// Tab is a page in a Browser.
type Tab struct {
	browser         *Browser
	target, session string
	screen          Screen
}

// Open opens a page and waits until it is loaded.
func (b *Browser) Open(screen Screen, url string) *Tab {
	b.tb.Helper()
	t := &Tab{browser: b, screen: screen}
	var created struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &created)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": created.TargetID, "flatten": true}, &attached)
	t.target, t.session = created.TargetID, attached.SessionID
	scheme := "light"
	if screen.Dark {
		scheme = "dark"
	}
	t.call("Page.enable", nil, nil)
	t.call("Log.enable", nil, nil)
	t.call("Runtime.enable", nil, nil)
	t.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	t.resize(screen.Height)
	t.call("Page.navigate", map[string]any{"url": url}, nil)
	b.await(t.session, "Page.loadEventFired")
	return t
}

// Close closes the page.
func (t *Tab) Close() {
	t.browser.tb.Helper()
	t.browser.call("", "Target.closeTarget", map[string]any{"targetId": t.target}, nil)
}

func (t *Tab) call(method string, params, result any) {
	t.browser.tb.Helper()
	t.browser.call(t.session, method, params, result)
}

func (t *Tab) resize(height int) {
	t.browser.tb.Helper()
	t.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": t.screen.Width, "height": height, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
}

// Evaluate sets result to the value of a JavaScript expression in the page.
func (t *Tab) Evaluate(expression string, result any) {
	t.browser.tb.Helper()
	var reply struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails any
	}
	t.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &reply)
	if reply.ExceptionDetails != nil {
		t.browser.tb.Fatalf("evaluate %s: %v", expression, reply.ExceptionDetails)
	}
	if err := json.Unmarshal(reply.Result.Value, result); err != nil {
		t.browser.tb.Fatalf("the value of %s: %v", expression, err)
	}
}

// Screenshot returns a picture of the page in PNG, from its top to at most limit pixels below it.
func (t *Tab) Screenshot(limit int) []byte {
	t.browser.tb.Helper()
	var height float64
	t.Evaluate("document.documentElement.scrollHeight", &height)
	t.resize(max(t.screen.Height, min(limit, int(height))))
	var shot struct{ Data string }
	t.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.browser.tb.Fatalf("decode a screenshot: %v", err)
	}
	return picture
}

// Node is a node of a page as a screen reader finds it.
type Node struct{ Role, Name string }

// Nodes returns the nodes of the accessibility tree that a screen reader does not ignore.
func (t *Tab) Nodes() []Node {
	t.browser.tb.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	t.call("Accessibility.getFullAXTree", nil, &tree)
	var nodes []Node
	for _, n := range tree.Nodes {
		if !n.Ignored {
			role, _ := n.Role.Value.(string)
			name, _ := n.Name.Value.(string)
			nodes = append(nodes, Node{role, name})
		}
	}
	return nodes
}

// Complaints returns what Chromium has logged about the page: blocked resources, errors of scripts, failed requests.
func (t *Tab) Complaints() []string {
	var all []string
	for _, m := range t.browser.events {
		if m.Session == t.session && (m.Method == "Log.entryAdded" || m.Method == "Runtime.exceptionThrown" || m.Method == "Runtime.consoleAPICalled" || m.Method == "Page.javascriptDialogOpening") {
			all = append(all, fmt.Sprint(m.Params))
		}
	}
	return all
}
