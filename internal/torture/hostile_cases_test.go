//go:build linux

package torture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Transports of hostile cases.
const (
	stream     = "stream"
	datagram   = "datagram"
	overHTTP   = "http"
	overBINRPC = stream + " " + datagram
	anyway     = overBINRPC + " " + overHTTP
)

// hostileCase is a server that a script makes hostile.
type hostileCase struct {
	name   string
	on     string // transports
	script script
	// log is a pattern of the log line that says what is wrong. If it is empty, the replies are acceptable, and the scrape must succeed.
	log string
	// slow is set if the exporter has to wait until the end of its timeout.
	slow bool
	// polls is the number of scrapes, 1 if it is 0.
	polls int
	// list is set if the script also replies to system.listMethods.
	list bool
}

var errHangUp = errors.New("the peer closes the connection")

// hostileCases are in addition to those of package rpc/binrpc (hostilePackets), of package rpc/jsonrpc, and of TestMemoryIsLimited
// in cmd/kamailio_exporter.
var hostileCases = []hostileCase{
	// Lengths and nesting.
	{name: "length of 4 GB", on: overBINRPC, log: "limit of 16777216 bytes", script: func(e *exchange) error {
		return e.send(e.header(0xa1, 1, math.MaxUint32))
	}},
	{name: "length one too short", on: overBINRPC, log: "a struct with the size 4|1 bytes after the packet", script: func(e *exchange) error {
		p := append(e.header(0xa1, 1, 4), 0x43, 'a', 'b', 'c', 0)
		return e.send(p)
	}},
	{name: "length one too long", on: stream, log: "after 14 of 16 bytes: unexpected EOF|connection reset", script: func(e *exchange) error {
		_ = e.send(append(e.header(0xa1, 1, 6), 0x31, 'a', 'b', 0))
		return errHangUp
	}},
	{name: "string of 4 GB", on: overBINRPC, log: "only 2 are left", script: func(e *exchange) error {
		return e.send(append(e.header(0xa1, 1, 7), 0xc1, 0xff, 0xff, 0xff, 0xff, 'a', 0))
	}},
	{name: "10 million structs deep", on: overBINRPC, log: "limit of 64 nested", script: func(e *exchange) error {
		return e.send(append(e.header(0xa1, 1, 10_000_000), deepStructs...))
	}},
	{name: "10 million arrays deep", on: overHTTP, log: "limit of 64 nested", script: func(e *exchange) error {
		return e.send(append([]byte(`{"jsonrpc":"2.0","result":`), deepArrays...))
	}},
	// Headers.
	{name: "cookie of another call", on: stream, log: "the reply has cookie", script: func(e *exchange) error {
		e.cookie++
		return e.send(e.packet())
	}},
	{name: "datagram with the cookie of another call", on: datagram, log: "did not reply in time", slow: true, script: func(e *exchange) error {
		e.cookie++
		return e.send(e.packet())
	}},
	{name: "id of another call", on: overHTTP, log: "the reply is to another request", script: func(e *exchange) error {
		e.cookie += 1000
		return e.send(e.packet())
	}},
	{name: "every version", on: stream, log: "instead of 0xa1", polls: 256, script: func(e *exchange) error {
		return e.send(e.header(byte(e.n), 1, 0)) // 0xa1 only once, with an empty reply
	}},
	{name: "every version in datagrams", on: datagram, log: "instead of 0xa1", polls: 2, script: func(e *exchange) error {
		return e.send(e.header(byte(e.n), 1, 0))
	}},
	{name: "every value of the flags", on: stream, log: "unknown packet flags", polls: 16, script: func(e *exchange) error {
		return e.send(e.header(0xa1, byte(e.n&15), 0))
	}},
	{name: "flags of a request", on: overBINRPC, log: "a request instead of a reply", script: func(e *exchange) error { return e.send(e.header(0xa1, 0, 0)) }},
	{name: "fault without content", on: overBINRPC, log: "replied with fault 0", script: func(e *exchange) error { return e.send(e.header(0xa1, 3, 0)) }},
	// Order and time.
	{name: "replies out of order", on: stream, log: "the reply has cookie", script: outOfOrder},
	{name: "replies twice", on: stream, log: "out of step", script: twice},
	{name: "datagrams twice", on: datagram, script: twice},
	{name: "bodies twice", on: overHTTP, log: "there is data after the reply", script: twice},
	{name: "late replies", on: anyway, log: "did not reply in time", slow: true, polls: 2, script: late},
	{name: "one byte a second", on: anyway, log: "did not reply in time|the reply stopped after", slow: true, script: oneByteASecond},
	{name: "half and silence", on: anyway, log: "did not reply in time|the reply stopped after", slow: true, script: func(e *exchange) error {
		return errors.Join(e.send(half(e.packet())), e.wait())
	}},
	{name: "silence", on: anyway, log: "did not reply in time", slow: true, script: (*exchange).wait},
	{name: "reset in the middle", on: stream + " " + overHTTP, log: "EOF|connection reset|broken pipe", script: reset},
	{name: "end in the middle", on: stream + " " + overHTTP, log: "unexpected EOF|connection reset|broken pipe", script: func(e *exchange) error {
		return errors.Join(e.send(half(e.packet())), errHangUp)
	}},
	// Too much.
	{name: "endless reply", on: overBINRPC, log: "beyond the limit of|not BINRPC: ", script: func(e *exchange) error {
		_ = e.send(e.header(0xa1, 1, 16<<20))
		return e.repeat(make([]byte, largestDatagram))
	}},
	{name: "endless body", on: overHTTP, log: "limit of", script: func(e *exchange) error {
		_ = e.send([]byte(`{"jsonrpc":"2.0","result":[0`))
		return e.repeat(bytes.Repeat([]byte(",0"), 30_000))
	}},
	{name: "endless space", on: overHTTP, log: "limit of", script: func(e *exchange) error { return e.repeat(bytes.Repeat([]byte(" "), 60_000)) }},
	{name: "replies that no call is waiting for", on: stream, log: "out of step", script: unasked},
	{name: "datagrams that no call is waiting for", on: datagram, log: "not a reply to the request", script: unasked},
	{name: "banner of SSH", on: stream, log: "does not speak BINRPC", script: func(e *exchange) error { return e.send([]byte("SSH-2.0-OpenSSH_9.2\r\n")) }},
	// Values.
	{name: "numbers that are not", on: anyway, log: "reason=not_a_number", script: withValue(oddNumbers)},
	{name: "texts that are not", on: anyway, log: "reason=not_a_number", script: withValue(oddTexts)},
	{name: "labels of a megabyte", on: anyway, log: "beyond the limit of 16777216 bytes", script: withValue(func() any {
		return destinations(12, func(int) string { return "sip:" + strings.Repeat("x", 1<<20) })
	})},
	{name: "100,000 equal rows", on: anyway, log: "beyond the limit of", script: withValue(func() any {
		return destinations(100_000, func(int) string { return "sip:a" })
	})},
	{name: "faults with control characters", on: anyway, log: "\ufffd", script: func(e *exchange) error {
		return e.send(e.fault(-2147483648, "\x1b[2J\x00\u202e\xff"+strings.Repeat("\n", 5000)))
	}},
	{name: "methods of another program", on: anyway, list: true, log: "format is unknown", script: withValue(func() any {
		return []any{"core.kill", "\x1b[2J", "\xff", "", strings.Repeat("x", 1<<20), 7, nil, []any{"core.uptime"}}
	})},
	{name: "200,000 methods", on: anyway, list: true, log: "format is unknown|limit of", script: withValue(func() any {
		names := make([]any, 200_000)
		for i := range names {
			names[i] = fmt.Sprintf("core.kill%d", i)
		}
		return names
	})},
	// JSON and HTTP.
	{name: "1e999", on: overHTTP, log: "a number is out of range", script: withResult(`{"uptime":1e999}`)},
	{name: "NaN", on: overHTTP, log: "invalid character 'N'", script: withResult(`{"uptime":NaN}`)},
	{name: "a number of 10 MB", on: overHTTP, log: "beyond the limit of 16777216 bytes", script: withResult(`{"uptime":` + strings.Repeat("9", 10<<20) + `}`)},
	{name: "two results", on: overHTTP, log: "fault 1: x", script: withResult(`1,"result":2,"error":{"code":1,"message":"x"}`)},
	{name: "100,000 equal names", on: overHTTP, log: "reason=unknown_field", script: withResult(`{` + strings.Repeat(`"uptime":1,`, 100_000) + `"uptime":2}`)},
	{name: "gzip bomb", on: overHTTP, log: "not JSON-RPC: invalid character", script: func(e *exchange) error {
		e.http.Header().Set("Content-Encoding", "gzip")
		return e.send(gzipBomb)
	}},
	{name: "redirects", on: overHTTP, log: "answered 307 Temporary Redirect", script: func(e *exchange) error {
		http.Redirect(e.http, e.request, fmt.Sprintf("/RPC?%d", e.n), http.StatusTemporaryRedirect)
		return nil
	}},
	{name: "a megabyte of headers", on: overHTTP, script: func(e *exchange) error {
		for i := range 2000 {
			e.http.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
		}
		return e.send(e.packet())
	}},
	// Package http reads at most 10 MiB of headers of each response, which needs the time of the scrape.
	{name: "headers without end", on: overHTTP, log: "response headers exceeded|did not reply in time", slow: true, script: hijacked(func(conn net.Conn) error {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		return repeatTo(conn, bytes.Repeat([]byte("X-A: b\r\n"), 1000))
	})},
	{name: "informational responses without end", on: overHTTP, log: "informational responses", script: hijacked(func(conn net.Conn) error {
		return repeatTo(conn, bytes.Repeat([]byte("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"), 100))
	})},
	{name: "chunks with forged sizes", on: overHTTP, log: "http chunk length too large", script: hijacked(func(conn net.Conn) error {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{")
		return err
	})},
	{name: "a body that is shorter than its length", on: overHTTP, log: "unexpected EOF", script: hijacked(func(conn net.Conn) error {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
		return err
	})},
	{name: "status without a body", on: overHTTP, log: "answered 204 No Content", script: func(e *exchange) error {
		e.http.WriteHeader(http.StatusNoContent)
		return nil
	}},
}

var (
	deepStructs = bytes.Repeat([]byte{3}, 10_000_000)
	deepArrays  = bytes.Repeat([]byte("["), 10_000_000)
	gzipBomb    = func() []byte { // 64 MB of spaces
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		for range 64 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				panic(err)
			}
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
		return packed.Bytes()
	}()
)

