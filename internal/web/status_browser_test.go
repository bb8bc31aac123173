//go:build linux

package web

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

var screenshots = flag.String("screenshots", "", "a directory for screenshots of the status pages; make screenshots sets it")

// screens are how the pages are tested.
var screens = []lab.Screen{
	{Name: "desktop-light", Width: 1280, Height: 720},
	{Name: "phone-dark", Width: 360, Height: 800, Dark: true},
	{Name: "desktop-dark", Width: 1280, Height: 720, Dark: true},
	{Name: "phone-light", Width: 360, Height: 800},
}

// statusConfig has a real Kamailio as sbc1, one of which a method fails as sbc2, one that does not respond to SIP as sbc3, and a
// fleet.
const statusConfig = `
modules:
  default: {methods: [auto], timeout: 30s, sip: {sockets: auto, timeout: 20s}}
  failing: {methods: [core.info, core.uptime, tm.stats, rtpproxy.list], timeout: 30s}
  silent: {methods: [core.uptime, core.info], timeout: 30s, sip: {sockets: auto, timeout: 100ms}}
  fleet: {methods: [core.info, core.uptime, tm.stats]}
  hostile: {methods: [core.info, core.uptime, dispatcher.list, tm.stats]}
targets:
  - {name: sbc1, uri: %[1]q, labels: {site: ams, role: sbc}}
  - {name: sbc2, uri: %[1]q, modules: [failing], labels: {site: ams, role: sbc}}
  - {name: sbc3, uri: %[1]q, modules: [silent], sip: ["sip:%[2]s"], labels: {site: fra, role: sbc}}
target_files: [fleet.yml]
`

// hostileConfig is the target with a hostile server.
const hostileConfig = `- {name: hostile, uri: %q, modules: [hostile], labels: {"site": "</td><script>hacked=1</script>"}}` + "\n"

// fleetConfig returns 196 targets, seven of which are down. Three more of the 200 fail.
func fleetConfig(uri string) string {
	var b strings.Builder
	for i := range 196 {
		name, site := fmt.Sprintf("edge%03d", i+1), []string{"ams", "fra", "lon", "waw"}[i%4]
		at := uri
		if i%28 == 3 {
			at = "unix:/run/kamailio/" + name
		}
		fmt.Fprintf(&b, "- {name: %s, uri: %q, modules: [fleet], labels: {site: %s, role: edge}}\n", name, at, site)
	}
	return b.String()
}

// edge replies like a Kamailio, within some milliseconds.
func edge(_ context.Context, call rpc.Call) ([]any, error) {
	if *screenshots != "" {
		time.Sleep(time.Duration(rand.ExpFloat64() * float64(time.Millisecond)))
	}
	switch call.Method {
	case "core.info":
		return []any{rpc.Members{{Name: "version", Value: "kamailio 5.8.4"}}}, nil
	case "core.uptime":
		return []any{rpc.Members{{Name: "uptime", Value: 1_300_000}, {Name: "up_since", Value: time.Now().Add(-361 * time.Hour).Format(time.ANSIC)}, {Name: "now", Value: time.Now().Format(time.ANSIC)}}}, nil
	default:
		return []any{rpc.Members{{Name: "current", Value: 7}}}, nil
	}
}

// Text of a hostile server.
const (
	markup    = `"'><img src=x onerror="hacked=1"><script>hacked=1</script></bdi></table><style>*{display:none}</style>`
	reversed  = "\u202egnp.exe\u2066\u200f"
	megabyte  = 1 << 20
	userinfo  = "sip:alice:topsecret@example.net"
	controls  = "\x1b[2J\x00\x07\r\n"
	hostileID = markup + reversed + controls
)

// hostile replies with text that tries to become a part of the page.
func hostile(_ context.Context, call rpc.Call) ([]any, error) {
	switch call.Method {
	case "core.info":
		return []any{rpc.Members{{Name: "version", Value: "kamailio " + hostileID}}}, nil
	case "core.uptime":
		return nil, &rpc.Fault{Code: 500, Reason: hostileID + userinfo + strings.Repeat("x", megabyte)}
	case "tm.stats":
		return []any{"javascript:hacked=1"}, nil
	default:
		destination := func(uri string) rpc.Member {
			return rpc.Member{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: uri}, {Name: "FLAGS", Value: "IP"}, {Name: "PRIORITY", Value: 0}}}
		}
		set := rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: rpc.Members{
			destination("sip:" + hostileID), destination(userinfo), destination("sip:" + strings.Repeat("long", megabyte/4)),
		}}}
		return []any{rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}}}, nil
	}
}

