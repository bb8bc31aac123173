package hint

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"
	"go.uber.org/goleak"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

const (
	// patience is how long a test waits for an event that normally happens at once.
	patience = 10 * time.Second
	// brief is the deadline of calls that get no reply.
	brief = 100 * time.Millisecond
)

// failure is the error of a call to a target.
type failure struct {
	err    error
	target dial.Target
}

// call makes a call that must fail within the timeout.
func call(t *testing.T, uri string, timeout time.Duration, options dial.Options) failure {
	t.Helper()
	target, err := dial.ParseTarget(uri)
	if err != nil {
		t.Fatal(err)
	}
	client := dial.NewTarget(target, options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	value, err := rpc.One(ctx, client, "core.uptime")
	if err == nil {
		t.Fatalf("%s replied with %v", uri, value)
	}
	return failure{err, target}
}

// wantReason checks the reason of a failure.
func wantReason(t *testing.T, name string, f failure, want string) {
	t.Helper()
	if got := Reason(f.err, f.target); got != want {
		t.Errorf("%s: %v: reason %s, want %s", name, f.err, got, want)
	}
}

// serve starts a TCP server that calls play for each connection and closes it then. It returns the address.
func serve(t *testing.T, play func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, listener, play)
	return listener.Addr().String()
}

// serveOn is like serve for a listener.
func serveOn(t *testing.T, listener net.Listener, play func(conn net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				play(conn)
			}()
		}
	}()
}

// send returns a play that reads a request and replies with text.
func send(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 65536))
		_, _ = io.WriteString(conn, text)
	}
}

