//go:build unix

package hint

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// OwnerOf returns the owner of a file, and false if it is not known.
func OwnerOf(info fs.FileInfo) (Owner, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{}, false
	}
	uid, gid := strconv.FormatUint(uint64(stat.Uid), 10), strconv.FormatUint(uint64(stat.Gid), 10)
	o := Owner{UID: int(stat.Uid), GID: int(stat.Gid), User: uid, Group: gid}
	if u, err := user.LookupId(uid); err == nil {
		o.User = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		o.Group = g.Name
	}
	return o, true
}
