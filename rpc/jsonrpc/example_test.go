package jsonrpc_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/jsonrpc"
)

const uptime = `{"jsonrpc":"2.0","result":{"uptime":86400},"id":1}`

// A list of named values is an array of objects in JSON. Parse converts it to a Struct,
// as over BINRPC.
func ExampleParse() {
	reply := `{"jsonrpc":"2.0","result":{"TARGETS":[{"DEST":"sip:a"},{"DEST":"sip:b"}]},"id":1}`
	message, err := jsonrpc.Parse([]byte(reply), rpc.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	for destination := range message.Value.Get("TARGETS").Named("DEST") {
		fmt.Println(destination.Text())
	}
	// Output:
	// sip:a
	// sip:b
}

func ExampleNewHTTP() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, uptime)
	}))
	defer server.Close()

	client := jsonrpc.NewHTTP(server.URL+"/RPC", jsonrpc.Options{})
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	// Output: {"uptime":86400} <nil>
}

func ExampleNewTCP() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1000))
		_, _ = io.WriteString(conn, uptime)
	}()

	client := jsonrpc.NewTCP(listener.Addr().String(), jsonrpc.Options{})
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	// Output: {"uptime":86400} <nil>
}

func ExampleNewDatagram() {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go func() {
		_, from, err := server.ReadFrom(make([]byte, 1000))
		if err != nil {
			return
		}
		_, _ = server.WriteTo([]byte(uptime), from)
	}()

	client := jsonrpc.NewDatagram("udp", server.LocalAddr().String(), jsonrpc.Options{})
	defer client.Close()
	fmt.Println(rpc.One(context.Background(), client, "core.uptime"))
	// Output: {"uptime":86400} <nil>
}