// startStatusFleet starts an exporter with the targets of the tests, and polls each once, and sbc1 to sbc3 more often.
func startStatusFleet(t *testing.T) *fleet {
	t.Helper()
	k := lab.StartTest(t, lab.Options{})
	lab.StartTraffic(t, k)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	normal, attacker := binrpctest.NewServer(edge), binrpctest.NewServer(hostile)
	t.Cleanup(func() { _, _ = normal.Close(), attacker.Close() })
	dir := t.TempDir()
	targets := fleetConfig(normal.URI)
	if *screenshots == "" {
		targets += fmt.Sprintf(hostileConfig, attacker.URI)
	}
	if err := os.WriteFile(filepath.Join(dir, "fleet.yml"), []byte(targets), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFleetIn(t, dir, fmt.Sprintf(statusConfig, k.URI("unix"), silent.LocalAddr()))
	f.probeAll()
	f.probe("sbc1") // traffic has rates from the second poll on
	for range pollsOfPictures() {
		time.Sleep(time.Second)
		f.probeAll()
	}
	return f
}

// pollsOfPictures returns the number of polls, a second apart, that the pictures need to look as they do in use.
func pollsOfPictures() int {
	if *screenshots == "" {
		return 0
	}
	return scrape.HistoryLength
}

// probeAll polls each target.
func (f *fleet) probeAll() {
	f.t.Helper()
	for _, target := range f.pool.Configs() {
		f.probe(target.Name)
	}
}

func (f *fleet) probe(name string) {
	f.t.Helper()
	if status, body := get(f.t, http.DefaultClient, f.URL+"/probe?target="+name); status != http.StatusOK {
		f.t.Fatalf("%s: status %d, %s", name, status, body)
	}
}

// TestStatusPagesInBrowser opens the status pages in a real browser.
func TestStatusPagesInBrowser(t *testing.T) {
	b := lab.StartBrowser(t)
	f := startStatusFleet(t)
	for _, page := range []struct {
		name, path string
		texts      []string
		want       []lab.Node // what a screen reader must find
	}{
		{
			"fleet", "/", []string{"7 Down", "3 Partly failing", "190 Up", "there is no such socket"},
			[]lab.Node{{Role: "columnheader", Name: "Last 60 polls"}, {Role: "searchbox", Name: "Name"}, {Role: "combobox", Name: "State"}, {Role: "button", Name: "Filter"}, {Role: "link", Name: "edge004"}},
		},
		{"filtered", "/?name=edge&label=site%3Dwaw&state=down", []string{"1 to 7 of 7 targets"}, []lab.Node{{Role: "heading", Name: "Targets"}}},
		{
			"target", "/status/sbc1", []string{"Responds", "Calls in progress", "Free shared memory", "Gateways", "dispatcher.list", "Receive queues", "Busiest processes"},
			[]lab.Node{{Role: "heading", Name: "sbc1"}, {Role: "meter", Name: "Free shared memory"}, {Role: "columnheader", Name: "Certificate ends"}},
		},
		{"dead", "/status/edge004", []string{"Down", "no such file or directory", "Hint:", "What to do about no_socket"}, []lab.Node{{Role: "heading", Name: "Errors"}}},
		{"failing-method", "/status/sbc2", []string{"Partly failing", "1 method fails", "rtpproxy.list", "not found"}, []lab.Node{{Role: "heading", Name: "Errors"}}},
		{"sip-dead", "/status/sbc3", []string{"Partly failing", "1 SIP socket does not respond", "timeout", "core.uptime"}, []lab.Node{{Role: "heading", Name: "SIP sockets"}}},
		{"hostile", "/status/hostile", []string{`<img src=x onerror="hacked=1">`, `\u202egnp.exe\u2066`, `\x1b[2J`, "sip:alice:…@example.net"}, nil},
	} {
		for _, screen := range screens {
			t.Run(page.name+"/"+screen.Name, func(t *testing.T) {
				tab := b.Open(screen, f.URL+page.path)
				defer tab.Close()
				if *screenshots != "" {
					saveScreenshot(t, tab, page.name+"-"+screen.Name)
					return
				}
				checkPage(t, tab, page.texts, page.want)
			})
		}
	}
}

// pictures are the screenshots of the documentation, and how many pixels from the top of the page they show.
var pictures = map[string]int{"fleet-desktop-light": 900, "target-desktop-light": 1300, "dead-phone-dark": 900}

// saveScreenshot writes a screenshot if the documentation has it.
func saveScreenshot(t *testing.T, tab *lab.Tab, name string) {
	t.Helper()
	height, ok := pictures[name]
	if !ok {
		return
	}
	if err := os.WriteFile(filepath.Join(*screenshots, "status-"+name+".png"), tab.Screenshot(height), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkPage checks that a page has texts and nodes, and what holds for every page.
func checkPage(t *testing.T, tab *lab.Tab, texts []string, want []lab.Node) {
	t.Helper()
	var text, unexpected string
	tab.Evaluate("document.body.innerText", &text)
	for _, part := range texts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the page:\n%s", part, text)
		}
	}
	if strings.ContainsAny(text, "\u202e\u2066\u200f\x1b\x00\x07") || strings.Contains(text, "topsecret") || len(text) > 1<<20 {
		t.Errorf("the page has %d bytes with text that is not for it:\n%.2000q", len(text), text)
	}
	tab.Evaluate(scripts, &unexpected)
	if unexpected != "" {
		t.Errorf("a server has added %s to the page", unexpected)
	}
	if complaints := tab.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	var wide []string
	tab.Evaluate(tooWide, &wide)
	if len(wide) > 0 {
		t.Errorf("wider than the window: %q", wide)
	}
	var faint []string
	tab.Evaluate(lowContrast, &faint)
	if len(faint) > 0 {
		t.Errorf("text with too little contrast: %q", faint)
	}
	checkNodes(t, tab.Nodes(), want)
}

// scripts returns what the pages never have: elements that load or run something, and the variable that the hostile server sets.
const scripts = `[...document.querySelectorAll('script, style, img, iframe, object, [onerror], [style], [href^="javascript"]')].map(e => e.outerHTML.slice(0, 100)).join() +
	(typeof hacked === 'undefined' ? '' : 'a script that ran')`

// checkNodes checks what a screen reader finds.
func checkNodes(t *testing.T, nodes, want []lab.Node) {
	t.Helper()
	for _, node := range want {
		if !slices.Contains(nodes, node) {
			t.Errorf("a screen reader does not find the %s %q", node.Role, node.Name)
		}
	}
	found := map[string]int{}
	for _, node := range nodes {
		found[node.Role]++
		named := []string{"link", "button", "searchbox", "textbox", "combobox", "image", "img", "table", "meter", "region", "search", "RootWebArea", "heading"}
		if node.Name == "" && slices.Contains(named, node.Role) {
			t.Errorf("a %s has no name", node.Role)
		}
	}
	for _, role := range []string{"banner", "main", "contentinfo", "navigation", "heading"} {
		if found[role] == 0 {
			t.Errorf("no %s in %v", role, found)
		}
	}
	if found["main"] != 1 || found["banner"] != 1 {
		t.Errorf("landmarks %v", found)
	}
}

// tooWide returns the elements that reach beyond the window, except those in boxes that scroll.
const tooWide = `[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .skip, caption, thead, title') &&
	e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 100)).slice(0, 5)`

// lowContrast returns the elements whose text has a contrast of less than 4.5 to 1 with the background (WCAG 2.2, 1.4.3).
const lowContrast = `(() => {
	const channels = c => (c.match(/[\d.]+/g) || []).map(Number)
	const luminance = c => { const [r, g, b] = channels(c).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b }
	const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; const [,,, a = 1] = channels(c); if (a > 0) return c } return 'rgb(255, 255, 255)' }
	const faint = []
	for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
		const e = walker.currentNode.parentElement
		if (!walker.currentNode.data.trim() || e.closest('title, meter, option')) continue
		const [a, b] = [luminance(getComputedStyle(e).color), luminance(back(e))]
		const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
		if (contrast < 4.5) faint.push(contrast.toFixed(2) + ' ' + e.outerHTML.slice(0, 100))
	}
	return faint.slice(0, 5)
})()`
