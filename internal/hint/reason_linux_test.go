package hint

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// TestReasonOfFullQueue has a socket whose queue of connections is full, as that of a Kamailio that hangs.
func TestReasonOfFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(socket) }()
	if err := syscall.Bind(socket, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	f := call(t, "unix:"+path, patience, dial.Options{})
	if !errors.Is(f.err, syscall.EAGAIN) {
		t.Errorf("got %v, want EAGAIN", f.err)
	}
	wantReason(t, "a full queue", f, "timeout")
}
