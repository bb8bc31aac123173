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

// nullText is how Kamailio sends a string that is NULL.
const nullText = "<null string>"

// guessValues guesses how many values that many bytes hold. If there are more, the
// tape grows. Kamailio's replies have 9 to 30 bytes to a value: the largest, of
// dispatcher.list, has 13 and should not grow; among the small ones, that of
// stats.fetch is asked most and has 27.
func guessValues(bytes int) int {
	if bytes > firstChunk {
		return bytes / 12
	}
	return bytes/24 + 16
}

// parseRecords decodes the records of a packet, of any kind, and returns how many
// values there are.
func parseRecords(records []byte, allowed *budget.Allowance) (rpc.Value, int, error) {
	value, values, err := decode(records, allowed.Values, allowed.Depth)
	return value, values, limitError(err, allowed)
}

// decode decodes records of at most so many values and levels.
func decode(records []byte, most, depth int) (rpc.Value, int, error) {
	var d decoder
	d.start(len(records), len(records), most, depth)
	d.write(records)
	values := d.builder.Len()
	value, err := d.finish()
	return value, values, err
}

// What a decoder says of records that are not allowed; limitError names the limit.
var (
	errTooManyValues = errors.New("too many values")
	errTooDeep       = errors.New("nested too deep")
)

// limitError is an error of a decoder as its caller gets it.
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

// decoder decodes the records of a packet as they come, so that a large reply is
// decoded by the time that its last byte is there. It takes one pass and keeps no
// stack of its own, so nesting costs nothing but the limit.
type decoder struct {
	bytes   strings.Builder
	text    string // what bytes has
	length  int    // of the records, when all are there
	at      int    // in text, where the next record starts
	values  int    // how many values are allowed
	depth   int    // how deep they may be nested
	builder *tape.Builder
	name    tape.Span // of the next value
	named   bool      // whether name is to be used
	err     error
}

// start prepares for records of that length, with room for so many of their bytes,
// and for at most so many values.
func (d *decoder) start(length, room, values, depth int) {
	d.length, d.values, d.depth = length, values, depth
	d.builder = tape.NewBuilder(min(guessValues(room), values))
	d.bytes.Grow(room)
}

// write takes the next bytes and decodes the records that are whole by now. After
// an error it does nothing.
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

// finish returns what all the bytes were.
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

// errMoreToCome is a record that is not there as a whole.
var errMoreToCome = errors.New("more to come")

// short is the error of a record that has more bytes than are there.
func (d *decoder) short(start int, format string, args ...any) error {
	if len(d.text) < d.length {
		return errMoreToCome
	}
	return d.wrong(start, format, args...)
}

func (d *decoder) wrong(at int, format string, args ...any) error {
	return &SyntaxError{at, fmt.Sprintf(format, args...)}
}

// record decodes what starts at d.at: a value, a name, or the start or the end
// of a struct or an array.
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
		return d.short(start, "a record of %d bytes where %d are left", size, len(d.text)-d.at)
	}
	at := d.at
	d.at += size
	if kind == typeName {
		return d.setName(start, at, size)
	}
	if d.builder.Len() >= d.values {
		return errTooManyValues
	}
	return d.value(start, kind, at, size)
}

// longSize reads a size that has bytes of its own, that many, and moves on to
// what is behind them.
func (d *decoder) longSize(start, sizeOfSize int) (int, error) {
	if sizeOfSize == 0 || sizeOfSize > 4 {
		return 0, d.wrong(start, "a size of %d bytes, 1 to 4 are allowed", sizeOfSize)
	}
	if sizeOfSize > len(d.text)-d.at {
		return 0, d.short(start, "a size of %d bytes where %d are left", sizeOfSize, len(d.text)-d.at)
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
		return d.wrong(start, "a name behind a name")
	case d.builder.Inside() != tape.Struct:
		return d.wrong(start, "a name outside of a struct")
	}
	d.name, d.named = d.string(at, size), true
	return nil
}

// takeName returns the name of the value at hand, the empty one where it has
// none.
func (d *decoder) takeName() tape.Span {
	name := d.name
	d.name, d.named = tape.Span{}, false
	return name
}

// string is a string without the zero byte at its end. One that lacks it is
// taken whole: Kamailio always sends it, but nothing depends on it here.
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
			return d.wrong(start, "an int of %d bytes, at most 4 are allowed", size)
		}
		d.builder.Int(d.takeName(), int64(int32(d.number(at, size))))
	case typeDouble:
		if size > 8 {
			return d.wrong(start, "a double of %d bytes, at most 8 are allowed", size)
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
		if d.builder.Depth() >= d.depth {
			return errTooDeep
		}
		if d.builder.Len() >= d.values {
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
