package binrpctest_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// handle replies in place of a Kamailio.
func handle(_ context.Context, call rpc.Call) ([]any, error) {
	switch call.Method {
	case "core.uptime":
		return []any{rpc.Members{{Name: "uptime", Value: 86400}}}, nil
	default:
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	}
}

func ExampleNewServer() {
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		if call.Method == "core.uptime" {
			return []any{map[string]any{"uptime": 86400}}, nil
		}
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	})
	defer server.Close()

	client, err := dial.New(server.URI)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	// Output: {"uptime":86400} <nil>
}

func ExampleServer_ServePacket() {
	server := binrpctest.NewUnstartedServer(handle)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.ServePacket(conn) }()
	defer server.Close()

	client, err := dial.New("udp://" + conn.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	// Output: {"uptime":86400} <nil>
}
