package binrpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// handle replies in place of a Kamailio.
func handle(_ context.Context, call rpc.Call) ([]any, error) {
	switch call.Method {
	case "core.uptime":
		return []any{rpc.Members{{Name: "uptime", Value: 86400}}}, nil
	case "system.listMethods":
		return []any{"core.uptime", "system.listMethods"}, nil
	default:
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	}
}

func ExampleDial() {
	server := binrpctest.NewServer(handle)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	conn, err := binrpc.Dial(ctx, "tcp", strings.TrimPrefix(server.URI, "tcp://"), binrpc.Options{
		Limits: rpc.Limits{Size: 1 << 20}, // at most 1 MiB per reply
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, reply := range conn.Do(ctx, rpc.Call{Method: "core.uptime"}, rpc.Call{Method: "no.such"}) {
		fmt.Println(reply.Value, reply.Err)
	}
	fmt.Println("usable:", conn.Usable()) // also after a fault
	// Output:
	// {"uptime":86400} <nil>
	// null Kamailio replied with fault 500: command no.such not found
	// usable: true
}

// A Conn can use any connection, for example a tunnel.
func ExampleNewConn() {
	ours, theirs := net.Pipe()
	go func() {
		request := make([]byte, 1024)
		n, err := theirs.Read(request)
		if err != nil {
			log.Fatal(err)
		}
		message, err := binrpc.Parse(request[:n], rpc.Limits{})
		if err != nil {
			log.Fatal(err)
		}
		reply, err := binrpc.AppendReply(nil, message.Cookie, "hello")
		if err != nil {
			log.Fatal(err)
		}
		_, _ = theirs.Write(reply)
	}()

	conn := binrpc.NewConn(ours, binrpc.Options{})
	defer conn.Close()
	fmt.Println(rpc.One(context.Background(), conn, "core.hello"))
	// Output: "hello" <nil>
}

func ExampleNewDatagram() {
	server := binrpctest.NewUnstartedServer(handle)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.ServePacket(conn) }()
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	client := binrpc.NewDatagram("udp", conn.LocalAddr().String(), binrpc.Options{})
	defer client.Close()
	uptime, err := rpc.One(ctx, client, "core.uptime")
	fmt.Println(uptime.Get("uptime"), err)
	// Output: 86400 <nil>
}

func ExampleParse() {
	// The header of a reply with 12 bytes of records and cookie 7, then a struct with a name and an int.
	packet := []byte("\xa1\x10\x0c\x07" + "\x03" + "\x75uptime\x00" + "\x10\x0e" + "\x83")
	message, err := binrpc.Parse(packet, rpc.Limits{})
	fmt.Println(message.Kind == binrpc.KindReply, message.Cookie, message.Value, err)
	// Output: true 7 {"uptime":14} <nil>
}

func ExampleAppendRequest() {
	packet, err := binrpc.AppendRequest(nil, 7, rpc.Call{Method: "core.uptime"})
	fmt.Printf("%q %v\n", packet, err)
	// Output: "\xa1\x00\x0e\a\x91\fcore.uptime\x00" <nil>
}

func ExampleAppendReply() {
	packet, err := binrpc.AppendReply(nil, 7, rpc.Members{{Name: "uptime", Value: 14}})
	fmt.Printf("%q %v\n", packet, err)
	// Output: "\xa1\x10\f\a\x03uuptime\x00\x10\x0e\x83" <nil>
}

func ExampleAppendFault() {
	packet, err := binrpc.AppendFault(nil, 7, &rpc.Fault{Code: 404, Reason: "no"})
	fmt.Printf("%q %v\n", packet, err)
	// Output: "\xa10\a\a \x01\x941no\x00" <nil>
}

func ExampleMessage_Call() {
	packet, err := binrpc.AppendRequest(nil, 7, rpc.Call{Method: "htable.get", Args: []any{"calls", "total"}})
	if err != nil {
		log.Fatal(err)
	}
	message, err := binrpc.Parse(packet, rpc.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	call, err := message.Call()
	fmt.Println(call.Method, call.Args, err)
	// Output: htable.get [calls total] <nil>
}

func ExampleMessage_Fault() {
	packet, err := binrpc.AppendFault(nil, 7, &rpc.Fault{Code: 500, Reason: "No Destination Sets"})
	if err != nil {
		log.Fatal(err)
	}
	message, err := binrpc.Parse(packet, rpc.Limits{})
	fmt.Println(message.Fault(), err)
	// Output: Kamailio replied with fault 500: No Destination Sets <nil>
}

// The errors for a packet that exceeds a limit and for an invalid packet differ.
func ExampleLimits() {
	packet, err := binrpc.AppendReply(nil, 7, 1, 2, 3)
	if err != nil {
		log.Fatal(err)
	}
	_, err = binrpc.Parse(packet, rpc.Limits{Values: 2})
	var limit *rpc.LimitError
	fmt.Println(errors.As(err, &limit), err)

	_, err = binrpc.Parse([]byte("HTTP/1.1 200 OK"), rpc.Limits{})
	var syntax *binrpc.SyntaxError
	fmt.Println(errors.As(err, &syntax), syntax)
	// Output:
	// true the reply is beyond the limit of 2 values
	// true not BINRPC: 0x48 instead of 0xa1, the start of a packet, at byte 0
}
