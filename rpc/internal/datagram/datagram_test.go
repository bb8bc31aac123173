package datagram

import (
	"net"
	"path/filepath"
	"testing"
)

func TestDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server")
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := Dial(t.Context(), "unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	n, from, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ping" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := server.WriteTo([]byte("pong"), from); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "pong" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestDialWithoutServer(t *testing.T) {
	if conn, err := Dial(t.Context(), "unixgram", filepath.Join(t.TempDir(), "absent")); err == nil {
		conn.Close()
		t.Error("Dial connected to a socket that does not exist")
	}
}