// header returns the header of a BINRPC packet with 4 bytes for the length and the cookie each.
func (e *exchange) header(magic, flags byte, length uint32) []byte {
	h := binary.BigEndian.AppendUint32([]byte{magic, flags<<4 | 0x0f}, length)
	return binary.BigEndian.AppendUint32(h, e.cookie)
}

// wait waits for the end of the script.
func (e *exchange) wait() error {
	<-e.healed
	return errHangUp
}

// repeat sends bytes until the connection or the script ends.
func (e *exchange) repeat(piece []byte) error {
	for {
		select {
		case <-e.healed:
			return errHangUp
		default:
		}
		if err := e.send(piece); err != nil {
			return err
		}
	}
}

// repeatTo writes bytes to a connection until it is closed.
func repeatTo(conn net.Conn, piece []byte) error {
	for {
		if _, err := conn.Write(piece); err != nil {
			return err
		}
	}
}

func half(packet []byte) []byte { return packet[:len(packet)/2] }

// outOfOrder replies to two calls in the reverse order.
func outOfOrder(e *exchange) error {
	if len(*e.held) == 0 {
		*e.held = [][]byte{e.packet()}
		return nil
	}
	first := (*e.held)[0]
	*e.held = nil
	return errors.Join(e.send(e.packet()), e.send(first))
}

