//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// trafficPace is the time between two of the client's requests.
	trafficPace = 200 * time.Millisecond
	// callsHeld is the number of calls that stay up: the oldest is hung up when there are more.
	callsHeld = 5
	// replyTimeout is how long the client waits for a final reply before it goes on.
	replyTimeout = time.Second
	// maxDatagram is larger than any message here, in bytes.
	maxDatagram = 8192
)

// Traffic plays a few SIP messages a second through k until ctx ends, so that its figures move: OPTIONS, which Kamailio
// answers itself, registrations, messages, and calls that are relayed to a user agent at k's UASAddr, which Traffic plays
// too. Lost messages are not repeated.
func Traffic(ctx context.Context, k *Kamailio) error {
	uas, err := net.ListenUDP("udp", udpAddr(k.uasPort))
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	uac, err := net.DialUDP("udp", udpAddr(0), udpAddr(k.sipPort))
	if err != nil {
		return errors.Join(fmt.Errorf("open a socket for SIP: %w", err), uas.Close())
	}
	var running sync.WaitGroup
	running.Go(func() { answerAll(uas) })
	(&caller{conn: uac}).run(ctx)
	err = errors.Join(uas.Close(), uac.Close())
	running.Wait()
	return err
}

// StartTraffic runs [Traffic] until the test ends.
func StartTraffic(tb testing.TB, k *Kamailio) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Traffic(ctx, k) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
}

func udpAddr(port int) *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP(loopback), Port: port} }

// answerAll replies to every request but ACK with 200 until conn is closed.
func answerAll(conn *net.UDPConn) {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		first, header := parse(buffer[:n])
		if err != nil || strings.HasPrefix(first, "ACK ") || strings.HasPrefix(first, "SIP/") {
			continue
		}
		if to := header.Get("To"); !strings.Contains(to, ";tag=") {
			header.Set("To", to+";tag=uas")
		}
		header.Set("Contact", "<sip:uas@"+conn.LocalAddr().String()+">")
		reply := bytes.NewBufferString("SIP/2.0 200 OK\r\n")
		for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-Id", "Cseq", "Contact"} {
			for _, value := range header[name] {
				fmt.Fprintf(reply, "%s: %s\r\n", name, value)
			}
		}
		reply.WriteString("Content-Length: 0\r\n\r\n")
		_, _ = conn.WriteToUDPAddrPort(reply.Bytes(), from) // a failure is a lost message
	}
}

// caller is the client's side of the traffic.
type caller struct {
	conn  *net.UDPConn
	calls []dialog // those that are up, oldest first
}

// dialog has what the requests of a call repeat.
type dialog struct{ callID, from, to, target, route string }

// run sends a request at each tick, one kind after another.
func (c *caller) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Now()) })()
	tick := time.NewTicker(trafficPace)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch i % 4 {
		case 0:
			c.ask(ctx, "OPTIONS", c.newDialog(""))
		case 1:
			c.ask(ctx, "REGISTER", c.newDialog(""))
		case 2:
			c.ask(ctx, "MESSAGE", c.newDialog("bob@"))
		case 3:
			c.call(ctx)
		}
	}
}

// call sets up a call, and hangs up the oldest if there are enough.
func (c *caller) call(ctx context.Context) {
	d := c.newDialog("bob@")
	status, header := c.ask(ctx, "INVITE", d)
	if !strings.HasPrefix(status, "SIP/2.0 200 ") {
		return
	}
	d.to, d.target, d.route = header.Get("To"), strings.Trim(header.Get("Contact"), "<>"), header.Get("Record-Route")
	c.send("ACK", d)
	c.calls = append(c.calls, d)
	if len(c.calls) > callsHeld {
		c.ask(ctx, "BYE", c.calls[0])
		c.calls = c.calls[1:]
	}
}

// newDialog begins a dialog of one of a few users with a user at Kamailio, or with Kamailio itself.
func (c *caller) newDialog(with string) dialog {
	proxy := c.conn.RemoteAddr().String()
	user := []string{"alice", "carol", "dave"}[rand.IntN(3)]
	return dialog{
		callID: token(),
		from:   fmt.Sprintf("<sip:%s@%s>;tag=%s", user, proxy, token()),
		to:     fmt.Sprintf("<sip:%s@%s>", user, proxy),
		target: "sip:" + with + proxy,
	}
}

// ask sends a request and returns its final reply, or an empty one if there is none in time.
func (c *caller) ask(ctx context.Context, method string, d dialog) (status string, header textproto.MIMEHeader) {
	_ = c.conn.SetReadDeadline(time.Now().Add(replyTimeout))
	if ctx.Err() != nil {
		return "", nil // it ended just before its deadline was overwritten
	}
	c.send(method, d)
	buffer := make([]byte, maxDatagram)
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			return "", nil
		}
		status, header = parse(buffer[:n])
		isFinal := strings.HasPrefix(status, "SIP/2.0 ") && !strings.HasPrefix(status, "SIP/2.0 1")
		if isFinal && header.Get("Call-ID") == d.callID && strings.HasSuffix(header.Get("CSeq"), method) {
			return status, header
		}
	}
}

// send sends a request. One that cannot be sent is a lost message.
func (c *caller) send(method string, d dialog) {
	here, sequence := c.conn.LocalAddr(), 1
	if method == "BYE" {
		sequence = 2
	}
	lines := []string{
		method + " " + d.target + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK%s", here, token()),
		"Max-Forwards: 70", "From: " + d.from, "To: " + d.to, "Call-ID: " + d.callID,
		fmt.Sprintf("CSeq: %d %s", sequence, method),
		fmt.Sprintf("Contact: <sip:lab@%s>", here),
		"Route: " + d.route, "Content-Length: 0", "", "",
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "Route: " })
	_, _ = c.conn.Write([]byte(strings.Join(lines, "\r\n")))
}

// token returns a random word for tags, branches and Call-IDs.
func token() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// parse returns the first line and the headers of a SIP message.
func parse(packet []byte) (first string, header textproto.MIMEHeader) {
	reader := textproto.NewReader(bufio.NewReader(bytes.NewReader(packet)))
	first, _ = reader.ReadLine()
	header, _ = reader.ReadMIMEHeader() // those before a malformed one
	return first, header
}
