//go:build unix

package check

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/hint"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// socketWith returns a socket of user 10 and group 20 in a directory of the same owner.
func socketWith(mode, dir fs.FileMode) *socketFile {
	owner := hint.Owner{UID: 10, GID: 20, User: "kamailio", Group: "kamailio"}
	root := hint.Owner{User: "root", Group: "root"}
	return &socketFile{path: "/run/kamailio/kamailio_ctl", mode: mode | fs.ModeSocket, owner: owner, owned: true,
		parents: []pathPart{{"/", 0o755, root}, {"/run/kamailio", dir, owner}}}
}

func TestClosedFor(t *testing.T) {
	for _, test := range []struct {
		mode, dir fs.FileMode
		user      User
		want      string
	}{
		{0o600, 0o755, User{"kamailio", 10, nil}, ""},
		{0o600, 0o755, User{"root", 0, nil}, ""},
		{0o600, 0o755, User{"u", 11, []int{20}}, "its mode does not let u connect"},
		{0o660, 0o755, User{"u", 11, []int{5, 20}}, ""},
		{0o640, 0o755, User{"u", 11, []int{20}}, "its mode"},
		{0o660, 0o755, User{"u", 11, []int{21}}, "its mode"},
		{0o666, 0o755, User{"u", 11, nil}, ""},
		{0o606, 0o755, User{"u", 11, []int{20}}, "its mode"}, // the group's permissions apply, not those of others
		{0o066, 0o755, User{"kamailio", 10, []int{20}}, "its mode"},
		{0o666, 0o750, User{"u", 11, nil}, "/run/kamailio has mode 0750, user kamailio, group kamailio, and u may not enter it"},
		{0o666, 0o750, User{"u", 11, []int{20}}, ""},
		{0o666, 0o640, User{"u", 11, []int{20}}, "/run/kamailio has mode 0640"},
	} {
		if got := socketWith(test.mode, test.dir).closedFor(test.user); !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("mode %o in %o, %v: %q, want %q", test.mode, test.dir, test.user, got, test.want)
		}
	}
}

// TestServiceUser has a check that root runs, for a service that runs as another user.
func TestServiceUser(t *testing.T) {
	root := User{Name: "root"}
	for name, test := range map[string]struct {
		users   Users
		want    string
		refused bool
	}{
		"in the group":     {Users{root, &User{"kamailio_exporter", 11, []int{20}}}, "kamailio_exporter, the user of the packaged service, may connect to it.", false},
		"in another group": {Users{root, &User{"kamailio_exporter", 11, []int{11}}}, "may not connect to it: its mode does not let kamailio_exporter connect.", true},
		"no service":       {Users{root, nil}, "root may connect to every socket. Run the check as the user that the exporter has, too", false},
		"the same user":    {Users{User{"kamailio_exporter", 11, []int{99}}, &User{"kamailio_exporter", 11, []int{99}}}, "kamailio_exporter, who runs this check, may connect to it.", false},
	} {
		f := &facts{
			target:  &config.Target{URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/run/kamailio/kamailio_ctl"}, Modules: []*config.Module{{}}},
			users:   test.users,
			socket:  socketWith(0o660, 0o755),
			scrapes: []moduleFacts{{whole: scraped{details: &scrape.Details{}}}},
		}
		var texts []string
		for _, l := range f.addressSection().lines {
			texts = append(texts, l.text)
		}
		text := strings.Join(texts, "\n")
		if !strings.Contains(text, test.want) || f.isServiceRefused() != test.refused || strings.Contains(text, `modparam("ctl", "mode", 0660)`) != test.refused {
			t.Errorf("%s: refused %v,\n%s", name, f.isServiceRefused(), text)
		}
	}
}

// TestClosedDirectory has a user who may not enter the directory of the socket, and therefore does not see the socket.
func TestClosedDirectory(t *testing.T) {
	socket := socketWith(0o666, 0o750)
	socket.err, socket.owned = &fs.PathError{Op: "stat", Path: socket.path, Err: fs.ErrPermission}, false
	f := &facts{users: Users{Current: User{"u", 11, nil}}, socket: socket}
	want := "/run/kamailio/kamailio_ctl: permission denied: /run/kamailio has mode 0750, user kamailio, group kamailio, and u may not enter it."
	if lines := f.addressSection().lines; len(lines) != 1 || lines[0].text != want {
		t.Errorf("%+v, want %q", lines, want)
	}
}

// TestReportOfInstalling compares the example of installing.md with the report, up to the hint.
func TestReportOfInstalling(t *testing.T) {
	page, err := os.ReadFile("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	f := &facts{
		target: &config.Target{URI: dial.Target{Protocol: dial.BINRPC, Network: "unix", Address: "/var/run/kamailio/kamailio_ctl"},
			Origin: "the default of --kamailio.scrape-uri", Modules: []*config.Module{{}}},
		users:   Users{User{Name: "root"}, &User{"kamailio_exporter", 11, []int{11}}},
		socket:  socketWith(0o600, 0o755),
		scrapes: []moduleFacts{{whole: scraped{details: &scrape.Details{}}}},
	}
	f.socket.path = f.target.URI.Address
	var out strings.Builder
	r := f.report()
	if err := write(&out, r.title, r.sections[:1]); err != nil {
		t.Fatal(err)
	}
	example, hint, ok := strings.Cut(out.String(), "   change ")
	if !ok || !strings.Contains(string(page), "<!-- check -->\n```text\n"+example+"   change ") {
		t.Errorf("installing.md does not have\n%s, which has the hint %s", example, hint)
	}
}

// TestLookAtSocket has a socket behind a symbolic link, one that does not exist in a directory with another socket, and a file.
func TestLookAtSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "check") // short, as the path of a socket must be
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	at := func(path string) *socketFile {
		return lookAtSocket(dial.Target{Network: "unix", Address: path})
	}
	s := at(dir + "/link/ctl")
	if s.err != nil || !s.isSocket() || !s.owned || s.owner.UID != os.Getuid() || s.parents[0].path != "/" || s.parents[len(s.parents)-1].path != dir {
		t.Errorf("the socket is %+v", s)
	}
	if err := os.Symlink("ctl", filepath.Join(dir, "same")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = at(dir + "/nosuch")
	s.others = slices.DeleteFunc(s.others, func(path string) bool { return filepath.Dir(path) != dir }) // those of this machine
	if s.err == nil || !slices.Equal(s.others, []string{dir + "/ctl"}) || s.parents[len(s.parents)-1].path != dir {
		t.Errorf("without a socket: %+v", s)
	}
	if s := at(dir); s.isSocket() || s.err != nil {
		t.Errorf("a directory: %+v", s)
	}
	if at := lookAtSocket(dial.Target{Network: "tcp", Address: "127.0.0.1:1"}); at != nil {
		t.Errorf("TCP: %+v", at)
	}
}