// silent reads until the client closes the connection.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// serveDatagrams starts a datagram server that replies to each request with text, or never if it is "". It returns the address.
func serveDatagrams(t *testing.T, network, text string) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unixgram" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for _, from, err := conn.ReadFrom(buf); err == nil; _, from, err = conn.ReadFrom(buf) {
			if text != "" {
				_, _ = conn.WriteTo([]byte(text), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// serveHTTP starts a server that replies with a status and a body, and returns its URL.
func serveHTTP(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// serveTLS starts an HTTPS server, which does not log what its clients do wrong, and returns its host and port.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// trusting is a client that accepts every certificate.
func trusting() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// listenUnix starts a stream socket that nothing accepts connections from.
func listenUnix(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func TestReasonPermission(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	listenUnix(t, path)
	for _, code := range []syscall.Errno{syscall.EACCES, syscall.EPERM} {
		f := failure{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", code)}, dial.Target{Network: "unix", Address: path}}
		wantReason(t, "a socket", f, "permission")
		f.target = dial.Target{Network: "tcp", Address: "127.0.0.1:1"}
		wantReason(t, "a firewall", f, "unreachable")
	}
	if os.Getuid() == 0 {
		t.Skip("root may connect to each socket")
	}
	for _, locked := range []string{path, dir} {
		if err := os.Chmod(locked, 0); err != nil {
			t.Fatal(err)
		}
		wantReason(t, locked, call(t, "unix:"+path, patience, dial.Options{}), "permission")
		if err := os.Chmod(locked, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReasonNoSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listenUnix(t, filepath.Join(dir, "stream"))
	for _, uri := range []string{
		"unix:" + dir + "/absent",
		"unixd:" + dir + "/absent",
		"jsonrpc+unixgram:" + dir + "/absent",
		"unix:" + file + "/below",
		"unix:" + file,
		"unix:" + dir,
		"jsonrpc+unixgram:" + dir,
		"unix:" + serveDatagrams(t, "unixgram", ""),
		"unixd:" + dir + "/stream",
	} {
		wantReason(t, uri, call(t, uri, patience, dial.Options{}), "no_socket")
	}
}

func TestReasonRefused(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale")
	listener := listenUnix(t, stale)
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
	port := closedPort(t)
	for _, uri := range []string{
		"unix:" + stale, "tcp://" + port, "udp://" + port, "http://" + port, "https://" + port, "jsonrpc+tcp://" + port, "jsonrpc+udp://" + port,
	} {
		wantReason(t, uri, call(t, uri, patience, dial.Options{}), "refused")
	}
}

func TestReasonUnreachable(t *testing.T) {
	for _, code := range []syscall.Errno{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EADDRNOTAVAIL} {
		err := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", code)}
		wantReason(t, "the network", failure{err, dial.Target{Network: "tcp", Address: "192.0.2.1:1"}}, "unreachable")
	}
	if runtime.GOOS != "linux" {
		t.Skip("other systems may try to connect to a multicast address")
	}
	// Linux sends no packet.
	wantReason(t, "TCP to a multicast address", call(t, "tcp://224.0.0.1:1", patience, dial.Options{}), "unreachable")
	wantReason(t, "HTTP to a multicast address", call(t, "http://224.0.0.1:1", patience, dial.Options{}), "unreachable")
}

func TestReasonTimeout(t *testing.T) {
	address := serve(t, silent)
	for _, uri := range []string{
		"tcp://" + address, "http://" + address, "https://" + address, "jsonrpc+tcp://" + address,
		"unixd:" + serveDatagrams(t, "unixgram", ""), "udp://" + serveDatagrams(t, "udp", ""),
		"jsonrpc+unixgram:" + serveDatagrams(t, "unixgram", ""), "jsonrpc+udp://" + serveDatagrams(t, "udp", ""),
	} {
		wantReason(t, uri, call(t, uri, brief, dial.Options{}), "timeout")
	}
	stops := serve(t, func(conn net.Conn) {
		send("\xa1")(conn)
		silent(conn)
	})
	f := call(t, "tcp://"+stops, patience, dial.Options{Stall: time.Millisecond})
	if !is[*binrpc.StallError](f.err) {
		t.Errorf("got %v, want a StallError", f.err)
	}
	wantReason(t, "a reply that stops", f, "timeout")
	slow := &http.Client{Transport: &http.Transport{TLSHandshakeTimeout: time.Millisecond}}
	wantReason(t, "a TLS handshake", call(t, "https://"+address, patience, dial.Options{HTTP: slow}), "timeout")
}

func TestReasonNotBINRPC(t *testing.T) {
	for name, play := range map[string]func(net.Conn){
		"an HTTP server": send("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"an SSH server":  func(conn net.Conn) { _, _ = io.WriteString(conn, "SSH-2.0-made-up\r\n"); silent(conn) },
	} {
		wantReason(t, name, call(t, "tcp://"+serve(t, play), patience, dial.Options{}), "not_binrpc")
	}
	for _, uri := range []string{"udp://" + serveDatagrams(t, "udp", "SIP/2.0 400 Bad Request\r\n\r\n"), "unixd:" + serveDatagrams(t, "unixgram", "{}")} {
		wantReason(t, uri, call(t, uri, patience, dial.Options{}), "not_binrpc")
	}
	wantReason(t, "other methods", failure{fmt.Errorf("x: %w", ErrNotKamailio), dial.Target{Protocol: dial.BINRPC, Network: "tcp"}}, "not_binrpc")
}

func TestReasonNotJSONRPC(t *testing.T) {
	for name, uri := range map[string]string{
		"no page":                serveHTTP(t, 404, "not found"),
		"a redirect":             serveHTTP(t, 302, ""),
		"an error":               serveHTTP(t, 500, "error"),
		"another page":           serveHTTP(t, 200, "<html>"),
		"an empty page":          serveHTTP(t, 200, ""),
		"another reply":          serveHTTP(t, 200, `{"jsonrpc":"2.0","result":1,"id":999}`),
		"an SSH server":          "http://" + serve(t, send("SSH-2.0-made-up\r\n")),
		"a SIP server":           "http://" + serve(t, send("SIP/2.0 400 Bad Request\r\n\r\n")),
		"an invalid header":      "http://" + serve(t, send("HTTP/1.1 200 OK\r\nmade up\r\n\r\n")),
		"HTTP over TCP":          "jsonrpc+tcp://" + serve(t, send("HTTP/1.1 400 Bad Request\r\n\r\n")),
		"text in a datagram":     "jsonrpc+udp://" + serveDatagrams(t, "udp", "SIP/2.0 400 Bad Request\r\n\r\n"),
		"a datagram that is cut": "jsonrpc+unixgram:" + serveDatagrams(t, "unixgram", `{"jsonrpc":`),
	} {
		wantReason(t, name, call(t, uri, patience, dial.Options{}), "not_json_rpc")
	}
	wantReason(t, "other methods", failure{ErrNotKamailio, dial.Target{Protocol: dial.JSONRPC, Network: "udp"}}, "not_json_rpc")
}

func TestReasonAuth(t *testing.T) {
	for _, status := range []int{401, 403, 407} {
		wantReason(t, "status", call(t, serveHTTP(t, status, "no"), patience, dial.Options{}), "auth")
	}
	client, err := promconfig.NewClientFromConfig(promconfig.HTTPClientConfig{
		BasicAuth: &promconfig.BasicAuth{Username: "exporter", PasswordFile: filepath.Join(t.TempDir(), "absent")},
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, "a missing password file", call(t, serveHTTP(t, 200, ""), patience, dial.Options{HTTP: client}), "auth")
}

func TestReasonTLS(t *testing.T) {
	otherName := trusting()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	certificate := server.TLS.Certificates[0]
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:errcheck // it has this type
	server.Close()
	otherName.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "made.up"}}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, listener, func(conn net.Conn) { // like Kamailio, it closes the connection after a failed handshake
		_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}}).HandshakeContext(t.Context())
	})
	tests := []struct {
		name, uri string
		client    *http.Client
	}{
		{"an unknown CA", "https://" + serveTLS(t, nil), nil},
		{"another name", "https://" + serveTLS(t, nil), otherName},
		{"an old version", "https://" + serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS11}), trusting()},
		{"no client certificate", "https://" + serveTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}), trusting()},
		{"TLS to HTTP", "https://" + strings.TrimPrefix(serveHTTP(t, 200, ""), "http://"), nil},
		{"TLS to SSH", "HTTPS://" + serve(t, send("SSH-2.0-made-up\r\n")), nil},
		{"HTTP to HTTPS", "http://" + serveTLS(t, nil), nil},
		{"HTTP to TLS", "http://" + listener.Addr().String(), nil},
		{"HTTP to TLS with an alert", "http://" + serve(t, send("\x15\x03\x01\x00\x02\x02\x46")), nil},
	}
	for _, test := range tests {
		wantReason(t, test.name, call(t, test.uri, patience, dial.Options{HTTP: test.client}), "tls")
	}
	wantReason(t, "status 400 of HTTPS", call(t, serveHTTP(t, 404, ""), patience, dial.Options{}), "not_json_rpc")
}

