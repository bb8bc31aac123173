//go:build !unix

package scrape

import "io/fs"

// owner is unknown here.
func owner(fs.FileInfo) string { return "" }
