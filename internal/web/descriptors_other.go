//go:build !unix

package web

// maxConnections returns the maximum number of open connections.
func maxConnections() int { return connectionsCap }
