// Package binrpc implements BINRPC, the binary protocol of the control sockets of
// the Kamailio module ctl: encoding and decoding of all types, a client for stream
// sockets, and a client for datagram sockets.
//
// [Parse], [Read] and the Append functions are the codec. [Dial] connects to a
// stream socket, and [NewDatagram] returns a client for a datagram socket. Most
// programs use package dial instead, which selects one of them by URI and connects
// again after the server closed the connection. Package binrpctest provides a server
// for tests.
//
// # The format
//
// A packet is a header and a sequence of records. The header consists of a byte
// with the magic number and the version (0xA1), a byte with flags (4 bits), the
// size of the length minus one (2 bits) and the size of the cookie minus one
// (2 bits), then the length of the records and the cookie, both big-endian. A
// server copies the cookie of a request into the reply, in the minimum number of
// bytes.
//
// A record is a byte with a size (4 bits) and a type (4 bits), followed by a value.
// If the highest bit of the size is set, the other bits are the number of bytes of
// the real size, which follows. Doubles are an exception: their size uses all four
// bits. Integers have 32 bits; BINRPC does not specify whether they are signed.
// Doubles are signed integers of thousandths. Strings end with a zero byte, which is
// included in the size. Structs and arrays have a start mark and an end mark. An avp
// is the name of the value after it.
//
// Source: Kamailio's src/modules/ctl/binrpc.h, and packets captured from
// Kamailio 5.6 and 6.0.
package binrpc
