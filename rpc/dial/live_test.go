//go:build linux

package dial

import (
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// TestLive calls a real Kamailio over all its transports.
func TestLive(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Destinations: 2000})
	for _, uri := range []string{k.URI("unix"), strings.Replace(k.URI("unix"), "unix:", "unixs:", 1), k.URI("unixd"), k.URI("tcp"), k.URI("udp"), k.JSONRPCURL()} {
		c := newClient(t, uri, Options{})
		uptime, err := rpc.One(deadline(t), c, "core.uptime")
		if seconds, ok := uptime.Get("uptime").Int(); err != nil || !ok || seconds < 0 {
			t.Errorf("%s: got %v, %v", uri, uptime, err)
		}
		// Kamailio's faults over JSON-RPC contain the version and the id, too.
		reply := c.Do(deadline(t), rpc.Call{Method: "no.such"})[0]
		if fault, ok := errors.AsType[*rpc.Fault](reply.Err); !ok || !fault.NoSuchMethod() || reply.Received.IsZero() {
			t.Errorf("%s: got %+v, want the fault for an absent method", uri, reply)
		}
	}
}

// TestLivePeerPID compares the PID of the peer with that of Kamailio's main process, which listens, although another process
// replies. Another process would be another Kamailio's for the exporter.
func TestLivePeerPID(t *testing.T) {
	lab.EachSuite(t, func(t *testing.T, suite string) {
		k := lab.StartTest(t, lab.Options{Suite: suite, Minimal: true})
		for _, transport := range []string{"unix", "unixd", "tcp", "udp"} {
			c := newClient(t, k.URI(transport), Options{})
			if got := c.PeerPID(); got != 0 {
				t.Errorf("%s: PID %d before the first call, want 0", transport, got)
			}
			want := int64(0)
			for process := range c.Do(deadline(t), rpc.Call{Method: "core.psx"})[0].Value.Rows() {
				if index, _ := process.Get("IDX").Int(); index == 0 && transport == "unix" {
					want, _ = process.Get("PID").Int()
				}
			}
			if got := c.PeerPID(); int64(got) != want || transport == "unix" && want == 0 {
				t.Errorf("%s: PID %d, want %d", transport, got, want)
			}
		}
	})
}

// TestLiveDispatcherList parses the JSON of a list whose elements have the same name, with
// a parser that keeps one value for each name of an object.
func TestLiveDispatcherList(t *testing.T) {
	const destinations = 15
	k := lab.StartTest(t, lab.Options{Destinations: destinations - 5}) // the lab adds five
	for _, uri := range []string{k.URI("unix"), k.JSONRPCURL()} {
		list, err := rpc.One(deadline(t), newClient(t, uri, Options{}), "dispatcher.list")
		if err != nil {
			t.Fatal(err)
		}
		var read any
		if err := json.Unmarshal([]byte(list.String()), &read); err != nil {
			t.Fatal(err)
		}
		if got := countNamed(read, "URI"); got != destinations {
			t.Errorf("%s: JSON has %d destinations of %d", uri, got, destinations)
		}
		if got := countNamed(list.Plain(), "URI"); got != destinations {
			t.Errorf("%s: the plain form has %d destinations of %d", uri, got, destinations)
		}
	}
}

// countNamed counts the members with a name at any depth.
func countNamed(plain any, name string) int {
	n := 0
	switch plain := plain.(type) {
	case []any:
		for _, element := range plain {
			n += countNamed(element, name)
		}
	case map[string]any:
		for member, value := range plain {
			if member == name {
				n++
			}
			n += countNamed(value, name)
		}
	}
	return n
}

// TestLiveReplyTooLargeForADatagram calls for a list of about 500 KB. Kamailio does not
// send it, and logs that the message is too long.
func TestLiveReplyTooLargeForADatagram(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Destinations: 2000})
	c := newClient(t, "jsonrpc+unixgram:"+filepath.Join(k.Dir, "kamailio_rpc.sock"), Options{})
	replies := c.Do(deadline(t),
		rpc.Call{Method: "core.uptime", Idempotent: true},
		rpc.Call{Method: "dispatcher.list", Idempotent: true},
		rpc.Call{Method: "core.version", Idempotent: true})
	if !errors.Is(replies[1].Err, rpc.ErrNoDatagram) {
		t.Errorf("got %v, want ErrNoDatagram", replies[1].Err)
	}
	if replies[0].Err != nil || replies[2].Err != nil {
		t.Errorf("other calls: got errors %v, %v", replies[0].Err, replies[2].Err)
	}
}

// TestLiveCtlWithoutFreeConnection uses all connections that ctl accepts.
func TestLiveCtlWithoutFreeConnection(t *testing.T) {
	k := lab.StartTest(t, lab.Options{Minimal: true})
	for range 128 {
		conn, err := net.Dial("unix", strings.TrimPrefix(k.URI("unix"), "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	c := newClient(t, k.URI("unix"), Options{})
	for i := range 10 { // ctl may close the connection before or after the request is written
		replies := ask(deadline(t), c, "core.uptime", "core.version")
		for _, reply := range replies {
			if !errors.Is(reply.Err, binrpc.ErrClosedUnanswered) {
				t.Errorf("batch %d: got %v, want ErrClosedUnanswered", i, reply.Err)
			}
		}
	}
}
