//go:build unix

package check

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"testing"
)

// TestUsersOfHost compares the users with those of the system.
func TestUsersOfHost(t *testing.T) {
	users := UsersOfHost()
	if users.Current.UID != os.Geteuid() || users.Current.Name == "" || !slices.Contains(users.Current.Groups, os.Getegid()) {
		t.Errorf("the current user is %+v", users.Current)
	}
	if _, err := user.Lookup(serviceUser); (err == nil) != (users.Service != nil) {
		t.Errorf("the user of the service is %+v, %v", users.Service, err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	got, gid := userOf(u), os.Getgid()
	if got == nil || got.Name != u.Username || strconv.Itoa(got.UID) != u.Uid || !slices.Contains(got.Groups, gid) {
		t.Errorf("%s is %+v", u.Username, got)
	}
	if got := userOf(&user.User{Uid: "S-1-5-18"}); got != nil {
		t.Errorf("a user without a number is %+v", got)
	}
}
