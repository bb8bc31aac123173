package check

import (
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
)

// serviceUser is the user of the packaged service.
const serviceUser = "kamailio_exporter"

// Users are the users whose access to a socket is checked.
type Users struct {
	// Current is the user who runs the check.
	Current User
	// Service is the user of the packaged service, nil if this host does not have it.
	Service *User
}

// User is a user of the operating system.
type User struct {
	Name string
	// UID is the number of the user, -1 if users have no numbers on this system.
	UID int
	// Groups are the numbers of the user's groups.
	Groups []int
}

// UsersOfHost returns the users of this process and of the packaged service.
func UsersOfHost() Users {
	groups, _ := os.Getgroups() // without them, the user is in the effective group only
	users := Users{Current: User{Name: currentName(), UID: os.Geteuid(), Groups: append(groups, os.Getegid())}}
	if u, err := user.Lookup(serviceUser); err == nil {
		users.Service = userOf(u)
	}
	return users
}

// currentName returns the name of the effective user, or the number if there is no name.
func currentName() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	if u, err := user.Current(); err == nil { // without numbers of users, as on Windows
		return u.Username
	}
	return uid
}

// userOf returns a user with the numbers of its groups, nil if it has no number.
func userOf(u *user.User) *User {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil
	}
	found := &User{Name: u.Username, UID: uid}
	ids, _ := u.GroupIds() // without them, the user is in the group of the password file only
	for _, id := range append(ids, u.Gid) {
		if gid, err := strconv.Atoi(id); err == nil {
			found.Groups = append(found.Groups, gid)
		}
	}
	return found
}

// The permissions of one class of users, as in the last digit of a mode.
const (
	connect fs.FileMode = 2
	search  fs.FileMode = 1
)

// may reports whether the mode of a file gives a user a permission. Access lists are not read.
func (u User) may(wanted, mode fs.FileMode, owner hint.Owner) bool {
	switch {
	case u.UID == 0:
		return true
	case u.UID == owner.UID:
		mode >>= 6
	case slices.Contains(u.Groups, owner.GID):
		mode >>= 3
	}
	return mode&wanted != 0
}
