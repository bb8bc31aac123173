package binrpc

import (
	"fmt"
	"math"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// maxRequest is the size of the buffer into which ctl reads requests
// (STREAM_BUF_SIZE and DGRAM_BUF_SIZE in its io_listener.c).
const maxRequest = 65535

// AppendRequest appends a request to b and returns the extended buffer. It returns an
// error if BINRPC cannot encode an argument, or if the request is longer than ctl
// accepts (65,535 bytes with its header).
func AppendRequest(b []byte, cookie uint32, call rpc.Call) ([]byte, error) {
	var buffer [64]byte // large enough for most requests
	body, err := appendRecords(appendString(buffer[:0], call.Method), call.Args)
	if err != nil {
		return nil, fmt.Errorf("encode the request %s: %w", call.Method, err)
	}
	start := len(b)
	if b, err = appendPacket(b, KindRequest, cookie, body); err != nil {
		return nil, fmt.Errorf("encode the request %s: %w", call.Method, err)
	}
	if size := len(b) - start; size > maxRequest {
		return nil, fmt.Errorf("the request %s has %d bytes, ctl accepts at most %d", call.Method, size, maxRequest)
	}
	return b, nil
}

// AppendReply appends a reply to b and returns the extended buffer. The records are
// Go values of the types that [rpc.ValueOf] accepts. It returns an error if BINRPC
// cannot encode one of them.
func AppendReply(b []byte, cookie uint32, records ...any) ([]byte, error) {
	body, err := appendRecords(nil, records)
	if err == nil {
		b, err = appendPacket(b, KindReply, cookie, body)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the reply: %w", err)
	}
	return b, nil
}

// AppendFault appends a fault to b and returns the extended buffer. It returns an
// error if the code does not fit 32 bits.
func AppendFault(b []byte, cookie uint32, fault *rpc.Fault) ([]byte, error) {
	body, err := appendRecords(nil, []any{fault.Code, fault.Reason})
	if err == nil {
		b, err = appendPacket(b, KindFault, cookie, body)
	}
	if err != nil {
		return nil, fmt.Errorf("encode the fault: %w", err)
	}
	return b, nil
}

func appendPacket(b []byte, kind Kind, cookie uint32, body []byte) ([]byte, error) {
	if uint64(len(body)) > math.MaxUint32 {
		return nil, fmt.Errorf("%d bytes of records do not fit a packet, the maximum is %d", len(body), uint32(math.MaxUint32))
	}
	return append(appendHeader(b, kind, len(body), cookie), body...), nil
}

func appendRecords(b []byte, records []any) ([]byte, error) {
	for _, record := range records {
		if text, ok := record.(string); ok { // most arguments are strings
			b = appendString(b, text)
			continue
		}
		value, err := rpc.ValueOf(record)
		if err != nil {
			return nil, err
		}
		if b, err = appendValue(b, value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendValue(b []byte, v rpc.Value) ([]byte, error) {
	switch v.Kind() {
	case rpc.KindInt:
		i, _ := v.Int()
		if i < math.MinInt32 || i > math.MaxUint32 {
			return nil, fmt.Errorf("the integer %d does not fit BINRPC's 32 bits", i)
		}
		return appendRecord(b, typeInt, uint64(uint32(i))), nil
	case rpc.KindDouble:
		f, _ := v.Float()
		return appendDouble(b, f)
	case rpc.KindString:
		return appendString(b, v.Text()), nil
	case rpc.KindBytes:
		return append(appendSize(b, typeBytes, len(v.Text())), v.Text()...), nil
	case rpc.KindStruct:
		return appendContainer(b, typeStruct, v)
	case rpc.KindArray:
		return appendContainer(b, typeArray, v)
	default:
		return appendString(b, nullText), nil
	}
}

// appendRecord appends a number in the minimum number of bytes, 0 bytes for zero.
func appendRecord(b []byte, kind byte, n uint64) []byte {
	size := byteLen(n)
	return appendBigEndian(append(b, byte(size)<<4|kind), n, size)
}

// appendDouble appends a number rounded to thousandths. Kamailio truncates instead,
// which would turn 1.001 into 1, because a float64 is rarely an exact thousandth.
func appendDouble(b []byte, f float64) ([]byte, error) {
	thousandths := math.Round(f * 1000)
	switch {
	case thousandths >= math.MinInt64 && thousandths < math.MaxInt64:
		return appendRecord(b, typeDouble, uint64(int64(thousandths))), nil
	case thousandths == math.MaxInt64: // as a float64 this is 2⁶³, one more than the maximum
		return appendRecord(b, typeDouble, math.MaxInt64), nil
	default:
		return nil, fmt.Errorf("the number %v does not fit a BINRPC double, whose range is ±2⁶³ thousandths", f)
	}
}

func appendString(b []byte, text string) []byte { return appendZeroed(b, typeString, text) }

// appendZeroed appends a text and a zero byte, which the size includes.
func appendZeroed(b []byte, kind byte, text string) []byte {
	b = appendSize(b, kind, len(text)+1)
	return append(append(b, text...), 0)
}

// appendSize appends the type and the size of a record, in bytes.
func appendSize(b []byte, kind byte, size int) []byte {
	if size < 8 {
		return append(b, byte(size)<<4|kind)
	}
	sizeOfSize := byteLen(uint64(size))
	return appendBigEndian(append(b, 0x80|byte(sizeOfSize)<<4|kind), uint64(size), sizeOfSize)
}

func appendContainer(b []byte, kind byte, v rpc.Value) ([]byte, error) {
	b = append(b, kind)
	for member := range v.All() {
		if name := member.Name(); name != "" {
			b = appendZeroed(b, typeName, name)
		}
		var err error
		if b, err = appendValue(b, member); err != nil {
			return nil, err
		}
	}
	return append(b, 0x80|kind), nil
}
