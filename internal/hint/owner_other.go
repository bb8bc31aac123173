//go:build !unix

package hint

import "io/fs"

// OwnerOf returns false: the owner of a file is not known on this system.
func OwnerOf(fs.FileInfo) (Owner, bool) { return Owner{}, false }