func twice(e *exchange) error { return errors.Join(e.send(e.packet()), e.send(e.packet())) }

// late sends each reply before the reply to the next call, and the first one after the end of the script.
func late(e *exchange) error {
	if len(*e.held) == 0 {
		*e.held = [][]byte{e.packet()}
		return e.wait()
	}
	return errors.Join(e.send((*e.held)[0]), e.wait())
}

func oneByteASecond(e *exchange) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for _, b := range e.packet() {
		if err := e.send([]byte{b}); err != nil {
			return err
		}
		select {
		case <-e.healed:
			return errHangUp
		case <-second.C:
		}
	}
	return nil
}

// reset sends a part of the reply and resets the connection. A unix socket does so when it is closed with data that was not read.
func reset(e *exchange) error {
	if e.http == nil {
		return errors.Join(e.send(half(e.packet())), errHangUp)
	}
	return hijacked(func(conn net.Conn) error {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return errHangUp
		}
		return tcp.SetLinger(0)
	})(e)
}

// hijacked returns a script that writes to the connection of HTTP, and then closes it.
func hijacked(write func(conn net.Conn) error) script {
	return func(e *exchange) error {
		conn, _, err := http.NewResponseController(e.http).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = write(conn) // an error means that the exporter closed the connection
		return nil
	}
}

