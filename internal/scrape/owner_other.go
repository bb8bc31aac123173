//go:build !unix

package scrape

import "io/fs"

// owner is not known on this system.
func owner(fs.FileInfo) string { return "" }
