//go:build !unix

package hint

import "io/fs"

// owner returns "": the owner of a file is not known on this system.
func owner(fs.FileInfo) string { return "" }
