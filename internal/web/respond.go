package web

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// pageBufferSize is how much is sent at once: most pages as a whole.
const pageBufferSize = 64 << 10

var pageBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, pageBufferSize) }}

// gzipWriters are kept, because each has large tables. This library takes half the
// time of the standard one at its fastest, and the next levels save little: see
// docs/performance.md.
var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // only a wrong level is an error
	return w
}}

// respond sends what write writes, in the encoding that the request asks for. It
// returns the error of write, and that of sending. What write needs is not used any
// more once write has returned: the rest of the page is in buffers then.
func respond(w *sender, r *http.Request, write func(*bufio.Writer) error) (written, sent error) {
	out := getPageBuffer(w)
	defer putPageBuffer(out)
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		written, sent = compress(out, write)
	} else {
		written = write(out)
	}
	if sent != nil {
		return written, sent
	}
	// A page that fits into the buffer is not sent in chunks. Where a part of a page
	// has been sent, it is too late for a header, and this has no effect.
	w.Header().Set("Content-Length", strconv.Itoa(out.Buffered()))
	return written, out.Flush()
}

// compress writes what write writes to w with gzip.
func compress(w io.Writer, write func(*bufio.Writer) error) (written, sent error) {
	z, _ := gzipWriters.Get().(*gzip.Writer) // nothing else is in it
	defer gzipWriters.Put(z)
	z.Reset(w)
	in := getPageBuffer(z)
	defer putPageBuffer(in)
	written = write(in)
	if sent = in.Flush(); sent == nil {
		sent = z.Close()
	}
	return written, sent
}

func getPageBuffer(w io.Writer) *bufio.Writer {
	buffer, _ := pageBuffers.Get().(*bufio.Writer) // nothing else is in it
	buffer.Reset(w)
	return buffer
}

func putPageBuffer(buffer *bufio.Writer) {
	buffer.Reset(nil)
	pageBuffers.Put(buffer)
}

// acceptsGzip reports whether the header Accept-Encoding allows gzip (RFC 9110,
// section 12.5.3). Weights other than 0 make no difference: Prometheus asks for gzip
// alone.
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

// isZero reports whether a weight, such as q=0.5, is 0.
func isZero(weight string) bool {
	name, value, _ := strings.Cut(weight, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q <= 0
}
