package binrpc

import (
	"fmt"
	"math"

	"github.com/kamailio-exporter/kamailio_exporter/rpc"
)

// maxRequest is the size of the buffer into which ctl reads requests
// (STREAM_BUF_SIZE and DGRAM_BUF_SIZE in its io_listener.c).
const maxRequest = 65535

// AppendRequest appends a request. An argument that BINRPC has no form for, or
// a request that is longer than ctl takes (65,535 bytes), is an error.
func AppendRequest(b []byte, cookie uint32, call rpc.Call) ([]byte, error) {
	records := append([]any{call.Method}, call.Args...)
	b, size, err := appendPacket(b, Request, cookie, records)
	if err != nil {
		return nil, fmt.Errorf("the request %s: %w", call.Method, err)
	}
	if size > maxRequest {
		return nil, fmt.Errorf("the request %s has %d bytes, ctl takes at most %d", call.Method, size, maxRequest)
	}
	return b, nil
}

// AppendReply appends a reply with these records, Go values of the kinds that
// [rpc.ValueOf] takes.
func AppendReply(b []byte, cookie uint32, records ...any) ([]byte, error) {
	b, _, err := appendPacket(b, Reply, cookie, records)
	if err != nil {
		return nil, fmt.Errorf("the reply: %w", err)
	}
	return b, nil
}

// AppendFault appends a fault.
func AppendFault(b []byte, cookie uint32, fault *rpc.Fault) ([]byte, error) {
	b, _, err := appendPacket(b, Fault, cookie, []any{fault.Code, fault.Reason})
	if err != nil {
		return nil, fmt.Errorf("the fault: %w", err)
	}
	return b, nil
}

// appendPacket appends a packet and returns its size too.
func appendPacket(b []byte, kind Kind, cookie uint32, records []any) ([]byte, int, error) {
	var body []byte
	for _, record := range records {
		value, err := rpc.ValueOf(record)
		if err != nil {
			return nil, 0, err
		}
		if body, err = appendValue(body, value); err != nil {
			return nil, 0, err
		}
	}
	if uint64(len(body)) > math.MaxUint32 {
		return nil, 0, fmt.Errorf("%d bytes are more than a packet can have", len(body))
	}
	start := len(b)
	b = append(appendHeader(b, kind, len(body), cookie), body...)
	return b, len(b) - start, nil
}

func appendValue(b []byte, v rpc.Value) ([]byte, error) {
	switch v.Kind() {
	case rpc.Int:
		i, _ := v.Int()
		if i < math.MinInt32 || i > math.MaxUint32 {
			return nil, fmt.Errorf("the integer %d does not fit BINRPC's 32 bits", i)
		}
		return appendRecord(b, typeInt, uint64(uint32(i))), nil
	case rpc.Double:
		f, _ := v.Float()
		return appendDouble(b, f)
	case rpc.String:
		return appendText(b, typeString, v.Text()+"\x00"), nil
	case rpc.Bytes:
		return appendText(b, typeBytes, v.Text()), nil
	case rpc.Struct:
		return appendContainer(b, typeStruct, v)
	case rpc.Array:
		return appendContainer(b, typeArray, v)
	default:
		return appendText(b, typeString, nullText+"\x00"), nil
	}
}

// appendRecord appends a number in the fewest bytes, none for zero.
func appendRecord(b []byte, kind byte, n uint64) []byte {
	size := byteLen(n)
	return appendBigEndian(append(b, byte(size)<<4|kind), n, size)
}

// appendDouble rounds to thousandths. Kamailio cuts instead, which would make
// 1.001 into 1, since no float64 is a thousandth exactly.
func appendDouble(b []byte, f float64) ([]byte, error) {
	thousandths := math.Round(f * 1000)
	switch {
	case thousandths >= math.MinInt64 && thousandths < math.MaxInt64:
		return appendRecord(b, typeDouble, uint64(int64(thousandths))), nil
	case thousandths == math.MaxInt64: // as a float64, one more than the largest there is
		return appendRecord(b, typeDouble, math.MaxInt64), nil
	default:
		return nil, fmt.Errorf("the number %v does not fit a BINRPC double, which ends at 2⁶³ thousandths", f)
	}
}

func appendText(b []byte, kind byte, text string) []byte {
	if len(text) < 8 {
		b = append(b, byte(len(text))<<4|kind)
		return append(b, text...)
	}
	size := byteLen(uint64(len(text)))
	b = append(b, 0x80|byte(size)<<4|kind)
	b = appendBigEndian(b, uint64(len(text)), size)
	return append(b, text...)
}

func appendContainer(b []byte, kind byte, v rpc.Value) ([]byte, error) {
	b = append(b, kind)
	for member := range v.All() {
		if name := member.Name(); name != "" {
			b = appendText(b, typeName, name+"\x00")
		}
		var err error
		if b, err = appendValue(b, member); err != nil {
			return nil, err
		}
	}
	return append(b, 0x80|kind), nil
}
