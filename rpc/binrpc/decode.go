package binrpc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// The types of records.
const (
	typeInt    = 0
	typeString = 1
	typeDouble = 2
	typeStruct = 3
	typeArray  = 4
	typeName   = 5 // an avp: the name of the value that follows
	typeBytes  = 6
)

// nullText is the text that Kamailio sends for a string that is NULL.
const nullText = "<null string>"

// guessValues estimates the number of values in that many bytes. If there are more,
// the tape grows. Kamailio's replies have 9 to 30 bytes per value: 13 in the largest,
// the reply to dispatcher.list, for which the tape should not grow, and 27 in the
// most frequent of the small ones, the reply to stats.fetch.
func guessValues(bytes int) int {
	if bytes > firstChunk {
		return bytes / 12
	}
	return bytes/24 + 16
}

// parseRecords decodes the records of a packet of any kind, and returns the value and
// the number of values.
func parseRecords(records []byte, allowed *budget.Allowance) (rpc.Value, int, error) {
	value, values, err := decode(records, allowed.Values, allowed.Depth)
	return value, values, limitError(err, allowed)
}

// decode decodes records with at most maxValues values and maxDepth levels. It
// returns the value and the number of values.
func decode(records []byte, maxValues, maxDepth int) (rpc.Value, int, error) {
	var d decoder
	d.start(len(records), len(records), maxValues, maxDepth)
	d.write(records)
	values := d.builder.Len()
	value, err := d.finish()
	return value, values, err
}

// Errors of a decoder for records that exceed a limit; limitError adds the limit.
var (
	errTooManyValues = errors.New("too many values")
	errTooDeep       = errors.New("nested too deep")
)

// limitError converts the error of a decoder to the one that callers get.
func limitError(err error, allowed *budget.Allowance) error {
	switch {
	case errors.Is(err, errTooManyValues):
		return allowed.ValuesError()
	case errors.Is(err, errTooDeep):
		return allowed.DepthError()
	default:
		return err
	}
}

// decoder decodes the records of a packet as they arrive, so that a large reply is
// decoded shortly after its last byte has arrived. It makes one pass and is not
// recursive, so nested records do not use its stack.
type decoder struct {
	bytes     strings.Builder
	text      string // contents of bytes
	length    int    // length of all records, in bytes
	at        int    // offset of the next record in text
	maxValues int
	maxDepth  int
	builder   *tape.Builder
	name      tape.Span // name of the next value
	named     bool      // whether name is set
	err       error
}

// start prepares the decoder for records of that length, of which it allocates
// capacity for the first bytes.
func (d *decoder) start(length, capacity, maxValues, maxDepth int) {
	d.length, d.maxValues, d.maxDepth = length, maxValues, maxDepth
	d.builder = tape.NewBuilder(min(guessValues(capacity), maxValues))
	d.bytes.Grow(capacity)
}

// write adds bytes and decodes the records that are complete. After an error it does
// nothing.
func (d *decoder) write(b []byte) {
	if d.err != nil {
		return
	}
	d.bytes.Write(b)
	d.text = d.bytes.String()
	for d.at < len(d.text) {
		start := d.at
		if err := d.record(); err != nil {
			if d.at = start; !errors.Is(err, errMoreToCome) {
				d.err = err
			}
			return
		}
	}
}

// finish returns the value of all records, or the first error.
func (d *decoder) finish() (rpc.Value, error) {
	if d.err != nil {
		return rpc.Value{}, d.err
	}
	if d.named {
		return rpc.Value{}, d.wrong(d.at, "a name without a value")
	}
	if d.builder.Depth() > 0 {
		return rpc.Value{}, d.wrong(d.at, "%s without an end", rpc.Kind(d.builder.Inside()))
	}
	return rpc.Value(d.builder.Finish(d.text)), nil
}

// errMoreToCome is the error of a record whose rest has not arrived yet.
var errMoreToCome = errors.New("more to come")

// short returns the error of a record that is longer than the bytes so far:
// errMoreToCome if more bytes will arrive, otherwise a SyntaxError.
func (d *decoder) short(start int, format string, args ...any) error {
	if len(d.text) < d.length {
		return errMoreToCome
	}
	return d.wrong(start, format, args...)
}

func (d *decoder) wrong(at int, format string, args ...any) error {
	return &SyntaxError{at, fmt.Sprintf(format, args...)}
}

