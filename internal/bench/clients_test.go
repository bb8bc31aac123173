//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab/child"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// patience is the maximum time of each operation.
const patience = time.Minute

// work is the configuration of an exporter.
type work struct {
	on      *lab.Kamailio
	methods []string // empty for the exporter's default
	flags   []string
	gzip    bool
}

// exporter is a running exporter and a connection to it. It is scraped with Prometheus' request, but with a minimal
// client, because the client's work is not to be measured.
type exporter struct {
	pid     int
	started time.Time // before the start of the process and of its watchdog, which takes one or two milliseconds
	stop    func()
	conn    net.Conn
	reader  *bufio.Reader
	request string
	wanted  []string     // prefixes of lines that the page must contain
	body    bytes.Buffer // of the response
	page    []byte       // the uncompressed body
}

// startExporter starts an exporter, which is stopped at the end of the test or by stop.
func startExporter(t *testing.T, w work) *exporter {
	t.Helper()
	args := append([]string{"-l", "127.0.0.1:0", "-u", w.on.URI("unix")}, w.flags...)
	if len(w.methods) > 0 {
		args = append(args, "-m", strings.Join(w.methods, ","))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, *program, args...)
	log := child.NewLog()
	cmd.Stderr = log
	cmd.WaitDelay = patience
	e := &exporter{started: time.Now()}
	process, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	e.pid = cmd.Process.Pid
	e.stop = func() {
		cancel()
		<-process.Done()
	}
	t.Cleanup(func() {
		e.stop()
		if t.Failed() {
			t.Logf("the exporter's log:\n%s", log)
		}
	})
	listening, err := log.Await(child.Listening, process.Done(), patience)
	if err != nil {
		t.Fatal(err)
	}
	if e.conn, err = net.Dial("tcp", listening[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.conn.Close() })
	e.reader = bufio.NewReaderSize(e.conn, 1<<20)
	// The request of Prometheus 3, without headers that the exporter ignores.
	e.request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n" +
		"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"
	if w.gzip {
		e.request += "Accept-Encoding: gzip\r\n"
	}
	e.request += "\r\n"
	e.wanted = []string{"kamailio_up 1", "kamailio_exporter_failed_scrapes 0"}
	for _, method := range w.methods {
		e.wanted = append(e.wanted, fmt.Sprintf("kamailio_exporter_collector_success{collector=%q} 1", method))
	}
	return e
}

// scrape fetches the page and returns how long it took. The test fails if the page does not report success.
func (e *exporter) scrape(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	compressed, err := e.fetch()
	took := time.Since(begin)
	e.page = e.body.Bytes()
	if err == nil && compressed {
		e.page, err = gunzip(e.page)
	}
	if err != nil {
		t.Fatal("scrape:", err)
	}
	for _, start := range e.wanted {
		if !bytes.Contains(e.page, []byte("\n"+start)) {
			t.Fatalf("the page has no line %s", start)
		}
	}
	return took
}

func (e *exporter) fetch() (compressed bool, err error) {
	if err := e.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	if _, err := io.WriteString(e.conn, e.request); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(e.reader, nil)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	e.body.Reset()
	_, err = e.body.ReadFrom(response.Body)
	return response.Header.Get("Content-Encoding") == "gzip", err
}

func gunzip(packed []byte) ([]byte, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}

// scrapeEach scrapes n times, with an interval before each.
func (e *exporter) scrapeEach(t *testing.T, interval time.Duration, n int) {
	t.Helper()
	for range n {
		time.Sleep(interval)
		e.scrape(t)
	}
}

// firstCookie takes four bytes in a packet, as nearly all of the exporter's random cookies do.
const firstCookie = 0x80000000

// floor is a minimal client of ctl: it writes all requests at once, on one connection, and receives the replies. It does
// not decode them, it only finds the end of each.
type floor struct {
	conn     net.Conn
	requests []byte
	replies  int    // expected
	buffer   []byte // large enough for all replies of a scrape
}

// newFloor returns a client that is connected to ctl and sends the same requests as an exporter with the configuration w.
func newFloor(t *testing.T, w work) *floor {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(w.on.URI("unix"), "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := &floor{conn: conn, buffer: make([]byte, 4<<20)}
	collectors, err := collector.Select(w.methods)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range collectors {
		for _, call := range c.Calls(collector.Settings{}) {
			if f.requests, err = binrpc.AppendRequest(f.requests, firstCookie+uint32(f.replies), call); err != nil {
				t.Fatal(err)
			}
			f.replies++
		}
	}
	f.scrape(t)
	received := bufio.NewReader(bytes.NewReader(f.buffer))
	for range f.replies {
		if reply, err := binrpc.Read(received, rpc.Limits{}); err != nil || reply.Fault() != nil {
			t.Fatalf("floor: reply %v: %v", reply.Fault(), err)
		}
	}
	return f
}

// scrape sends the requests, receives the replies, and returns how long it took.
func (f *floor) scrape(t *testing.T) time.Duration {
	t.Helper()
	if err := f.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := f.conn.Write(f.requests); err != nil {
		t.Fatal(err)
	}
	have, start := 0, 0 // number of received bytes, and start of the incomplete reply
	for replies := 0; replies < f.replies; {
		n, err := f.conn.Read(f.buffer[have:])
		if err != nil || n == 0 {
			t.Fatalf("floor: %v after %d replies and %d bytes; the buffer has %d bytes", err, replies, have, len(f.buffer))
		}
		have += n
		for size := packetSize(f.buffer[start:have]); size > 0 && size <= have-start; size = packetSize(f.buffer[start:have]) {
			start += size
			replies++
		}
	}
	return time.Since(begin)
}

// packetSize returns the size of the packet at the start of b, or 0 if its header is not complete. The second byte of a
// header contains the sizes of the length and of the cookie, each minus one, in two bits. After it come the length of the
// records and the cookie.
func packetSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	lengthSize, cookieSize := int(b[1]>>2&3)+1, int(b[1]&3)+1
	if len(b) < 2+lengthSize {
		return 0
	}
	length := 0
	for _, c := range b[2 : 2+lengthSize] {
		length = length<<8 | int(c)
	}
	return 2 + lengthSize + cookieSize + length
}
