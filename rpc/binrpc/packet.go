package binrpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
)

const (
	magicVersion  = 0xA1 // magic number 0xA, version 1
	minHeaderSize = 4
	maxHeaderSize = 10
)

// Kind is the kind of a packet.
type Kind uint8

// The kinds of packets, with their values on the wire.
const (
	KindRequest Kind = 0
	KindReply   Kind = 1
	KindFault   Kind = 3
)

// SyntaxError says that bytes are not BINRPC.
type SyntaxError struct {
	// Offset is where in the packet, counted from its first byte.
	Offset int
	// Problem is what is wrong there.
	Problem string
}

// Error says what is wrong, and where.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not BINRPC: %s at byte %d", e.Problem, e.Offset)
}

// header is the start of a packet.
type header struct {
	kind   Kind
	length int // of the records, in bytes
	cookie uint32
	size   int // of the header itself, in bytes
}

// parseHeader reads a header. Where b is too short for it, the error is
// io.ErrUnexpectedEOF and size says how many bytes it takes, as far as is known.
func parseHeader(b []byte) (header, error) {
	if len(b) > 0 && b[0] != magicVersion {
		return header{}, &SyntaxError{0, fmt.Sprintf("0x%02x where a packet starts with 0x%02x", b[0], magicVersion)}
	}
	if len(b) < minHeaderSize {
		return header{size: minHeaderSize}, io.ErrUnexpectedEOF
	}
	h := header{kind: Kind(b[1] >> 4)}
	if h.kind != KindRequest && h.kind != KindReply && h.kind != KindFault {
		return header{}, &SyntaxError{1, fmt.Sprintf("unknown packet flags 0x%x", b[1]>>4)}
	}
	lengthSize, cookieSize := int(b[1]>>2&3)+1, int(b[1]&3)+1
	h.size = 2 + lengthSize + cookieSize
	if len(b) < h.size {
		return h, io.ErrUnexpectedEOF
	}
	h.length = clamp(uint64(bigEndian(b[2 : 2+lengthSize])))
	h.cookie = bigEndian(b[2+lengthSize : h.size])
	return h, nil
}

// clamp makes an int of a length that a peer chose, which may be more than an
// int of 32 bits holds. What comes out then is still beyond all that exists.
func clamp(n uint64) int { return int(min(n, math.MaxInt)) }

