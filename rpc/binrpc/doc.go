// Package binrpc speaks BINRPC, the binary protocol of the control sockets
// that Kamailio's ctl module opens: every type of it in both directions, a
// client for stream sockets, and one for datagram sockets.
//
// [Parse], [Read] and the Append functions are the codec. [Dial] connects to a
// stream socket, and [NewDatagram] makes a client for a datagram socket; most
// programs use package dial instead, which picks one of them by URI and connects
// again when the server closed the connection. Package binrpctest has a server,
// for tests.
//
// # The format
//
// A packet is a header and a sequence of records. The header is a byte with
// magic number and version (0xA1), a byte with flags (4 bits), the length of
// the length less one (2 bits) and the length of the cookie less one (2 bits),
// then the length of the records and the cookie, both big-endian. A server
// copies a request's cookie into its reply, in the fewest bytes that hold it.
//
// A record is a byte with a size (4 bits) and a type (4 bits), and a value. A
// size with its upper bit set is the number of bytes of the real size, which
// follow. Doubles are an exception: their size uses all four bits. Integers
// have 32 bits without saying whether one of them is a sign, doubles are
// integers of thousandths, strings end in a zero byte that the size counts,
// structs and arrays go from a start mark to an end mark, and an avp is the
// name of the value behind it.
//
// Source: Kamailio's src/modules/ctl/binrpc.h, and packets captured from
// Kamailio 5.6 and 6.0.
package binrpc
