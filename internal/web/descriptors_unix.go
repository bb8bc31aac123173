//go:build unix

package web

import "syscall"

// maxConnections returns the maximum number of open connections: limit, or half of the file descriptors if that is less.
func maxConnections(limit int) int {
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return limit
	}
	return int(min(uint64(descriptors.Cur)/2, uint64(limit))) //nolint:unconvert // the type of Cur depends on the system
}
