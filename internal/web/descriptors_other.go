//go:build !unix

package web

// maxConnections returns the maximum number of open connections.
func maxConnections(limit int) int { return limit }
