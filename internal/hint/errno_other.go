//go:build !windows

package hint

import "syscall"

// The errors of the operating system for connections.
var (
	refused     = []error{syscall.ECONNREFUSED}
	unreachable = []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EADDRNOTAVAIL}
	reset       = []error{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE}
)
