package web

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// pageBufferSize is the size of the parts in which a page is sent, in bytes. Most pages
// have one part.
const pageBufferSize = 64 << 10

var pageBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, pageBufferSize) }}

// gzipWriters are reused, because each has large tables. This library takes half the
// time of the standard one at the fastest level. Higher levels save little: see
// docs/performance.md.
var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // an error means a wrong level
	return w
}}

// respond sends the page that write writes, in an encoding that the request accepts. A
// page of less than smallest bytes is not compressed. It
// returns the error of write and that of sending. When write has returned, the rest of
// the page is in buffers, and write's data is no longer needed.
func respond(w *sender, r *http.Request, smallest int, write func(*bufio.Writer) error) (written, sent error) {
	out := getPageBuffer(w)
	defer putPageBuffer(out)
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		var compressed bool
		if compressed, written, sent = compress(out, smallest, write); !compressed {
			w.Header().Del("Content-Encoding")
		}
	} else {
		written = write(out)
	}
	if sent != nil {
		return written, sent
	}
	// A page that fits into the buffer is not sent in chunks. If a part of the page has
	// already been sent, setting a header has no effect.
	w.Header().Set("Content-Length", strconv.Itoa(out.Buffered()))
	return written, out.Flush()
}

// minProbe is the size of the smallest page of a probe that is compressed, in bytes. A smaller one has few packets, and
// compressing it takes 15 to 20 % of the CPU time of its scrape, which matters to an exporter with many targets.
const minProbe = 16 << 10

// compress compresses the page that write writes to out with gzip. It does not compress a page of less than smallest bytes, and
// returns false then.
func compress(out *bufio.Writer, smallest int, write func(*bufio.Writer) error) (compressed bool, written, sent error) {
	z := &largePageWriter{out: out, smallest: smallest}
	in := getPageBuffer(z)
	defer putPageBuffer(in)
	written = write(in)
	z.last = true
	sent = in.Flush()
	return z.gzip != nil, written, errors.Join(sent, z.close())
}

// largePageWriter compresses what is written to it, except a small page in one piece.
type largePageWriter struct {
	out      *bufio.Writer
	smallest int          // size of the smallest page that is compressed
	last     bool         // the next piece is the last one
	gzip     *gzip.Writer // nil until a piece is compressed
}

// Write implements io.Writer.
func (w *largePageWriter) Write(piece []byte) (int, error) {
	if w.gzip == nil && w.last && len(piece) < w.smallest {
		return w.out.Write(piece)
	}
	if w.gzip == nil {
		w.gzip, _ = gzipWriters.Get().(*gzip.Writer) // the pool has no other type
		w.gzip.Reset(w.out)
	}
	return w.gzip.Write(piece)
}

// close ends the compressed page.
func (w *largePageWriter) close() error {
	if w.gzip == nil {
		return nil
	}
	defer gzipWriters.Put(w.gzip)
	return w.gzip.Close()
}

func getPageBuffer(w io.Writer) *bufio.Writer {
	buffer, _ := pageBuffers.Get().(*bufio.Writer) // the pool has no other type
	buffer.Reset(w)
	return buffer
}

func putPageBuffer(buffer *bufio.Writer) {
	buffer.Reset(nil)
	pageBuffers.Put(buffer)
}

// acceptsGzip reports whether the header Accept-Encoding allows gzip (RFC 9110,
// section 12.5.3). Weights other than 0 are ignored: Prometheus accepts gzip only.
func acceptsGzip(header http.Header) bool {
	anything := false
	for _, line := range header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(item, ";")
			wanted := !isZero(weight)
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return wanted
			case "*":
				anything = wanted
			}
		}
	}
	return anything
}

// isZero reports whether a weight, for example q=0.5, is 0.
func isZero(weight string) bool {
	name, value, _ := strings.Cut(weight, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q <= 0
}