// nameServer is the address of the DNS server of all tests. Lookups that a test no longer waits for may still read it.
var nameServer atomic.Value

func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, _ := nameServer.Load().(string)
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", address)
	}}
	goleak.VerifyTestMain(m, // Go's resolver ends a lookup only after its own timeout, also if nobody waits for it any more.
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func1"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder.func3.1"))
}

func TestReasonDNS(t *testing.T) {
	absent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = absent.Close() })
	go func() { // replies to each request that there is no such name
		buf := make([]byte, 1500)
		for n, from, err := absent.ReadFrom(buf); err == nil; n, from, err = absent.ReadFrom(buf) {
			buf[2], buf[3] = buf[2]|0x80, 0x83 // QR, RA and NXDOMAIN
			_, _ = absent.WriteTo(buf[:n], from)
		}
	}()
	for name, server := range map[string]string{
		"no-such-name": absent.LocalAddr().String(), "no-server": closedPort(t), "silent-server": serveDatagrams(t, "udp", ""),
	} {
		nameServer.Store(server)
		for _, scheme := range []string{"tcp", "udp", "http", "https", "jsonrpc+tcp", "jsonrpc+udp"} {
			f := call(t, scheme+"://"+name+".invalid:2046", brief, dial.Options{})
			wantReason(t, name+" over "+scheme, f, "dns")
			if text := string(For(f.err, f.target)); !strings.Contains(text, "name servers") {
				t.Errorf("%s over %s has the hint %q", name, scheme, text)
			}
		}
	}
}

