package sipprobe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseURI(t *testing.T) {
	for text, want := range map[string]string{
		"sip:127.0.0.1":                        "udp:127.0.0.1:5060",
		"sip:127.0.0.1:5080":                   "udp:127.0.0.1:5080",
		"sip:sbc1.example.net;transport=tcp":   "tcp:sbc1.example.net:5060",
		"SIP:[2001:db8::1]:5062;transport=UDP": "udp:[2001:db8::1]:5062",
		"sips:sbc1.example.net":                "tls:sbc1.example.net:5061",
		"sips:[::1];transport=tcp":             "tls:[::1]:5061",
		"sip:127.0.0.1;transport=tls":          "tls:127.0.0.1:5061",
		"sip:[::ffff:127.0.0.1]:5080":          "udp:127.0.0.1:5080",
		"sips:[2001:DB8:0::1]":                 "tls:[2001:db8::1]:5061",
	} {
		got, err := ParseURI(text)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "127.0.0.1", "sip:", "sip:a b", "sip:user@127.0.0.1", "sip:127.0.0.1:0", "sip:127.0.0.1:65536", "sip:127.0.0.1:x", "sip:h;transport=ws",
		"sip:h;maddr=1.2.3.4", "sips:h;transport=udp", "sip:h?x=y", "tel:123", "sip:h;transport=tcp;x", "sip:h\r\nX: y"} {
		if got, err := ParseURI(text); err == nil || !strings.Contains(err.Error(), "sips:host:port") {
			t.Errorf("%q: %v, error %v", text, got, err)
		}
	}
}

// udpServer starts a server that handles datagrams. reply gets each request and returns the datagrams to send.
func udpServer(t *testing.T, reply func(request string, n int) []string) Socket {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		buffer := make([]byte, 65536)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, datagram := range reply(string(buffer[:size]), n) {
				_, _ = conn.WriteTo([]byte(datagram), from)
			}
		}
	}()
	return parsed(t, "sip:"+conn.LocalAddr().String())
}

// parsed returns the socket of a URI.
func parsed(t *testing.T, uri string) Socket {
	t.Helper()
	s, err := ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header returns a header of a request with its name.
func header(request, name string) string {
	for line := range strings.SplitSeq(request, "\r\n") {
		if strings.HasPrefix(line, name+": ") {
			return line + "\r\n"
		}
	}
	return ""
}

// responseTo returns a response to a request.
func responseTo(request string, code int) string {
	return fmt.Sprintf("SIP/2.0 %d x\r\n", code) + header(request, "Via") + header(request, "From") + header(request, "To") + header(request, "Call-ID") + header(request, "CSeq") + "Content-Length: 0\r\n\r\n"
}

func probe(t *testing.T, s Socket, limit time.Duration) Result {
	t.Helper()
	p := New(Options{UserAgent: "test"})
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return p.Probe(ctx, s)
}

func TestUDP(t *testing.T) {
	for name, test := range map[string]struct {
		reply           func(request string, n int) []string
		failure         Failure
		code            int
		retransmissions int
	}{
		"200": {func(r string, _ int) []string { return []string{responseTo(r, 200)} }, "", 200, 0},
		"403": {func(r string, _ int) []string { return []string{responseTo(r, 403)} }, "", 403, 0},
		"the first request is lost": {func(r string, n int) []string {
			if n == 0 {
				return nil
			}
			return []string{responseTo(r, 200)}
		}, "", 200, 1},
		"a provisional response first": {func(r string, _ int) []string { return []string{responseTo(r, 100), responseTo(r, 503)} }, "", 503, 0},
		"other messages first": {func(r string, _ int) []string {
			return []string{"garbage", strings.Replace(responseTo(r, 200), "branch=z9hG4bK", "branch=z9hG4bKx", 1), strings.Replace(responseTo(r, 200), "1 OPTIONS", "1 INVITE", 1),
				strings.Replace(responseTo(r, 200), "Call-ID: ", "Call-ID: x", 1), r, "", responseTo(r, 486)}
		}, "", 486, 0},
		"compact and folded headers": {func(r string, _ int) []string {
			text := strings.NewReplacer("Via: ", "v : ", "Call-ID:", "i:", ";branch=", "\r\n ;Branch = ").Replace(responseTo(r, 200))
			return []string{text}
		}, "", 200, 0},
		"a flood of garbage": {func(string, int) []string { return slices.Repeat([]string{"garbage"}, maxDatagrams+10) }, NotSIP, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := probe(t, udpServer(t, test.reply), 10*time.Second)
			if r.Failure != test.failure || r.Code != test.code || r.Retransmissions != test.retransmissions && test.failure == "" || r.Failure == "" && r.Response <= 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestSilence checks that a request over UDP is sent at most three times, that nothing else is sent, and that the probe ends.
func TestSilence(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 100)
	s := udpServer(t, func(r string, _ int) []string {
		requests <- r
		return nil
	})
	r := probe(t, s, 2500*time.Millisecond)
	if r.Failure != Timeout || r.Retransmissions != 2 || len(requests) != 3 || r.Err.Error() != "no response to 3 requests arrived in time" {
		t.Errorf("got %+v after %d requests", r, len(requests))
	}
	first := <-requests
	if second := <-requests; second != first || !strings.HasPrefix(first, "OPTIONS sip:127.0.0.1:") || !strings.Contains(first, "\r\nMax-Forwards: 1\r\n") || !strings.Contains(first, "\r\nUser-Agent: test\r\n") {
		t.Errorf("the requests differ or are wrong:\n%s\n%s", first, second)
	}
}

// tcpServer starts a server that plays a function for each connection.
func tcpServer(t *testing.T, play func(conn net.Conn, n int)) Socket {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				play(conn, n)
			}()
		}
	}()
	return parsed(t, "sip:"+listener.Addr().String()+";transport=tcp")
}