// record decodes the record at d.at: a value, a name, or the start or end of a struct
// or an array.
func (d *decoder) record() error {
	start := d.at
	mark := d.text[start]
	kind := mark & 0x0f
	if kind == typeStruct || kind == typeArray {
		d.at++
		return d.container(start, mark>>4, kind)
	}
	size := int(mark >> 4)
	d.at++
	if size >= 8 && kind != typeDouble {
		var err error
		if size, err = d.longSize(start, size&7); err != nil {
			return err
		}
	}
	if size > len(d.text)-d.at {
		return d.short(start, "a record of %d bytes, but only %d are left", size, len(d.text)-d.at)
	}
	at := d.at
	d.at += size
	if kind == typeName {
		return d.setName(start, at, size)
	}
	if d.builder.Len() >= d.maxValues {
		return errTooManyValues
	}
	return d.value(start, kind, at, size)
}

// longSize reads a size of sizeOfSize bytes at d.at, and moves d.at behind it.
func (d *decoder) longSize(start, sizeOfSize int) (int, error) {
	if sizeOfSize == 0 || sizeOfSize > 4 {
		return 0, d.wrong(start, "a size of %d bytes, it must have 1 to 4", sizeOfSize)
	}
	if sizeOfSize > len(d.text)-d.at {
		return 0, d.short(start, "a size of %d bytes, but only %d are left", sizeOfSize, len(d.text)-d.at)
	}
	size := clamp(d.number(d.at, sizeOfSize))
	d.at += sizeOfSize
	return size, nil
}

// number reads a big-endian number of at most eight bytes.
func (d *decoder) number(at, size int) uint64 {
	var n uint64
	for _, c := range []byte(d.text[at : at+size]) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (d *decoder) setName(start, at, size int) error {
	switch {
	case d.named:
		return d.wrong(start, "a name after a name")
	case d.builder.Inside() != tape.Struct:
		return d.wrong(start, "a name outside of a struct")
	}
	d.name, d.named = d.string(at, size), true
	return nil
}

// takeName returns the name of the current value, the empty one if it has none.
func (d *decoder) takeName() tape.Span {
	name := d.name
	d.name, d.named = tape.Span{}, false
	return name
}

// string returns a string without the zero byte at its end. Kamailio always sends
// that byte, but a string without it is accepted too.
func (d *decoder) string(at, size int) tape.Span {
	if size > 0 && d.text[at+size-1] == 0 {
		size--
	}
	return tape.Span{At: uint32(at), Len: uint32(size)}
}

func (d *decoder) value(start int, kind byte, at, size int) error {
	switch kind {
	case typeInt:
		if size > 4 {
			return d.wrong(start, "an int of %d bytes, it must have at most 4", size)
		}
		d.builder.Int(d.takeName(), int64(int32(d.number(at, size))))
	case typeDouble:
		if size > 8 {
			return d.wrong(start, "a double of %d bytes, it must have at most 8", size)
		}
		d.builder.Double(d.takeName(), float64(int64(d.number(at, size)))/1000)
	case typeString:
		span := d.string(at, size)
		if d.text[at:at+int(span.Len)] == nullText {
			d.builder.Null(d.takeName())
			return nil
		}
		d.builder.Text(tape.String, d.takeName(), span)
	case typeBytes:
		d.builder.Text(tape.Bytes, d.takeName(), tape.Span{At: uint32(at), Len: uint32(size)})
	default:
		return d.wrong(start, "a record of unknown type %d", kind)
	}
	return nil
}

func (d *decoder) container(start int, size, kind byte) error {
	opened := tape.Struct
	if kind == typeArray {
		opened = tape.Array
	}
	switch size {
	case 0:
		if d.builder.Depth() >= d.maxDepth {
			return errTooDeep
		}
		if d.builder.Len() >= d.maxValues {
			return errTooManyValues
		}
		d.builder.Open(opened, d.takeName())
	case 8:
		if d.builder.Inside() != opened {
			return d.wrong(start, "the end of %s that was not started", withArticle(opened))
		}
		if d.named {
			return d.wrong(start, "a name without a value")
		}
		d.builder.Close()
	default:
		return d.wrong(start, "%s with the size %d, which is neither start nor end", withArticle(opened), size)
	}
	return nil
}

func withArticle(kind tape.Kind) string {
	article := "a "
	if strings.HasPrefix(rpc.Kind(kind).String(), "a") {
		article = "an "
	}
	return article + rpc.Kind(kind).String()
}