// bigEndian reads at most four bytes as a number.
func bigEndian(b []byte) uint32 {
	var n uint32
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

// byteLen is how many bytes a number takes; none for zero.
func byteLen(n uint64) int { return (bits.Len64(n) + 7) / 8 }

func appendBigEndian(b []byte, n uint64, size int) []byte {
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// appendHeader writes a header in the fewest bytes, as Kamailio does.
func appendHeader(b []byte, kind Kind, length int, cookie uint32) []byte {
	lengthSize := max(byteLen(uint64(length)), 1)
	cookieSize := max(byteLen(uint64(cookie)), 1)
	b = append(b, magicVersion, byte(kind)<<4|byte(lengthSize-1)<<2|byte(cookieSize-1))
	b = appendBigEndian(b, uint64(length), lengthSize)
	return appendBigEndian(b, uint64(cookie), cookieSize)
}

// Message is a parsed packet.
type Message struct {
	Kind Kind
	// Cookie is the number that a reply has from its request.
	Cookie uint32
	// Value is the record of the packet if there is one, else an Array of its records.
	// The first record of a request is the method; those of a fault are its code and
	// its reason.
	Value rpc.Value
}

// Parse decodes one whole packet, and nothing behind it. It copies what it
// needs of packet. The errors are [*SyntaxError] and [*rpc.LimitError], and
// io.ErrUnexpectedEOF, wrapped, if the packet is longer than the bytes. With an
// error about what is behind the header, Kind and Cookie are set.
func Parse(packet []byte, limits rpc.Limits) (Message, error) {
	limits = limits.WithDefaults() // and no budget, which would cost a small packet 5 % of its time
	h, err := parseHeader(packet)
	if err != nil {
		return Message{}, fmt.Errorf("a packet of %d bytes: %w", len(packet), err)
	}
	m := Message{Kind: h.kind, Cookie: h.cookie}
	if h.length > min(limits.Size, limits.TotalSize) {
		allowed := budget.ForOne(limits)
		return m, allowed.SizeError()
	}
	have := len(packet) - h.size
	if have < h.length {
		return m, fmt.Errorf("%d bytes of a packet of %d: %w", len(packet), h.size+h.length, io.ErrUnexpectedEOF)
	}
	if have > h.length {
		return m, &SyntaxError{h.size + h.length, fmt.Sprintf("%d bytes behind the packet", have-h.length)}
	}
	m.Value, _, err = decode(packet[h.size:], min(limits.Values, limits.TotalValues), limits.Depth)
	if err != nil {
		allowed := budget.ForOne(limits)
		err = behindHeader(h, limitError(err, &allowed))
	}
	return m, err
}

// Read reads and decodes one packet, and reads nothing behind it. It blocks until
// a whole packet has arrived. The errors are those of the reader and those of
// [Parse]; io.EOF means that the input ended before a packet. With an error about
// what is behind the header, Kind and Cookie are set, and after one about its
// records another packet can be read.
func Read(r *bufio.Reader, limits rpc.Limits) (Message, error) {
	allowed := budget.ForOne(limits.WithDefaults())
	p, err := readPacket(r, &allowed, firstChunk, func() error { return nil })
	if err == nil {
		err = p.wrong
	}
	return Message{p.kind, p.cookie, p.value}, err
}

// behindHeader makes an error about records one about their packet.
func behindHeader(h header, err error) error {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		syntax.Offset += h.size
	}
	return err
}

// Fault is the message's fault, nil if its Kind is another. One that does not
// hold a code and a reason has what there is of them.
func (m Message) Fault() *rpc.Fault {
	if m.Kind != KindFault {
		return nil
	}
	fault := &rpc.Fault{}
	for record := range m.Value.Rows() {
		if code, ok := record.Int(); ok {
			fault.Code = int(code)
		}
		if text := record.Text(); text != "" {
			fault.Reason = text
		}
	}
	return fault
}

// Call is the method and the arguments of a request.
func (m Message) Call() (rpc.Call, error) {
	var call rpc.Call
	if m.Kind != KindRequest {
		return call, errors.New("the packet is no request")
	}
	for record := range m.Value.Rows() {
		if call.Method != "" {
			call.Args = append(call.Args, record.Interface())
			continue
		}
		if call.Method = record.Text(); call.Method == "" {
			break
		}
	}
	if call.Method == "" {
		return call, errors.New("the request does not start with the name of a method")
	}
	return call, nil
}

// firstChunk is how much of a packet is made room for before any of it is
// there. The rest is made room for as it arrives, so that a length in a header
// costs nothing by itself.
const firstChunk = 64 << 10

// packet is a packet that was read.
type packet struct {
	header
	value  rpc.Value
	values int // how many there are
	// wrong is why there is no value: the records are not BINRPC, or too many.
	wrong error
}

// readPacket reads one packet and decodes it as it comes; room is for how many
// bytes of records it may make room at once. Before it reads something that is not
// in r's buffer yet, it calls waiting. A packet whose records cannot be decoded, or
// for which a batch has nothing left, is read to its end.
func readPacket(r *bufio.Reader, allowed *budget.Allowance, room int, waiting func() error) (packet, error) {
	h, err := readHeader(r, waiting)
	if err != nil {
		return packet{header: h}, err
	}
	if h.length > allowed.Limits().Size {
		return packet{header: h}, &rpc.LimitError{What: "bytes", Limit: allowed.Limits().Size}
	}
	if h.length > allowed.Size {
		return packet{header: h, wrong: allowed.SizeError()}, readRecords(r, h, waiting, nil)
	}
	var d decoder
	d.start(h.length, min(h.length, room), allowed.Values, allowed.Depth)
	if err := readRecords(r, h, waiting, &d); err != nil {
		return packet{header: h}, err
	}
	values := d.builder.Len()
	value, err := d.finish()
	return packet{h, value, values, behindHeader(h, limitError(err, allowed))}, nil
}

// readRecords hands the records of a packet to a decoder, piece by piece. Without a
// decoder they are discarded.
func readRecords(r *bufio.Reader, h header, waiting func() error, d *decoder) error {
	for have := 0; have < h.length; {
		chunk, err := readChunk(r, h.length-have, waiting)
		if err != nil {
			return &cutError{h.size + have, h.size + h.length, err}
		}
		if d != nil {
			d.write(chunk)
		}
		have += len(chunk)
	}
	return nil
}

// readChunk returns what is in r's buffer, at most so many bytes; if nothing is, it
// reads once. The bytes are good until the next read.
func readChunk(r *bufio.Reader, most int, waiting func() error) ([]byte, error) {
	if r.Buffered() == 0 {
		if err := waiting(); err != nil {
			return nil, err
		}
		if _, err := r.Peek(1); err != nil {
			return nil, err
		}
	}
	chunk, err := r.Peek(min(most, r.Buffered()))
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(len(chunk))
	return chunk, err
}

// readHeader goes on as long as what is there is no whole header.
func readHeader(r *bufio.Reader, waiting func() error) (header, error) {
	for {
		b, err := r.Peek(r.Buffered())
		if err != nil {
			return header{}, err
		}
		h, err := parseHeader(b)
		if err == nil {
			_, err = r.Discard(h.size)
			return h, err
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return h, err
		}
		have := len(b)
		if have > 0 {
			if err := waiting(); err != nil {
				return h, err
			}
		}
		if _, err := r.Peek(have + 1); err != nil {
			if have > 0 {
				err = &cutError{have, h.size, err}
			}
			return h, err
		}
	}
}

// cutError is an error in the middle of a packet.
type cutError struct {
	have, want int // bytes; want is what the header takes until all of that is there
	err        error
}

func (e *cutError) Error() string {
	return fmt.Sprintf("after %d of %d bytes: %v", e.have, e.want, e.Unwrap())
}

// Unwrap returns io.ErrUnexpectedEOF for io.EOF, since the end came within a packet.
func (e *cutError) Unwrap() error {
	if errors.Is(e.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return e.err
}
