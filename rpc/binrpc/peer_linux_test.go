package binrpc

import (
	"os"
	"testing"
)

func TestPeerPID(t *testing.T) {
	s, _ := newSocketPeer(t)
	if got := s.PeerPID(); got != os.Getpid() {
		t.Errorf("got PID %d, want %d, the process of the test", got, os.Getpid())
	}
	s.Close()
	if got := s.PeerPID(); got != 0 {
		t.Errorf("got PID %d of a closed connection, want 0", got)
	}
	pipe, _ := newPeer(t, Options{})
	if got := pipe.PeerPID(); got != 0 {
		t.Errorf("got PID %d of a pipe, want 0", got)
	}
}
