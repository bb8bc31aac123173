//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// The request of Prometheus 3, as far as the exporter looks at it.
const (
	getMetrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n" +
		"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"
	acceptGzip = "Accept-Encoding: gzip\r\n"
)

const (
	// clientBuffer is how much the client reads at once.
	clientBuffer = 1 << 20
	// pageBuffer is the room for a page, which grows where it has to.
	pageBuffer = 16 << 20
)

// client fetches the exporter's page as Prometheus does, on a connection that it keeps, and does as little as it can,
// since it is not what is measured.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	methods []string // that have to succeed
	body    bytes.Buffer
	page    []byte // the last page, in text
}

// dial connects to the exporter. The headers come on top of those of a request without compression. The connection lives
// no longer than ctx.
func (e *exporter) dial(ctx context.Context, headers string) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, fmt.Errorf("connect to the exporter: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	c := &client{
		conn:    conn,
		reader:  bufio.NewReaderSize(conn, clientBuffer),
		request: []byte(getMetrics + headers + "\r\n"),
		methods: e.methods,
	}
	c.body.Grow(pageBuffer)
	return c, nil
}

// scrape fetches the page, tells how long that took, and returns an error if anything on the page failed.
func (c *client) scrape() (time.Duration, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, fmt.Errorf("scrape: %w", err)
	}
	begin := time.Now()
	status, encoding, err := c.fetch()
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("scrape: %w", err)
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("scrape: status %d: %s", status, c.body.Bytes())
	}
	if c.page, err = c.text(encoding); err != nil {
		return 0, fmt.Errorf("scrape: unpack the page: %w", err)
	}
	if err := checkPage(c.page, c.methods); err != nil {
		return 0, fmt.Errorf("scrape: %w", err)
	}
	return took, nil
}

// once is scrape for those who do not ask how long it took.
func (c *client) once() error {
	_, err := c.scrape()
	return err
}

// warmUp scrapes before anything is measured. It also begins what the server counts as use of the connection, which else may
// not wait for its first request as long as some rows have it wait.
func (c *client) warmUp() error {
	for range warmUp {
		if err := c.once(); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads a whole response, its body into c.body.
func (c *client) fetch() (status int, encoding string, err error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, "", err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	c.body.Reset()
	if _, err := c.body.ReadFrom(response.Body); err != nil {
		return 0, "", err
	}
	return response.StatusCode, response.Header.Get("Content-Encoding"), nil
}

// text is the page that was fetched.
func (c *client) text(encoding string) ([]byte, error) {
	switch encoding {
	case "":
		return c.body.Bytes(), nil
	case "gzip":
		unpacked, err := gzip.NewReader(bytes.NewReader(c.body.Bytes()))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(unpacked)
	default:
		return nil, fmt.Errorf("its encoding is %q", encoding)
	}
}

// checkPage returns an error unless Kamailio answered all of these methods, and everything else that it was asked: figures
// of failures would be worthless.
func checkPage(page []byte, methods []string) error {
	wanted := []string{"kamailio_up 1", "kamailio_exporter_failed_scrapes 0"}
	for _, method := range methods {
		wanted = append(wanted, fmt.Sprintf("kamailio_exporter_collector_success{collector=%q} 1", method))
	}
	for _, start := range wanted { // of a line; the rest is ".0" or nothing
		if !bytes.Contains(page, []byte("\n"+start)) {
			return fmt.Errorf("the page has no line %s", start)
		}
	}
	return nil
}

// lines is how many the last page has.
func (c *client) lines() int { return bytes.Count(c.page, []byte("\n")) }

func (c *client) close() { _ = c.conn.Close() }
