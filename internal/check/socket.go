package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// socketFile is the file of a socket.
type socketFile struct {
	path    string
	err     error // not nil if the file cannot be found
	mode    fs.FileMode
	owner   hint.Owner
	owned   bool       // owner and parents are known
	parents []pathPart // the directories above it that were found, the first one is /
	others  []string   // other sockets, if there is no file
}

// pathPart is a directory above a socket.
type pathPart struct {
	path  string
	mode  fs.FileMode
	owner hint.Owner
}

// lookAtSocket returns what the file system says about the socket of a target, nil if the target is not a path.
func lookAtSocket(uri dial.Target) *socketFile {
	if uri.Network != "unix" && uri.Network != "unixgram" {
		return nil
	}
	s := &socketFile{path: uri.Address}
	info, err := os.Stat(s.path)
	if err != nil {
		s.err = err
		s.others = socketsBeside(s.path)
		s.addParents(s.path)
		return s
	}
	s.mode = info.Mode()
	s.owner, s.owned = hint.OwnerOf(info)
	resolved, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		s.owned = false
		return s
	}
	s.addParents(resolved)
	return s
}

// addParents adds the directories above a path, except those that cannot be found.
func (s *socketFile) addParents(path string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		s.addParent(dir)
		if dir == filepath.Dir(dir) {
			return
		}
	}
}

// addParent adds a directory above the socket. If it cannot be found, or has no owner, the permissions are not known.
func (s *socketFile) addParent(dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		s.owned = false
		return
	}
	owner, known := hint.OwnerOf(info)
	if !known {
		s.owned = false
		return
	}
	s.parents = append([]pathPart{{dir, info.Mode(), owner}}, s.parents...)
}

// usualSockets are paths of ctl's socket in common configurations.
var usualSockets = []string{"/run/kamailio/kamailio_ctl", "/var/run/kamailio/kamailio_ctl", "/tmp/kamailio_ctl"}

// maxOthers is the maximum number of other sockets that a report names.
const maxOthers = 5

// socketsBeside returns the sockets in the directory of a path, and those at usual paths.
func socketsBeside(path string) []string {
	paths := usualSockets
	entries, _ := os.ReadDir(filepath.Dir(path)) // nothing is found in a directory that cannot be read
	for _, entry := range entries {
		paths = append(paths[:len(paths):len(paths)], filepath.Join(filepath.Dir(path), entry.Name()))
	}
	var found []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&fs.ModeSocket == 0 || isKnown(found, info) {
			continue
		}
		if found = append(found, path); len(found) == maxOthers {
			break
		}
	}
	return found
}

// isKnown reports whether one of the paths is the file.
func isKnown(paths []string, info fs.FileInfo) bool {
	for _, path := range paths {
		if other, err := os.Stat(path); err == nil && os.SameFile(info, other) {
			return true
		}
	}
	return false
}

// isSocket reports whether there is a socket.
func (s *socketFile) isSocket() bool { return s.err == nil && s.mode&fs.ModeSocket != 0 }

// closedFor returns what keeps a user from connecting, "" if nothing does.
func (s *socketFile) closedFor(u User) string {
	if why := s.closedParent(u); why != "" {
		return why
	}
	if !u.may(connect, s.mode, s.owner) {
		return fmt.Sprintf("its mode does not let %s connect", u.Name)
	}
	return ""
}

// closedParent returns which directory above the socket a user may not enter, "" if there is none.
func (s *socketFile) closedParent(u User) string {
	for _, dir := range s.parents {
		if !u.may(search, dir.mode, dir.owner) {
			return fmt.Sprintf("%s has mode %04o, user %s, group %s, and %s may not enter it", dir.path, dir.mode.Perm(), dir.owner.User, dir.owner.Group, u.Name)
		}
	}
	return ""
}

// addressSection says where Kamailio should listen, and for a socket with a path, who may connect.
func (f *facts) addressSection() section {
	s := section{title: "Address"}
	switch {
	case f.socket == nil:
		s.add(note, fmt.Sprintf("%s over %s, at %s.", protocolName(f.target.URI), transportName(f.target.URI), f.target.URI.Redacted()))
	case f.socket.err != nil:
		text := fmt.Sprintf("%s: %v", f.socket.path, causeOf(f.socket.err))
		if why := f.socket.closedParent(f.users.Current); why != "" {
			text += ": " + why
		}
		s.add(failed, text+".")
		if len(f.socket.others) > 0 {
			s.add(note, "There are other sockets: "+strings.Join(f.socket.others, ", "))
		}
	case !f.socket.isSocket():
		s.add(failed, f.socket.path+" is not a socket.")
	default:
		text := fmt.Sprintf("%s is a socket with mode %04o", f.socket.path, f.socket.mode.Perm())
		if f.socket.owned {
			text += fmt.Sprintf(", user %s, group %s", f.socket.owner.User, f.socket.owner.Group)
		}
		s.add(ok, text+".")
		f.addAccess(&s)
	}
	return s
}

// causeOf returns the error of the operating system without the path.
func causeOf(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// addAccess says whether the users may connect to the socket.
func (f *facts) addAccess(s *section) {
	current := f.users.Current
	switch f.scrapes[0].reason() {
	case "":
		s.add(ok, current.Name+", who runs this check, may connect to it.")
	case "permission":
		text := current.Name + ", who runs this check, may not connect to it"
		if why := f.socket.closedFor(current); why != "" && f.socket.owned {
			text += ": " + why
		}
		s.add(failed, text+".")
	}
	f.addServiceAccess(s)
}

// addServiceAccess says whether the user of the packaged service may connect to the socket, if the check runs as another user.
func (f *facts) addServiceAccess(s *section) {
	service := f.users.Service
	switch {
	case service == nil && f.users.Current.UID == 0:
		s.add(note, "root may connect to every socket. Run the check as the user that the exporter has, too, with the same flags: sudo -u USER kamailio_exporter check")
		return
	case !f.knowsService():
		return
	}
	why := f.socket.closedFor(*service)
	if why == "" {
		s.add(ok, service.Name+", the user of the packaged service, may connect to it.")
		return
	}
	s.add(failed, fmt.Sprintf("%s, the user of the packaged service, may not connect to it: %s.", service.Name, why))
	s.add(change, f.hintOn(fs.ErrPermission))
}

// knowsService reports whether it is known if the user of the packaged service may connect, and the check runs as another user.
func (f *facts) knowsService() bool {
	service := f.users.Service
	return service != nil && service.UID != f.users.Current.UID && f.socket != nil && f.socket.isSocket() && f.socket.owned
}

// isServiceRefused reports whether the user of the packaged service may not connect although Kamailio replied to this check.
func (f *facts) isServiceRefused() bool {
	return f.isUp() && f.knowsService() && f.socket.closedFor(*f.users.Service) != ""
}

// hintOn returns the hint for an error of the target, with the user's names of settings.
func (f *facts) hintOn(err error) string {
	return capital(hint.For(err, f.target.URI).Text(f.settingName))
}

// protocolName returns the name of the protocol of a URI.
func protocolName(uri dial.Target) string {
	if uri.Protocol == dial.JSONRPC {
		return "JSON-RPC"
	}
	return "BINRPC"
}

// transportName returns the name of the transport of a URI.
func transportName(uri dial.Target) string {
	if uri.Network == "http" && strings.HasPrefix(strings.ToLower(uri.Address), "https:") {
		return "HTTPS"
	}
	names := map[string]string{"http": "HTTP", "tcp": "TCP", "udp": "UDP", "unix": "a unix socket", "unixgram": "a unix datagram socket"}
	return cmp.Or(names[uri.Network], uri.Network)
}
