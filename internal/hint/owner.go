package hint

import (
	"fmt"
	"io/fs"
)

// Owner is the user and the group that a file belongs to.
type Owner struct {
	UID, GID int
	// User and Group are names, or the numbers as text if there are no names.
	User, Group string
}

// owner returns a clause with the user and the group of a file, "" if they are not known.
func owner(info fs.FileInfo) string {
	o, ok := OwnerOf(info)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" and belongs to user %s, group %s", o.User, o.Group)
}
