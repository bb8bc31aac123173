//go:build !unix

package web

// maxConnections returns how many connections may be open at most.
func maxConnections() int { return mostConnections }
