//go:build unix

package web

import "syscall"

// maxConnections returns how many connections may be open at most.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections
	}
	return int(min(uint64(limit.Cur)/2, mostConnections)) //nolint:unconvert // the type of Cur depends on the system
}
