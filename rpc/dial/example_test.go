package dial_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// startServer starts a server in place of a Kamailio, and returns its URI.
func startServer() (uri string, stop func()) {
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		switch call.Method {
		case "core.uptime":
			return []any{rpc.Members{{Name: "uptime", Value: 86400}}}, nil
		case "system.listMethods":
			return []any{"core.uptime", "system.listMethods"}, nil
		default:
			return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
		}
	})
	return server.URI, func() { _ = server.Close() }
}

func ExampleNew() {
	uri, stop := startServer() // for a real Kamailio: "unix:/run/kamailio/kamailio_ctl"
	defer stop()

	client, err := dial.New(uri)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	uptime, err := rpc.One(ctx, client, "core.uptime")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(uptime.Get("uptime"), "seconds")
	// Output: 86400 seconds
}

func ExampleNewTarget() {
	uri, stop := startServer()
	defer stop()

	target, err := dial.ParseTarget(uri)
	if err != nil {
		log.Fatal(err)
	}
	client := dial.NewTarget(target, dial.Options{
		Limits: rpc.Limits{Size: 64 << 20}, // replies of up to 64 MiB
		Stall:  5 * time.Second,
	})
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	fmt.Println(client.Target() == target)
	// Output:
	// {"uptime":86400} <nil>
	// true
}

// The replies of a batch can be used as they arrive.
func ExampleClient_Stream() {
	uri, stop := startServer()
	defer stop()
	client, err := dial.New(uri)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	calls := []rpc.Call{{Method: "core.uptime"}, {Method: "no.such"}}
	for i, reply := range client.Stream(context.Background(), calls...) {
		fmt.Println(calls[i], reply.Value, reply.Err)
	}
	// Output:
	// core.uptime {"uptime":86400} <nil>
	// no.such null Kamailio replied with fault 500: command no.such not found
}

func ExampleClient_Methods() {
	uri, stop := startServer()
	defer stop()
	client, err := dial.New(uri)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	fmt.Println(client.Methods(context.Background()))
	// Output: [core.uptime system.listMethods] true <nil>
}

func ExampleParseTarget() {
	for _, uri := range []string{
		"unix:///run/kamailio/kamailio_ctl",
		"tcp:127.0.0.1:2049",
		"tcp://127.0.0.1",
	} {
		target, err := dial.ParseTarget(uri)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(target, target.Network, target.Address)
	}
	// Output:
	// unix:/run/kamailio/kamailio_ctl unix /run/kamailio/kamailio_ctl
	// tcp://127.0.0.1:2049 tcp 127.0.0.1:2049
	// "tcp://127.0.0.1" is not the URI of a Kamailio: the address must be host:port, for example tcp://localhost:2049, or [address]:port for IPv6
}

// A call with Idempotent may be sent again. Other calls are sent at most once.
func ExampleClient_Do() {
	uri, stop := startServer()
	defer stop()
	client, err := dial.New(uri)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	calls := []rpc.Call{{Method: "core.uptime", Idempotent: true}, {Method: "no.such"}}
	for i, reply := range client.Do(context.Background(), calls...) {
		fmt.Println(calls[i], reply.Value, reply.Err)
	}
	// Output:
	// core.uptime {"uptime":86400} <nil>
	// no.such null Kamailio replied with fault 500: command no.such not found
}
