//go:build unix

package web

import "syscall"

// maxConnections returns the maximum number of open connections.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return connectionsCap
	}
	return int(min(uint64(limit.Cur)/2, connectionsCap)) //nolint:unconvert // the type of Cur depends on the system
}
