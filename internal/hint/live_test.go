//go:build linux

package hint

import (
	"net"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// refuses is the configuration of a Kamailio that refuses every HTTP request.
const refuses = `
loadmodule "xhttp.so"
event_route[xhttp:request] { xhttp_reply("403", "Forbidden", "text/plain", "no\n"); }
`

// TestReasonsOfKamailio has the errors of a real Kamailio.
func TestReasonsOfKamailio(t *testing.T) {
	k := lab.StartTest(t, lab.Options{})
	unwilling := lab.StartTest(t, lab.Options{Minimal: true, Config: refuses})
	ctl := strings.TrimPrefix(k.URI("tcp"), "tcp://")
	for _, test := range []struct{ name, uri, want string }{
		{"another path", "http://" + k.SIPAddr() + "/nothing", "not_json_rpc"},
		{"a refused request", unwilling.JSONRPCURL(), "auth"},
		{"an unknown CA", "https://" + k.TLSAddr() + "/RPC", "tls"},
		{"HTTP to the port for TLS", "http://" + k.TLSAddr() + "/RPC", "tls"},
		{"HTTP to ctl", "http://" + ctl, "not_json_rpc"},
		{"HTTPS to ctl", "https://" + ctl, "tls"},
		{"JSON-RPC to ctl", "jsonrpc+tcp://" + ctl, "not_json_rpc"},
		{"a stream to a datagram socket", "unix:" + strings.TrimPrefix(k.URI("unixd"), "unixd:"), "no_socket"},
	} {
		wantReason(t, test.name, call(t, test.uri, patience, dial.Options{}), test.want)
	}
	wantReason(t, "BINRPC to SIP over TCP", call(t, "tcp://"+k.SIPAddr(), brief, dial.Options{}), "timeout")
	wantReason(t, "BINRPC to SIP over UDP", call(t, "udp://"+k.SIPAddr(), brief, dial.Options{}), "timeout")
	for range 128 { // as many as ctl serves
		conn, err := net.Dial("tcp", ctl)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	wantReason(t, "too many connections", call(t, "tcp://"+ctl, patience, dial.Options{}), "protocol")
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "a stopped Kamailio", call(t, "tcp://"+ctl, patience, dial.Options{}), "refused")
}
