package host

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// The part of sock_diag(7) that is used here, from linux/sock_diag.h, linux/unix_diag.h and linux/inet_diag.h.
const (
	sockDiag      = 4  // protocol of netlink
	diagByFamily  = 20 // type of requests and replies
	stateListen   = 1 << 10
	unixShowFile  = 2  // of unix_diag_req
	unixReplySize = 16 // of unix_diag_msg, without attributes
	unixFile      = 1  // attribute with inode and device
	inetReplySize = 72 // of inet_diag_msg, without attributes
)

// listensHere reports whether the unix socket at a path belongs to the network namespace of this program, and is listened to.
// The path may lead to a file that containers share, and Kamailio may have another name for it: the kernel is asked for the
// files of the sockets in this namespace.
func listensHere(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	file, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	request := make([]byte, 24) // unix_diag_req
	request[0] = syscall.AF_UNIX
	binary.NativeEndian.PutUint32(request[4:], stateListen)
	binary.NativeEndian.PutUint32(request[12:], unixShowFile)
	found := false
	err = dump(request, func(reply []byte) {
		inode, device, ok := fileOf(reply)
		found = found || ok && inode == uint32(file.Ino) && device == kernelDevice(uint64(file.Dev)) //nolint:unconvert // it has 32 bits on some systems
	})
	return err == nil && found
}

// kernelDevice returns the number of a device as the kernel has it, from that of stat(2).
func kernelDevice(device uint64) uint32 {
	major := device>>8&0xfff | device>>32&^0xfff
	minor := device&0xff | device>>12&^0xff
	return uint32(major<<20 | minor)
}

// fileOf returns the inode and the device of the file of a unix socket. ok is false if it has none.
func fileOf(reply []byte) (inode, device uint32, ok bool) {
	const header, size = 4, 8
	order := binary.NativeEndian
	for rest := reply[min(unixReplySize, len(reply)):]; len(rest) >= header; {
		length := int(order.Uint16(rest))
		if length < header || length > len(rest) {
			return 0, 0, false
		}
		if order.Uint16(rest[2:]) == unixFile && length >= header+size {
			return order.Uint32(rest[header:]), order.Uint32(rest[header+4:]), true
		}
		rest = rest[min((length+3)&^3, len(rest)):] // attributes are aligned
	}
	return 0, 0, false
}

// listeners returns the TCP sockets of a family in the network namespace of this program that accept connections. Reading them in
// /proc/net takes milliseconds even if there are few: the kernel then searches its table of all connections.
func listeners(family byte) ([]row, error) {
	request := make([]byte, 56) // inet_diag_req_v2
	request[0], request[1] = family, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[4:], stateListen)
	var rows []row
	err := dump(request, func(reply []byte) {
		if r, ok := listenerOf(reply); ok {
			rows = append(rows, r)
		}
	})
	return rows, err
}

// listenerOf returns a TCP socket that accepts connections.
func listenerOf(reply []byte) (row, bool) {
	const port, addr, queue, inode = 4, 8, 56, 68
	if len(reply) < inetReplySize {
		return row{}, false
	}
	size := 4
	if reply[0] == syscall.AF_INET6 {
		size = 16
	}
	local, ok := netip.AddrFromSlice(reply[addr : addr+size])
	order := binary.NativeEndian
	return row{
		local:   netip.AddrPortFrom(local, binary.BigEndian.Uint16(reply[port:])),
		listens: true,
		queue:   uint64(order.Uint32(reply[queue:])),
		inode:   uint64(order.Uint32(reply[inode:])),
	}, ok
}

// errDiag means that the kernel refused the request, for example because it has no sock_diag.
var errDiag = errors.New("the kernel does not list sockets")

// dump sends a request to the kernel and calls each with each reply.
func dump(request []byte, each func(reply []byte)) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, sockDiag)
	if err != nil {
		return err
	}
	defer syscall.Close(fd) //nolint:errcheck // it has no data to lose
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 1}); err != nil {
		return err
	}
	message := make([]byte, syscall.NLMSG_HDRLEN, syscall.NLMSG_HDRLEN+len(request))
	binary.NativeEndian.PutUint32(message[0:], uint32(cap(message)))
	binary.NativeEndian.PutUint16(message[4:], diagByFamily)
	binary.NativeEndian.PutUint16(message[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	message = append(message, request...)
	if err := syscall.Sendto(fd, message, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, 32<<10) // the kernel's replies are not larger
	for {
		n, err := syscall.Read(fd, buffer)
		if err != nil {
			return err
		}
		replies, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return err
		}
		for _, reply := range replies {
			switch reply.Header.Type {
			case diagByFamily:
				each(reply.Data)
			case syscall.NLMSG_DONE:
				return nil
			default:
				return errDiag
			}
		}
	}
}
