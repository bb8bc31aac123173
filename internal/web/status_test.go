package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/web/status"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// TestStatusPages requests the status pages of two targets.
func TestStatusPages(t *testing.T) {
	f := newFleet(t, fmt.Sprintf(twoTargets, uptimeServer(t, 42)))
	f.want("/", 200, "<h1>Targets</h1>", ">sbc1<", ">down<", "Not polled yet", `href="./status/sbc1"`)
	f.want("/probe?target=sbc1", 200, "kamailio_up 1")
	f.want("/probe?target=down", 200, "kamailio_up 0")
	f.want("/", 200, "<strong>1</strong> Down", "<strong>1</strong> Up")
	f.want("/status/", 200, "<h1>Targets</h1>", `href="../status/sbc1"`, `href="../style.css?v=`)
	f.want("/status/sbc1", 200, "<code>core.uptime</code>", `href="../probe?target=sbc1"`, `href="../probe?debug=true&amp;target=sbc1"`, `content="15"`)
	f.want("/status/down?refresh=off", 200, "<strong>Hint:</strong>", "The refresh is paused")
	f.want("/?name=sbc&label=&state=&page=2", 200, ">sbc1<", "1 to 1 of 1", "refresh=off") // as a form sends it
	if page := f.want("/?state=down", 200, ">down<", `<option value="down" selected>`); strings.Contains(page, ">sbc1<") {
		t.Error("the page has a target that is not down")
	}
	f.want("/?name=nosuch", 200, "No target matches the filter")
	f.want("/?label=%22%3E%3Cscript%3E", 200, `value="&#34;&gt;&lt;script&gt;"`)
	if style := f.want("/"+status.Site{}.Stylesheet(), 200, "prefers-color-scheme"); style != string(status.Style) {
		t.Error("another style sheet")
	}
}

func TestWrongRequestsForStatusPages(t *testing.T) {
	f := newFleet(t, fmt.Sprintf(twoTargets, uptimeServer(t, 42)))
	for path, want := range map[string]string{
		"/?nosuch=1":             `unknown parameter "nosuch"`,
		"/?nosuch=":              `unknown parameter "nosuch"`,
		"/?state=broken":         `there is no state "broken"; the states are down, failing, stale, waiting, up`,
		"/?page=0":               "the parameter page must be a positive number",
		"/?page=x":               "the parameter page must be a positive number",
		"/?refresh=1":            "the parameter refresh must be off",
		"/?name=a&name=b":        "the parameter name must not be repeated",
		"/?name=%zz":             "the query of the URL is not valid",
		"/status/sbc1?name=sbc1": `unknown parameter "name"`,
		"/status/sbc1?refresh=1": "the parameter refresh must be off",
	} {
		f.want(path, 400, want)
	}
	f.want("/status/nosuch", 404, `there is no target "nosuch"; the targets are sbc1, down`)
	f.want("/status/-", 404, `there is no target "-"`)
}

// TestStatusPageOfOnlyTarget has one target, whose page is at the root.
func TestStatusPageOfOnlyTarget(t *testing.T) {
	f := newFleet(t, "modules: {default: {methods: [core.uptime]}}\ntargets: [{name: sbc1, uri: 'unix:/no/such/socket'}]\n")
	if page := f.want("/", 200, `<bdi>sbc1</bdi></h1>`, `href="./style.css`); strings.Contains(page, "All targets") {
		t.Error("the page has a link to all targets")
	}
	f.want("/?refresh=off", 200, `<bdi>sbc1</bdi></h1>`)
	f.want("/?name=sbc", 200, "<h1>Targets</h1>")
}

// TestStatusPagesPollNothing counts the calls of a server.
func TestStatusPagesPollNothing(t *testing.T) {
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) {
		t.Error("a status page polls")
		return nil, nil
	})
	defer server.Close()
	f := newFleet(t, fmt.Sprintf(twoTargets, server.URI))
	for _, path := range []string{"/", "/status/", "/status/sbc1", "/style.css"} {
		f.want(path, http.StatusOK)
	}
}