// unasked sends 20,000 replies to other calls before each reply.
func unasked(e *exchange) error {
	other := *e
	other.cookie++
	packet := other.packetOf(7)
	for range 20_000 {
		if err := e.send(packet); err != nil {
			return err
		}
	}
	return reply(e)
}

// withValue returns a script that replies with a value to each call.
func withValue(value func() any) script {
	v, err := rpc.ValueOf(value())
	if err != nil {
		panic(err)
	}
	return func(e *exchange) error {
		e.reply = v
		return reply(e)
	}
}

// withResult returns a script that replies with the text as the result of JSON-RPC.
func withResult(text string) script {
	return func(e *exchange) error { return e.send(e.result(text)) }
}

// destinations returns a reply of dispatcher.list.
func destinations(n int, uri func(i int) string) rpc.Members {
	targets := rpc.Members{}
	for i := range n {
		targets = append(targets, rpc.Member{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: uri(i)}, {Name: "FLAGS", Value: "AP"}, {Name: "PRIORITY", Value: 1}}})
	}
	set := rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: targets}}
	return rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}}
}

// fieldNames are the fields of the replies to the methods that the exporter calls in this test.
var fieldNames = []string{"uptime", "now", "up_since", "current", "waiting", "total", "rpl_received", "2xx", "free", "used", "real_used", "fragments", "name", "value", "200"}

// fields returns a struct with a value for each field.
func fields(value func(i int) any) rpc.Members {
	var members rpc.Members
	for i, name := range fieldNames {
		members = append(members, rpc.Member{Name: name, Value: value(i)})
	}
	return members
}

// oddNumbers are values that are not numbers, that have wrapped, or that are negative.
func oddNumbers() any {
	values := []any{"NaN", "+Inf", "-Inf", "1e999", "18446744073709551615", "0x10", "1_000", "-1", -7198, -1, math.MaxInt32, -9.2e15, 9.2e15, "", nil}
	return fields(func(i int) any { return values[i%len(values)] })
}

// oddTexts are texts that are not UTF-8 or that have control characters, as values and as names.
func oddTexts() any {
	texts := []string{"\xff\xfe", "\x1b[2J\x07", "a\x00b", "\u202e", "\n# HELP x\n", "\"}\\", "\ufeff", "\u2028"}
	reply := destinations(len(texts), func(i int) string { return texts[i] })
	for i, text := range texts {
		reply = append(reply, rpc.Member{Name: strings.ReplaceAll(text, "\x00", ""), Value: i}, rpc.Member{Name: fieldNames[i], Value: text})
	}
	return reply
}