func TestReasonTooLarge(t *testing.T) {
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) { return []any{strings.Repeat("x", 1000)}, nil })
	t.Cleanup(func() { _ = server.Close() })
	page := serveHTTP(t, 200, strings.Repeat("x", 1000))
	for _, test := range []struct {
		limits rpc.Limits
		hint   string
	}{
		{rpc.Limits{Size: 100}, "the reply is larger"},
		{rpc.Limits{TotalSize: 100}, "the replies of one poll together are larger than the exporter accepts, which is 100 bytes in all replies of a batch"},
	} {
		for _, uri := range []string{server.URI, page} {
			f := call(t, uri, patience, dial.Options{Limits: test.limits})
			wantReason(t, uri, f, "too_large")
			if text := string(For(f.err, f.target)); !strings.Contains(text, test.hint) {
				t.Errorf("%v: hint %q, want %q in it", f.err, text, test.hint)
			}
		}
	}
	wantReason(t, "a lost datagram", failure{ErrLostReply, dial.Target{Network: "udp"}}, "too_large")
}

func TestReasonProtocol(t *testing.T) {
	reply := func(cookie uint32) string {
		packet, err := binrpc.AppendReply(nil, cookie, 1)
		if err != nil {
			t.Error(err)
		}
		return string(packet)
	}
	request := func(conn net.Conn) uint32 {
		message, err := binrpc.Read(bufio.NewReader(conn), rpc.Limits{})
		if err != nil {
			t.Error(err)
		}
		return message.Cookie
	}
	reset := func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))    // the rest of the request causes a reset too
		_ = conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it has this type
	}
	const cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
	for name, uri := range map[string]string{
		"no reply":               "tcp://" + serve(t, send("")),
		"half a reply":           "tcp://" + serve(t, func(conn net.Conn) { _, _ = io.WriteString(conn, reply(request(conn))[:5]) }),
		"another cookie":         "tcp://" + serve(t, func(conn net.Conn) { _, _ = io.WriteString(conn, reply(request(conn)+1)); silent(conn) }),
		"a reset":                "tcp://" + serve(t, reset),
		"a reset over HTTP":      "http://" + serve(t, reset),
		"no HTTPS response":      "HTTPS://" + serve(t, send("")),
		"half a body":            "http://" + serve(t, send(cut)),
		"half a header":          "http://" + serve(t, send("HTTP/1.1 200 OK\r\n")),
		"no reply over JSON-RPC": "jsonrpc+tcp://" + serve(t, send("")),
		"half a JSON-RPC reply":  "jsonrpc+tcp://" + serve(t, send(`{"jsonrpc":"2.0","result":{"up`)),
	} {
		f := call(t, uri, patience, dial.Options{})
		wantReason(t, name, f, "protocol")
		if text := string(For(f.err, f.target)); strings.Contains(text, "does not speak") {
			t.Errorf("%s has the hint %q", name, text)
		}
	}
	wantReason(t, "a write after the end", failure{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, dial.Target{Network: "tcp"}}, "protocol")
}

func TestReasonNoMethods(t *testing.T) {
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method == "system.listMethods" {
			return nil, nil
		}
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	})
	t.Cleanup(func() { _ = server.Close() })
	wantReason(t, "an absent method", call(t, server.URI, patience, dial.Options{}), "no_methods")
	client, err := dial.New(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, _, err = client.Methods(ctx)
	wantReason(t, "an empty list", failure{err, client.Target()}, "no_methods")
	wantReason(t, "an empty list and no other method", failure{fmt.Errorf("%w: %w", ErrNotKamailio, err), client.Target()}, "no_methods")
}

func TestReasonOther(t *testing.T) {
	server := binrpctest.NewServer(func(context.Context, rpc.Call) ([]any, error) {
		return nil, &rpc.Fault{Code: 500, Reason: "EOF, timeout"}
	})
	t.Cleanup(func() { _ = server.Close() })
	wantReason(t, "a fault", call(t, server.URI, patience, dial.Options{}), "other")
	wantReason(t, "an unknown error", failure{errors.New("permission denied"), dial.Target{}}, "other")
	wantReason(t, "a canceled poll", failure{context.Canceled, dial.Target{}}, "other")
}

func TestCausesAreReasons(t *testing.T) {
	found := []string{"other"}
	for _, cause := range causes {
		found = append(found, cause.reason)
	}
	slices.Sort(found)
	if want := slices.Sorted(slices.Values(Reasons)); !slices.Equal(found, want) {
		t.Errorf("the reasons with a cause are %v, want %v", found, want)
	}
}
