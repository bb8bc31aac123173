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

// The kinds of packets. Their values are those of the flags in the header. Source:
// BINRPC_REQ, BINRPC_REPL and BINRPC_FAULT in Kamailio's src/modules/ctl/binrpc.h.
const (
	KindRequest Kind = 0
	KindReply   Kind = 1
	KindFault   Kind = 3
)

// SyntaxError is the error of a packet that is not valid BINRPC.
type SyntaxError struct {
	// Offset is the position of the problem in the packet, in bytes; the first byte
	// is 0.
	Offset int
	// Problem describes the problem.
	Problem string
}

// Error returns the problem and its offset.
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

// parseHeader reads the header at the start of b. If b is too short, it returns
// io.ErrUnexpectedEOF, and size is the size of the header as far as b contains it.
func parseHeader(b []byte) (header, error) {
	if len(b) > 0 && b[0] != magicVersion {
		return header{}, &SyntaxError{0, fmt.Sprintf("0x%02x instead of 0x%02x, the start of a packet,", b[0], magicVersion)}
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

// clamp converts a length from a packet to an int. A length that does not fit an int
// of 32 bits becomes the maximum, which is beyond every limit too.
func clamp(n uint64) int { return int(min(n, math.MaxInt)) }

// bigEndian reads at most four bytes as a number.
func bigEndian(b []byte) uint32 {
	var n uint32
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

// byteLen returns the minimum number of bytes for a number, 0 for zero.
func byteLen(n uint64) int { return (bits.Len64(n) + 7) / 8 }

func appendBigEndian(b []byte, n uint64, size int) []byte {
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// appendHeader appends a header in the minimum number of bytes, as Kamailio does.
func appendHeader(b []byte, kind Kind, length int, cookie uint32) []byte {
	lengthSize := max(byteLen(uint64(length)), 1)
	cookieSize := max(byteLen(uint64(cookie)), 1)
	b = append(b, magicVersion, byte(kind)<<4|byte(lengthSize-1)<<2|byte(cookieSize-1))
	b = appendBigEndian(b, uint64(length), lengthSize)
	return appendBigEndian(b, uint64(cookie), cookieSize)
}

// Message is a parsed packet.
type Message struct {
	// Kind is the kind of the packet.
	Kind Kind
	// Cookie is a number that a server copies from a request to its reply.
	Cookie uint32
	// Value is the record of the packet if it has one record, an Array of the records
	// if it has none or several. The first record of a request is the method; the
	// records of a fault are its code and its reason.
	Value rpc.Value
}

// Parse decodes one packet; bytes after it are an error. Parse does not keep a
// reference to packet. The errors are [*SyntaxError], [*rpc.LimitError], and a wrapped
// io.ErrUnexpectedEOF if the bytes end before the packet. If the error concerns the
// part after the header, Kind and Cookie are set.
func Parse(packet []byte, limits rpc.Limits) (Message, error) {
	limits = limits.WithDefaults() // no budget: it would make small packets 5 % slower
	h, err := parseHeader(packet)
	if err != nil {
		return Message{}, fmt.Errorf("parse a packet of %d bytes: %w", len(packet), err)
	}
	m := Message{Kind: h.kind, Cookie: h.cookie}
	if h.length > min(limits.Size, limits.TotalSize) {
		allowed := budget.ForOne(limits)
		return m, allowed.SizeError()
	}
	have := len(packet) - h.size
	if have < h.length {
		return m, fmt.Errorf("parse %d of the %d bytes of a packet: %w", len(packet), h.size+h.length, io.ErrUnexpectedEOF)
	}
	if have > h.length {
		return m, &SyntaxError{h.size + h.length, fmt.Sprintf("%d bytes after the packet", have-h.length)}
	}
	m.Value, _, err = decode(packet[h.size:], min(limits.Values, limits.TotalValues), limits.Depth)
	if err != nil {
		allowed := budget.ForOne(limits)
		err = behindHeader(h, limitError(err, &allowed))
	}
	return m, err
}

// Read reads and decodes one packet from r, and no byte after it. It blocks until the
// whole packet has arrived. The errors are those of r and of [Parse]; io.EOF means
// that the input ended before the first byte of a packet. If the error concerns the
// part after the header, Kind and Cookie are set. After an error about the records,
// other than one about their size, the next packet can be read.
func Read(r *bufio.Reader, limits rpc.Limits) (Message, error) {
	allowed := budget.ForOne(limits.WithDefaults())
	p, err := readPacket(r, &allowed, firstChunk, func() error { return nil })
	if err == nil {
		err = p.wrong
	}
	return Message{p.kind, p.cookie, p.value}, err
}

// behindHeader changes the offset of a SyntaxError in the records to the offset in
// the packet, and returns err.
func behindHeader(h header, err error) error {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		syntax.Offset += h.size
	}
	return err
}

// Fault returns the fault of a message of [KindFault], and nil for other kinds. A
// code that is missing in the packet is 0, a missing reason "".
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

// Call returns the method and the arguments of a request. It returns an error for
// other kinds, and if the first record is not the name of a method.
func (m Message) Call() (rpc.Call, error) {
	var call rpc.Call
	if m.Kind != KindRequest {
		return call, errors.New("the packet is not a request")
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

// firstChunk is the number of bytes that are allocated for a packet before its
// records arrive. More is allocated as they arrive, so that a large length in a header
// does not allocate memory by itself.
const firstChunk = 64 << 10

// packet is a packet that was read to its end.
type packet struct {
	header
	value  rpc.Value
	values int // number of values
	// wrong is the error of records that are not valid or exceed a limit. It is nil if
	// there is a value.
	wrong error
}

// readPacket reads one packet and decodes it as it arrives; capacity is the number of
// bytes that it may allocate before they arrive. It calls waiting before each read
// that may block. A packet whose records cannot be decoded, or that exceeds the rest
// of the batch's limits, is read to its end.
func readPacket(r *bufio.Reader, allowed *budget.Allowance, capacity int, waiting func() error) (packet, error) {
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
	d.start(h.length, min(h.length, capacity), allowed.Values, allowed.Depth)
	if err := readRecords(r, h, waiting, &d); err != nil {
		return packet{header: h}, err
	}
	values := d.builder.Len()
	value, err := d.finish()
	return packet{h, value, values, behindHeader(h, limitError(err, allowed))}, nil
}

// readRecords reads the records of a packet and writes them to d as they arrive. If d
// is nil, they are discarded.
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

// readChunk returns at most limit bytes of r's buffer. If the buffer is empty, it
// reads once. The bytes are valid until the next read.
func readChunk(r *bufio.Reader, limit int, waiting func() error) ([]byte, error) {
	if r.Buffered() == 0 {
		if err := waiting(); err != nil {
			return nil, err
		}
		if _, err := r.Peek(1); err != nil {
			return nil, err
		}
	}
	chunk, err := r.Peek(min(limit, r.Buffered()))
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(len(chunk))
	return chunk, err
}

// readHeader reads until the header is complete, and no byte after it.
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
		if err := waiting(); err != nil {
			return h, err
		}
		have := len(b)
		if _, err := r.Peek(have + 1); err != nil {
			if have > 0 {
				err = &cutError{have, h.size, err}
			}
			return h, err
		}
	}
}

// cutError is a read error in the middle of a packet.
type cutError struct {
	have, want int // bytes; want is the size of the header until that is complete
	err        error
}

func (e *cutError) Error() string {
	return fmt.Sprintf("after %d of %d bytes: %v", e.have, e.want, e.Unwrap())
}

// Unwrap returns the cause. It is io.ErrUnexpectedEOF instead of io.EOF, because the
// input ended within a packet.
func (e *cutError) Unwrap() error {
	if errors.Is(e.err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return e.err
}
