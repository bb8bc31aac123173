package scrape

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// senders is a datagram socket that remembers who sent the last datagram.
type senders struct {
	net.PacketConn
	last atomic.Value // string
}

func (s *senders) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(b)
	if err == nil {
		s.last.Store(from.String())
	}
	return n, from, err
}

// TestIdleTimeout has a target in a bubble, in which time advances as soon as all goroutines wait. The server is outside of it.
// It finds a new connection by the address of the client's socket.
func TestIdleTimeout(t *testing.T) {
	conn, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	socket := &senders{PacketConn: conn}
	server := binrpctest.NewUnstartedServer(func(context.Context, rpc.Call) ([]any, error) {
		return []any{rpc.Members{{Name: "uptime", Value: 5}}}, nil
	})
	go func() { _ = server.ServePacket(socket) }()
	t.Cleanup(func() { _ = server.Close() })
	synctest.Test(t, func(t *testing.T) {
		target := NewTarget(&config.Target{
			URI:     dial.Target{Protocol: dial.BINRPC, Network: "unixgram", Address: conn.LocalAddr().String()},
			Modules: []*config.Module{{Timeout: time.Minute, Named: named(t, "core.uptime")}},
		}, slog.New(slog.DiscardHandler))
		defer target.Close()
		poll := func() (from any) {
			t.Helper()
			if got := samples(scraped(t.Context(), target), "kamailio_up", "kamailio_exporter_failed"); got != "exporter_failed_scrapes[] 0\nup[] 1\n" {
				t.Errorf("got\n%s", got)
			}
			synctest.Wait()
			return socket.last.Load()
		}
		first := poll()
		time.Sleep(idleTimeout - time.Second)
		if got := poll(); got != first {
			t.Error("the target connected again before the idle timeout")
		}
		time.Sleep(idleTimeout + time.Second)
		if got := poll(); got == first {
			t.Error("the target used a connection after the idle timeout")
		}
	})
}