// readRequest reads a request from a connection.
func readRequest(conn net.Conn) string {
	buffer := make([]byte, 65536)
	n, _ := conn.Read(buffer)
	return string(buffer[:n])
}

func TestTCP(t *testing.T) {
	for name, test := range map[string]struct {
		play    func(conn net.Conn, n int)
		failure Failure
		code    int
	}{
		"in pieces": {func(conn net.Conn, _ int) {
			for _, c := range responseTo(readRequest(conn), 200) {
				_, _ = io.WriteString(conn, string(c))
			}
		}, "", 200},
		"keep-alives, a request and another response first": {func(conn net.Conn, _ int) {
			r := readRequest(conn)
			_, _ = io.WriteString(conn, "\r\n\r\n"+strings.Replace(r, "Content-Length: 0", "Content-Length: 3", 1)+"abc"+strings.Replace(responseTo(r, 200), "OPTIONS", "INVITE", 1)+"\r\n"+responseTo(r, 404))
		}, "", 404},
		"closed":           {func(conn net.Conn, _ int) { readRequest(conn) }, NotSIP, 0},
		"another protocol": {func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, NotSIP, 0},
		"binary": {func(conn net.Conn, _ int) {
			_, _ = conn.Write([]byte{0xa1, 0x03, 0, 1, 2})
			readRequest(conn)
			readRequest(conn)
		}, NotSIP, 0},
		"a megabyte": {func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, strings.Repeat("x", 1<<20)) }, NotSIP, 0},
		"a huge body": {func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "SIP/2.0 200 OK\r\nContent-Length: 999999999\r\n\r\n")
		}, NotSIP, 0},
		"a negative length": {func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n")
		}, NotSIP, 0},
		"silence": {func(conn net.Conn, _ int) { readRequest(conn); readRequest(conn) }, Timeout, 0},
		"only a provisional": {func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, responseTo(readRequest(conn), 100))
			readRequest(conn)
		}, "", 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second
			if test.failure == Timeout || test.code == 100 {
				limit = 300 * time.Millisecond
			}
			r := probe(t, tcpServer(t, test.play), limit)
			if r.Failure != test.failure || r.Code != test.code || r.Connect <= 0 {
				t.Errorf("got %+v", r)
			}
			if test.failure == Timeout && r.Err.Error() != "no response arrived in time" {
				t.Errorf("the error is %q", r.Err)
			}
		})
	}
}

// TestConnectionIsKept probes four times. The server closes a connection after the second response. A probe after Close connects
// again.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	connections := make(chan int, 10)
	s := tcpServer(t, func(conn net.Conn, n int) {
		connections <- n
		for range 2 {
			_, _ = io.WriteString(conn, responseTo(readRequest(conn), 200))
		}
	})
	p := New(Options{})
	defer p.Close()
	for range 4 {
		if r := p.Probe(t.Context(), s); r.Failure != "" || r.Code != 200 {
			t.Errorf("got %+v", r)
		}
	}
	if n := len(connections); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	p.Probe(t.Context(), s)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if r := p.Probe(t.Context(), s); r.Failure != "" || len(connections) != 4 {
		t.Errorf("got %+v on %d connections, want 4", r, len(connections))
	}
}

func TestRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	for _, uri := range []string{"sip:" + address, "sip:" + address + ";transport=tcp", "sips:" + address} {
		if r := probe(t, parsed(t, uri), 10*time.Second); r.Failure != Refused {
			t.Errorf("%s: got %+v", uri, r)
		}
	}
}

// FuzzParse parses messages: the length must be within the data, and a response must not be one to another request.
func FuzzParse(f *testing.F) {
	q := newRequest(Socket{"udp", "127.0.0.1", 5060}, "127.0.0.1:1", "x")
	f.Add(responseTo(string(q.text), 200))
	f.Add(string(q.text))
	f.Add("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=x\r\n ;a\r\nl: 3\r\n\r\nabc")
	f.Fuzz(func(t *testing.T, text string) {
		for _, datagram := range []bool{true, false} {
			got, length, err := parse([]byte(text), datagram)
			if err == nil && (length < 1 || length > len(text) || got.code != 0 && (got.code < 100 || got.code > 699)) {
				t.Errorf("%+v, %d bytes of %d", got, length, len(text))
			}
			if err != nil && !errors.Is(err, errNotSIP) && !errors.Is(err, errIncomplete) {
				t.Errorf("error %v", err)
			}
			if err == nil && got.answers(q) && !strings.Contains(text, q.branch) {
				t.Errorf("%q answers another request", text)
			}
		}
	})
}
