package scrape

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// listed returns the reply of core.sockets_list for sockets such as "udp 127.0.0.1 5060".
func listed(t *testing.T, sockets ...string) rpc.Value {
	t.Helper()
	var members rpc.Members
	for _, socket := range sockets {
		fields := strings.Fields(socket)
		members = append(members, rpc.Member{Name: "socket", Value: rpc.Members{{Name: "proto", Value: fields[0]}, {Name: "address", Value: fields[1]}, {Name: "port", Value: fields[2]}}})
	}
	value, err := rpc.ValueOf(members)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestListedSocketsOfOtherHostsAreNotProbed has a server that lists addresses of other hosts, to aim the probes at them.
func TestListedSocketsOfOtherHostsAreNotProbed(t *testing.T) {
	list := listed(t, "udp 127.0.0.1 5060", "UDP 127.0.0.1 5060", "tcp 192.0.2.9 5060", "tls [::1] 5061", "ws 127.0.0.1 80", "sctp 127.0.0.1 5060",
		"udp 0.0.0.0 5060", "udp victim.example.net 5060", "udp 127.0.0.1 0", "udp 127.0.0.1 x", "tcp ::ffff:127.0.0.1 5060", "tcp 127.0.0.1 5060")
	got, left := listedSockets(list, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")})
	want := []sipprobe.Socket{{Transport: "udp", Host: "127.0.0.1", Port: 5060}, {Transport: "tls", Host: "::1", Port: 5061}, {Transport: "tcp", Host: "127.0.0.1", Port: 5060}}
	if !reflect.DeepEqual(got, want) || left != 5 {
		t.Errorf("got %v and %d others, want %v and 5", got, left, want)
	}
	var many []string
	for port := range config.MaxSIPSockets + 8 {
		many = append(many, fmt.Sprint("udp 127.0.0.1 ", 5060+port))
	}
	if got, left := listedSockets(listed(t, many...), []netip.Addr{netip.MustParseAddr("127.0.0.1")}); len(got) != config.MaxSIPSockets || left != 8 {
		t.Errorf("%d sockets and %d others, want %d and 8", len(got), left, config.MaxSIPSockets)
	}
}

func TestOwnAddresses(t *testing.T) {
	for uri, want := range map[string][]netip.Addr{
		"tcp://192.0.2.1:2046":       {netip.MustParseAddr("192.0.2.1")},
		"http://[2001:db8::1]:1/RPC": {netip.MustParseAddr("2001:db8::1")},
		"jsonrpc+udp://192.0.2.2:1":  {netip.MustParseAddr("192.0.2.2")},
	} {
		target, err := dial.ParseTarget(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := ownAddresses(t.Context(), target); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", uri, got, want)
		}
	}
	target, err := dial.ParseTarget("unix:/x")
	if err != nil {
		t.Fatal(err)
	}
	if got := ownAddresses(t.Context(), target); !slices.Contains(got, netip.MustParseAddr("127.0.0.1")) || slices.Contains(got, netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("the addresses of this host are %v", got)
	}
}

// socketClient is a Client that lists sockets, or fails.
type socketClient struct {
	script
	list rpc.Value
	dead bool
}

func (c *socketClient) Stream(ctx context.Context, calls ...rpc.Call) iter.Seq2[int, rpc.Reply] {
	if calls[0].Method != "core.sockets_list" {
		return c.script.Stream(ctx, calls...)
	}
	return func(yield func(int, rpc.Reply) bool) {
		if c.dead {
			yield(0, rpc.Reply{Err: rpc.ErrClosed})
			return
		}
		yield(0, rpc.Reply{Value: c.list, Received: time.Now()})
	}
}

// TestSocketsLastKnownAreProbedWhileRPCIsDead also checks that a socket gets one request a second at most.
func TestSocketsLastKnownAreProbedWhileRPCIsDead(t *testing.T) {
	client := &socketClient{list: listed(t, "udp 127.0.0.1 1")}
	s := autoSource(client)
	defer s.Close()
	sip := func() string { return pollSIP(t, s, "kamailio_sip_up", "kamailio_sip_failure") }
	want := "sip_failure[certificate 127.0.0.1:1 udp] 0\nsip_failure[handshake 127.0.0.1:1 udp] 0\nsip_failure[not_sip 127.0.0.1:1 udp] 0\n" +
		"sip_failure[refused 127.0.0.1:1 udp] 1\nsip_failure[timeout 127.0.0.1:1 udp] 0\nsip_failure[unreachable 127.0.0.1:1 udp] 0\nsip_up[127.0.0.1:1 udp] 0\n"
	if got := sip(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	begun := func() time.Time {
		return s.latest.get(sipprobe.Socket{Transport: "udp", Host: "127.0.0.1", Port: 1}).begun
	}
	first := begun()
	client.dead = true
	if got := sip(); got != want || begun() != first {
		t.Errorf("got\n%swant\n%s without another request", got, want)
	}
	if s.Begin([]string{"core.uptime"}) != nil {
		t.Error("a scrape of some methods probes sockets")
	}
}

// TestConnectionsToSocketsThatAreNotListedAreClosed has a server that lists another socket in each poll.
func TestConnectionsToSocketsThatAreNotListedAreClosed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	closed := make(chan struct{})
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buffer := make([]byte, 4096)
		for { // a slow machine sends more than one request
			n, err := conn.Read(buffer)
			if err != nil {
				close(closed)
				return
			}
			_, _ = io.WriteString(conn, strings.Replace(string(buffer[:n]), "OPTIONS sip:"+listener.Addr().String()+";transport=tcp SIP/2.0", "SIP/2.0 200 OK", 1))
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	client := &socketClient{list: listed(t, "tcp 127.0.0.1 "+port)}
	s := autoSource(client)
	defer s.Close()
	if got := pollSIP(t, s, "kamailio_sip_up"); got != "sip_up[127.0.0.1:"+port+" tcp] 1\n" {
		t.Fatal(got)
	}
	client.list = listed(t, "tcp 127.0.0.1 1")
	pollSIP(t, s) // learns the new list
	pollSIP(t, s)
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the connection is still open")
	}
}

func TestSocketsLastKnownAreProbedWhileDNSFails(t *testing.T) {
	client := &socketClient{list: listed(t, "udp 127.0.0.1 1")}
	s := autoSource(client)
	defer s.Close()
	want := pollSIP(t, s, "kamailio_sip_up")
	s.hosts = func(context.Context, dial.Target) []netip.Addr { return nil }
	for range 2 {
		if got := pollSIP(t, s, "kamailio_sip_up"); got != want || got == "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// autoSource returns a source that probes the sockets that the client lists.
func autoSource(client Client) *sipSource {
	module := &config.Module{Name: "default", Timeout: time.Minute, SIP: &config.SIP{Auto: true, Timeout: 30 * time.Second}}
	cfg := &config.Target{URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/no/such/ctl"}, Modules: []*config.Module{module}}
	return newSIPSource(client, cfg, module, newLatestProbes())
}

// pollSIP probes the sockets once, and returns the samples of these families.
func pollSIP(t *testing.T, s *sipSource, names ...string) string {
	t.Helper()
	fetch := s.Begin(nil)
	fetch.Run(t.Context())
	result, _ := fetch.Result()
	set := metric.NewSet()
	result.AddTo(set)
	return samples(set, names...)
}

// TestModulesShareProbes has three modules that probe the same socket. Two have equal settings. Each scrape shows the response, but
// the socket gets one request a second at most.
func TestModulesShareProbes(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var requests atomic.Int64
	go func() {
		buffer := make([]byte, 4096)
		last := ""
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if request := string(buffer[:n]); request != last { // otherwise it is a retransmission
				requests.Add(1)
				last = request
			}
			_, rest, _ := strings.Cut(last, "\r\n")
			_, _ = conn.WriteTo([]byte("SIP/2.0 200 OK\r\n"+rest), from)
		}
	}()
	socket, err := sipprobe.ParseURI("sip:" + conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	module := func(name, serverName string) *config.Module {
		return &config.Module{Name: name, Timeout: time.Minute, Named: named(t, "core.uptime"),
			SIP: &config.SIP{Sockets: []sipprobe.Socket{socket}, Timeout: time.Minute, ServerName: serverName}}
	}
	cfg := &config.Target{URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/no/such/ctl"},
		Modules: []*config.Module{module("a", ""), module("b", ""), module("c", "sbc.example.net")}}
	target := newTarget(&script{methods: []string{"core.uptime"}, answers: map[string]answer{"core.uptime": {err: rpc.ErrClosed}}}, cfg, slog.New(slog.DiscardHandler))
	defer target.Close()
	begun := time.Now()
	for range 2 {
		var running sync.WaitGroup
		for _, module := range cfg.Modules {
			selection := selected(t, target, module.Name)
			running.Go(func() {
				scraped, err := selection.Scrape(t.Context())
				if err != nil {
					t.Errorf("module %s: %v", module.Name, err)
					return
				}
				defer scraped.Release()
				if got := samples(scraped.Set, "kamailio_sip_response_code"); got != "sip_response_code["+socket.Address()+" udp] 200\n" {
					t.Errorf("module %s: got %q", module.Name, got)
				}
			})
		}
		running.Wait()
	}
	n, took := requests.Load(), time.Since(begun)
	if n < 2 || took < time.Duration(n-1)*minSIPInterval {
		t.Errorf("%d requests in %v", n, took)
	}
}
