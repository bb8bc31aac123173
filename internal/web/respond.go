package web

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// pageBuffers hold what is written at once: most pages as a whole.
var pageBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

// gzipWriters are kept, because each has large tables. This library takes half the
// time of the standard one at its fastest, and the next levels save little: see
// docs/performance.md.
var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // only a wrong level is an error
	return w
}}

// respond sends what write writes, in the encoding that the request asks for.
// It returns the error of write, and that of sending.
func respond(w http.ResponseWriter, r *http.Request, write func(*bufio.Writer) error) (written, sent error) {
	if acceptsGzip(r.Header) {
		return respondGzip(w, write)
	}
	buffer, _ := pageBuffers.Get().(*bufio.Writer) // nothing else is in it
	defer putPageBuffer(buffer)
	buffer.Reset(w)
	written = write(buffer)
	// A page that fits in need not be sent in chunks. Where a part of a page has been
	// sent, it is too late for a header, and this has no effect.
	w.Header().Set("Content-Length", strconv.Itoa(buffer.Buffered()))
	return written, buffer.Flush()
}

func respondGzip(w http.ResponseWriter, write func(*bufio.Writer) error) (written, sent error) {
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := gzipWriters.Get().(*gzip.Writer) // nothing else is in it
	defer gzipWriters.Put(z)
	z.Reset(w)
	buffer, _ := pageBuffers.Get().(*bufio.Writer)
	defer putPageBuffer(buffer)
	buffer.Reset(z)
	written = write(buffer)
	if sent = buffer.Flush(); sent == nil {
		sent = z.Close()
	}
	return written, sent
}

func putPageBuffer(buffer *bufio.Writer) {
	buffer.Reset(nil)
	pageBuffers.Put(buffer)
}

// acceptsGzip tells whether the header Accept-Encoding has gzip in it, and not to
// say that it must not be (RFC 9110, section 12.5.3). What is better than what
// matters not: Prometheus asks for gzip alone.
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

// isZero tells whether a weight, such as q=0.5, is nought.
func isZero(weight string) bool {
	name, value, _ := strings.Cut(weight, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q <= 0
}
