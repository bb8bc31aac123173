//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// trafficPace is the time between two of the client's requests.
	trafficPace = 200 * time.Millisecond
	// callsHeld is how many calls stay up: the oldest is hung up when there are more.
	callsHeld = 5
	// replyTimeout is how long the client waits for a final reply before it goes on.
	replyTimeout = time.Second
	// maxDatagram is more than any message here needs.
	maxDatagram = 8192
)

// Traffic plays a few SIP messages a second through k until ctx ends, so that its figures move: OPTIONS, which Kamailio
// answers itself, registrations, messages, and calls that are relayed to a user agent at k's UASAddr, which Traffic plays
// too. Lost messages are not repeated: it is no test of Kamailio.
func Traffic(ctx context.Context, k *Kamailio) error {
	uas, err := listenUDP(k.UASAddr())
	if err != nil {
		return err
	}
	uac, err := listenUDP(address(0))
	if err != nil {
		return errors.Join(err, uas.Close())
	}
	proxy, err := netip.ParseAddrPort(k.SIPAddr())
	if err != nil {
		return fmt.Errorf("traffic: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { answerAll(uas) })
	c := &caller{conn: uac, proxy: proxy}
	c.run(ctx)
	err = errors.Join(uas.Close(), uac.Close())
	running.Wait()
	return err
}

func listenUDP(address string) (*net.UDPConn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	return conn, nil
}

// answerAll answers every request but ACK with 200 until conn is closed.
func answerAll(conn *net.UDPConn) {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		request := message(buffer[:n])
		if err != nil || strings.HasPrefix(string(request), "ACK ") || strings.HasPrefix(string(request), "SIP/") {
			continue
		}
		_, _ = conn.WriteToUDPAddrPort([]byte(okTo(request, conn.LocalAddr())), from) // as good as lost
	}
}

// okTo is the reply 200 to a request.
func okTo(request message, contact net.Addr) string {
	var reply strings.Builder
	reply.WriteString("SIP/2.0 200 OK\r\n")
	for _, name := range []string{"Via", "Record-Route", "From", "Call-ID", "CSeq"} {
		for _, value := range request.headers(name) {
			fmt.Fprintf(&reply, "%s: %s\r\n", name, value)
		}
	}
	to := request.header("To")
	if !strings.Contains(to, ";tag=") {
		to += ";tag=uas"
	}
	fmt.Fprintf(&reply, "To: %s\r\nContact: <sip:uas@%s>\r\nContent-Length: 0\r\n\r\n", to, contact)
	return reply.String()
}

// caller is the client's side of the traffic.
type caller struct {
	conn  *net.UDPConn
	proxy netip.AddrPort
	calls []dialog // those that are up, oldest first
}

// dialog is what the requests within a call repeat.
type dialog struct{ callID, from, to, target, route string }

// run sends a request at each tick, one kind after another.
func (c *caller) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Now()) })()
	tick := time.NewTicker(trafficPace)
	defer tick.Stop()
	turns := []func(context.Context){c.options, c.register, c.message, c.call}
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			turns[i%len(turns)](ctx)
		}
	}
}

func (c *caller) options(ctx context.Context) {
	c.ask(ctx, "OPTIONS", c.newDialog("sip:"+c.proxy.String()))
}

func (c *caller) register(ctx context.Context) {
	c.ask(ctx, "REGISTER", c.newDialog("sip:"+c.proxy.String()))
}

func (c *caller) message(ctx context.Context) {
	c.ask(ctx, "MESSAGE", c.newDialog("sip:bob@"+c.proxy.String()))
}

// call sets up a call, and hangs up the oldest if there are enough.
func (c *caller) call(ctx context.Context) {
	d := c.newDialog("sip:bob@" + c.proxy.String())
	reply := c.ask(ctx, "INVITE", d)
	if !strings.HasPrefix(string(reply), "SIP/2.0 200 ") {
		return
	}
	d.to = reply.header("To")
	d.target = strings.Trim(reply.header("Contact"), "<>")
	d.route = reply.header("Record-Route")
	c.send("ACK", d)
	c.calls = append(c.calls, d)
	if len(c.calls) > callsHeld {
		c.ask(ctx, "BYE", c.calls[0])
		c.calls = c.calls[1:]
	}
}

// newDialog begins a dialog of one of a few users with target.
func (c *caller) newDialog(target string) dialog {
	users := []string{"alice", "carol", "dave"}
	user := users[rand.IntN(len(users))]
	return dialog{
		callID: token(),
		from:   fmt.Sprintf("<sip:%s@%s>;tag=%s", user, c.proxy, token()),
		to:     fmt.Sprintf("<sip:%s@%s>", user, c.proxy),
		target: target,
	}
}

// ask sends a request and returns its final reply, or an empty message if there is none in time.
func (c *caller) ask(ctx context.Context, method string, d dialog) message {
	_ = c.conn.SetReadDeadline(time.Now().Add(replyTimeout))
	if ctx.Err() != nil {
		return "" // it ended just before its deadline was overwritten
	}
	c.send(method, d)
	buffer := make([]byte, maxDatagram)
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			return ""
		}
		reply := message(buffer[:n])
		isFinal := strings.HasPrefix(string(reply), "SIP/2.0 ") && !strings.HasPrefix(string(reply), "SIP/2.0 1")
		if isFinal && reply.header("Call-ID") == d.callID && strings.HasSuffix(reply.header("CSeq"), method) {
			return reply
		}
	}
}

// send sends a request. One that cannot be sent is as good as lost.
func (c *caller) send(method string, d dialog) {
	var m strings.Builder
	here := c.conn.LocalAddr()
	fmt.Fprintf(&m, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n", method, d.target, here, token())
	fmt.Fprintf(&m, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nContact: <sip:lab@%s>\r\n", d.from, d.to, d.callID, here)
	if d.route != "" {
		fmt.Fprintf(&m, "Route: %s\r\n", d.route)
	}
	sequence := 1
	if method == "BYE" {
		sequence = 2
	}
	fmt.Fprintf(&m, "CSeq: %d %s\r\nContent-Length: 0\r\n\r\n", sequence, method)
	_, _ = c.conn.WriteToUDPAddrPort([]byte(m.String()), c.proxy)
}

// token is a random word for tags, branches and Call-IDs.
func token() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// message is a SIP message as it was received.
type message string

// headers returns the values of all headers of a name, in their order.
func (m message) headers(name string) []string {
	var values []string
	head, _, _ := strings.Cut(string(m), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if field, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(field), name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// header returns the first value of a header, or nothing.
func (m message) header(name string) string {
	if values := m.headers(name); len(values) > 0 {
		return values[0]
	}
	return ""
}
