package hint

import "syscall"

// The errors of the operating system for connections. Source: Windows Sockets Error Codes.
var (
	refused     = []error{syscall.Errno(10061)}                                                                                         // WSAECONNREFUSED
	unreachable = []error{syscall.Errno(10065), syscall.Errno(10051), syscall.Errno(10064), syscall.Errno(10050), syscall.Errno(10049)} // WSAEHOSTUNREACH, WSAENETUNREACH, WSAEHOSTDOWN, WSAENETDOWN, WSAEADDRNOTAVAIL
	reset       = []error{syscall.WSAECONNRESET, syscall.WSAECONNABORTED}
)
