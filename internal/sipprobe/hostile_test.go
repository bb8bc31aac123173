package sipprobe

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// enough is a timeout of a probe that must end before it.
	enough = time.Minute
	// short is a timeout of a probe that must take it all.
	short = 300 * time.Millisecond
)

// TestHostilePeers has peers that try to deceive a probe, to hold it, or to fill the memory. Each probe must end at its timeout or
// before, and must not have allocated much memory.
func TestHostilePeers(t *testing.T) {
	const maxAllocated = 32 << 20 // bytes, with those of the peer
	other := func(r string) string {
		return strings.Replace(responseTo(r, 200), "branch=z9hG4bK", "branch=z9hG4bKx", 1)
	}
	trying := func(r string) string { return responseTo(r, 100) }
	body := func(length string) func(string) string {
		return func(r string) string {
			return strings.Replace(responseTo(r, 200), "Content-Length: 0", "Content-Length: "+length, 1)
		}
	}
	text := func(text string) func(string) string { return func(string) string { return text } }
	for _, test := range []struct {
		name    string
		peer    func(t *testing.T) Socket
		limit   time.Duration
		failure Failure
		code    int
	}{
		{"UDP: responses to another request", udpFlood(other, 10), short, Timeout, 0},
		{"UDP: a flood of responses to another request", udpFlood(other, endless), enough, NotSIP, 0},
		{"UDP: a response from another port", udpOtherPort, short, Timeout, 0},
		{"UDP: garbage", udpFlood(text("garbage"), 10), short, Timeout, 0},
		{"UDP: a flood of the largest datagrams", udpFlood(text(strings.Repeat("x", 65507)), endless), enough, NotSIP, 0},
		{"UDP: a flood of provisional responses", udpFlood(trying, endless), enough, "", 100},
		{"UDP: a body beyond the datagram", udpFlood(body("1"), 1), short, Timeout, 0},
		{"UDP: a negative length of the body", udpFlood(body("-1"), 1), short, Timeout, 0},

		{"TCP: a response to another request", tcpFlood(other, 1), short, Timeout, 0},
		{"TCP: a flood of responses to another request", tcpFlood(other, endless), enough, NotSIP, 0},
		{"TCP: a flood of garbage", tcpFlood(text("garbage\r\n\r\n"), endless), enough, NotSIP, 0},
		{"TCP: a flood of line breaks", tcpFlood(text("\r\n\r\n"), endless), enough, NotSIP, 0},
		{"TCP: a line without end", tcpFlood(text("SIP/2.0 200 OK"), endless), enough, NotSIP, 0},
		{"TCP: headers without end", tcpFlood(text("SIP/2.0 200 OK\r\nx:\r\n"), endless), enough, NotSIP, 0},
		{"TCP: a megabyte of headers", tcpFlood(text("SIP/2.0 200 OK\r\n"+strings.Repeat("x: y\r\n", 1<<20/6)+"\r\n"), 1), enough, NotSIP, 0},
		{"TCP: a body of a gigabyte", tcpFlood(body("1000000000"), 1), enough, NotSIP, 0},
		{"TCP: a body that does not arrive", tcpFlood(body("60000"), 1), short, Timeout, 0},
		{"TCP: a negative length of the body", tcpFlood(body("-1"), 1), enough, NotSIP, 0},
		{"TCP: a length of the body beyond 64 bits", tcpFlood(body("99999999999999999999"), 1), enough, NotSIP, 0},
		{"TCP: a length of the body that is not a number", tcpFlood(body("x"), 1), enough, NotSIP, 0},
		{"TCP: a flood of provisional responses", tcpFlood(trying, endless), enough, "", 100},
		{"TCP: slow provisional responses", tcpSlow(trying), time.Second, "", 100},
		{"TCP: a slow response", tcpSlow(text("S")), short, Timeout, 0},
		{"TCP: a line without end in many pieces", tcpFlood(text("S"), endless), enough, NotSIP, 0},

		{"TLS: silence in the handshake", tlsOver(tcpFlood(text(""), 1)), short, Timeout, 0},
		{"TLS: a slow handshake", tlsOver(tcpSlow(text("\x16\x03\x03\x3f\xff"))), short, Timeout, 0},
		{"TLS: garbage in the handshake", tlsOver(tcpFlood(text("garbage"), endless)), enough, Handshake, 0},
		{"TLS: 10,000 certificates", tlsChain(10_000), enough, Handshake, 0},
		{"TLS: 1,000 certificates", tlsChain(1_000), enough, Handshake, 0},
		{"TLS: 30 certificates", tlsChain(30), enough, "", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.peer(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			r := probe(t, s, test.limit)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			if r.Failure != test.failure || r.Code != test.code {
				t.Errorf("got %+v, want the failure %q and code %d", r, test.failure, test.code)
			}
			if test.limit == enough && took >= enough {
				t.Errorf("the probe took %v", took)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > maxAllocated {
				t.Errorf("%d bytes were allocated", allocated)
			}
		})
	}
}

// endless is the number of messages of a peer that sends as long as it can.
const endless = 1 << 30

// udpFlood returns a peer that sends n times what reply returns for a request.
func udpFlood(reply func(request string) string, n int) func(t *testing.T) Socket {
	return func(t *testing.T) Socket {
		t.Helper()
		conn := listenUDP(t)
		go func() {
			request, from := readDatagram(conn)
			message := []byte(reply(request))
			for range n {
				if _, err := conn.WriteTo(message, from); err != nil {
					return
				}
			}
		}()
		return parsed(t, "sip:"+conn.LocalAddr().String())
	}
}

// udpOtherPort is a peer that responds from another port.
func udpOtherPort(t *testing.T) Socket {
	t.Helper()
	conn, other := listenUDP(t), listenUDP(t)
	go func() {
		request, from := readDatagram(conn)
		_, _ = other.WriteTo([]byte(responseTo(request, 200)), from)
	}()
	return parsed(t, "sip:"+conn.LocalAddr().String())
}

// listenUDP returns a socket that is closed at the end of the test.
func listenUDP(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// readDatagram returns a datagram and its sender.
func readDatagram(conn net.PacketConn) (string, net.Addr) {
	buffer := make([]byte, 4096)
	n, from, err := conn.ReadFrom(buffer)
	if err != nil {
		return "", nil
	}
	return string(buffer[:n]), from
}

// tcpFlood returns a peer that sends n times what reply returns for a request, and then waits for the end of the connection.
func tcpFlood(reply func(request string) string, n int) func(t *testing.T) Socket {
	return func(t *testing.T) Socket {
		t.Helper()
		return tcpServer(t, func(conn net.Conn, _ int) {
			message := reply(readRequest(conn))
			for range n {
				if _, err := io.WriteString(conn, message); err != nil {
					return
				}
			}
			_, _ = io.Copy(io.Discard, conn)
		})
	}
}

// tcpSlow returns a peer that sends what reply returns for a request, again and again.
func tcpSlow(reply func(request string) string) func(t *testing.T) Socket {
	return func(t *testing.T) Socket {
		t.Helper()
		return tcpServer(t, func(conn net.Conn, _ int) {
			message := reply(readRequest(conn))
			for {
				if _, err := io.WriteString(conn, message); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
}

// tlsOver returns a peer of which the probe expects TLS.
func tlsOver(peer func(t *testing.T) Socket) func(t *testing.T) Socket {
	return func(t *testing.T) Socket {
		t.Helper()
		s := peer(t)
		s.Transport = "tls"
		return s
	}
}

// tlsChain returns a peer that sends n certificates.
func tlsChain(n int) func(t *testing.T) Socket {
	return func(t *testing.T) Socket {
		t.Helper()
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: slices.Repeat([][]byte{der}, n), PrivateKey: key}}}
		s := tcpServer(t, func(conn net.Conn, _ int) {
			encrypted := tls.Server(conn, config)
			_, _ = fmt.Fprint(encrypted, responseTo(readRequest(encrypted), 200))
			_, _ = io.Copy(io.Discard, encrypted)
		})
		s.Transport = "tls"
		return s
	}
}

// TestLateResponse has a peer that closes the connection at the second request, and responds to it on the next connection.
func TestLateResponse(t *testing.T) {
	t.Parallel()
	late := make(chan string, 1)
	s := tcpServer(t, func(conn net.Conn, n int) {
		if n == 0 {
			_, _ = io.WriteString(conn, responseTo(readRequest(conn), 200))
			late <- responseTo(readRequest(conn), 200)
			return
		}
		_, _ = io.WriteString(conn, <-late)
		_, _ = io.Copy(io.Discard, conn)
	})
	p := New(Options{})
	defer p.Close()
	if r := p.Probe(t.Context(), s); r.Code != 200 {
		t.Fatalf("got %+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if r := p.Probe(ctx, s); r.Failure != Timeout {
		t.Errorf("got %+v", r)
	}
}
