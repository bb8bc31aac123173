package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"text/template"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// replies contains the records of the replies in these examples, by method.
var replies = map[string][]any{
	"core.uptime": {rpc.Members{{Name: "now", Value: "Mon Nov 23 06:00:00 2026"}, {Name: "uptime", Value: 86400}}},
	"core.info":   {rpc.Members{{Name: "version", Value: "kamailio 6.0.1"}, {Name: "max_while_loops", Value: 100}}},
	"tm.stats":    {rpc.Members{{Name: "current", Value: 12}, {Name: "waiting", Value: -3}}},
	"dispatcher.list": {rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{
		{Name: "SET", Value: rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: rpc.Members{
			{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: "sip:10.0.0.1"}, {Name: "FLAGS", Value: "AP"}}},
			{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: "sip:10.0.0.2"}, {Name: "FLAGS", Value: "IP"}}},
		}}}},
	}}}},
}

// connect starts a server in place of a Kamailio and connects to it.
func connect() (client rpc.Client, stop func()) {
	server := binrpctest.NewServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		if records, ok := replies[call.Method]; ok {
			return records, nil
		}
		return nil, &rpc.Fault{Code: 500, Reason: "command " + call.Method + " not found"}
	})
	client, err := dial.New(server.URI)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		_ = client.Close()
		_ = server.Close()
	}
}

func Example() {
	client, stop := connect() // dial.New("unix:/run/kamailio/kamailio_ctl")
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()

	reply, err := rpc.One(ctx, client, "dispatcher.list")
	if err != nil {
		log.Fatal(err)
	}
	for set := range reply.Get("RECORDS").Named("SET") {
		for destination := range set.Get("TARGETS").Named("DEST") {
			fmt.Println(destination.Get("URI").Text(), destination.Get("FLAGS").Text())
		}
	}
	// Output:
	// sip:10.0.0.1 AP
	// sip:10.0.0.2 IP
}

func ExampleOne() {
	client, stop := connect()
	defer stop()

	reply, err := rpc.One(context.Background(), client, "core.uptime")
	if err != nil {
		log.Fatal(err)
	}
	seconds, ok := reply.Get("uptime").Int()
	fmt.Println(seconds, ok)
	// Output: 86400 true
}

func ExampleClient_Do() {
	client, stop := connect()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()

	calls := []rpc.Call{
		{Method: "core.uptime", Idempotent: true}, // may be sent again if the connection fails
		{Method: "no.such"},                       // is not sent again
	}
	for i, reply := range client.Do(ctx, calls...) {
		if reply.Err != nil {
			fmt.Println(calls[i], "failed:", reply.Err)
			continue
		}
		fmt.Println(calls[i], reply.Value.Get("uptime"))
	}
	// Output:
	// core.uptime 86400
	// no.such failed: Kamailio replied with fault 500: command no.such not found
}

// The replies of a batch can be used as they arrive. The batch is sent when the loop
// starts.
func ExampleClient_Stream() {
	client, stop := connect()
	defer stop()

	calls := []rpc.Call{{Method: "core.info"}, {Method: "core.uptime"}}
	for i, reply := range client.Stream(context.Background(), calls...) {
		fmt.Println(calls[i].Method, reply.Err, reply.Value.Len(), "values")
	}
	// Output:
	// core.info <nil> 2 values
	// core.uptime <nil> 2 values
}

// In the plain form, a name that repeats is a list, which templates and jq can use.
func ExampleValue_Plain() {
	client, stop := connect()
	defer stop()

	list, err := rpc.One(context.Background(), client, "dispatcher.list")
	if err != nil {
		log.Fatal(err)
	}
	text := `{{range .RECORDS.SET.TARGETS.DEST}}{{.URI}} has the flags {{.FLAGS}}
{{end}}`
	if err := template.Must(template.New("").Parse(text)).Execute(os.Stdout, list.Plain()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// sip:10.0.0.1 has the flags AP
	// sip:10.0.0.2 has the flags IP
}

func ExampleEncode() {
	type destination struct {
		URI      string `rpc:"URI"`
		Priority int    `rpc:"PRIORITY"`
	}
	v, err := rpc.Encode([]destination{{"sip:10.0.0.1", 10}, {"sip:10.0.0.2", 5}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v)

	var again []destination
	err = v.Decode(&again)
	fmt.Println(again, err)
	// Output:
	// [{"URI":"sip:10.0.0.1","PRIORITY":10},{"URI":"sip:10.0.0.2","PRIORITY":5}]
	// [{sip:10.0.0.1 10} {sip:10.0.0.2 5}] <nil>
}

func ExampleCall_String() {
	call := rpc.Call{Method: "htable.get", Args: []any{"calls", "total"}}
	fmt.Println(call)
	// Output: htable.get calls total
}

func ExampleFault() {
	client, stop := connect()
	defer stop()

	_, err := rpc.One(context.Background(), client, "no.such")
	var fault *rpc.Fault
	if errors.As(err, &fault) {
		fmt.Println(fault.Code, fault.Reason)
	}
	// Output: 500 command no.such not found
}

func ExampleFault_NoSuchMethod() {
	absent := &rpc.Fault{Code: 500, Reason: "command htable.dump not found"}
	failed := &rpc.Fault{Code: 500, Reason: "No Destination Sets"}
	fmt.Println(absent.NoSuchMethod(), failed.NoSuchMethod())
	// Output: true false
}

func ExampleValue_Decode() {
	client, stop := connect()
	defer stop()
	reply, err := rpc.One(context.Background(), client, "dispatcher.list")
	if err != nil {
		log.Fatal(err)
	}

	var list struct {
		Sets    int `rpc:"NRSETS"`
		Records struct {
			Set []struct { // a slice receives all values of a name that repeats
				ID      int
				Targets struct {
					Dest []struct{ URI, Flags string }
				}
			}
		}
	}
	if err := reply.Decode(&list); err != nil {
		log.Fatal(err)
	}
	fmt.Println(list.Sets, list.Records.Set[0].Targets.Dest)
	// Output: 1 [{sip:10.0.0.1 AP} {sip:10.0.0.2 IP}]
}

func ExampleDecodeError() {
	v, err := rpc.ValueOf(rpc.Members{{Name: "stats", Value: rpc.Members{{Name: "used", Value: -1.5}}}})
	if err != nil {
		log.Fatal(err)
	}
	var into map[string]map[string]uint64
	err = v.Decode(&into)
	var misfit *rpc.DecodeError
	if errors.As(err, &misfit) {
		fmt.Println(misfit.Path, misfit.Kind, misfit.Type)
	}
	// Output: stats.used double uint64
}

// BINRPC does not specify whether an int is signed, so the caller chooses.
func ExampleValue_Uint() {
	client, stop := connect()
	defer stop()
	reply, err := rpc.One(context.Background(), client, "tm.stats")
	if err != nil {
		log.Fatal(err)
	}

	signed, _ := reply.Get("waiting").Int()
	unsigned, _ := reply.Get("waiting").Uint()
	fmt.Println(signed, unsigned)
	// Output: -3 4294967293
}

// Get returns the zero Value for an absent name, whose accessors return zero values.
func ExampleValue_Get() {
	v, err := rpc.ValueOf(rpc.Members{{Name: "a", Value: rpc.Members{{Name: "b", Value: "text"}}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q %q\n", v.Get("a").Get("b").Text(), v.Get("x").Get("y").Text())
	fmt.Println(v.Get("x").Exists(), v.Get("x").Kind())
	// Output:
	// "text" ""
	// false nothing
}

func ExampleValue_All() {
	v, err := rpc.ValueOf(rpc.Members{{Name: "a", Value: 1}, {Name: "b", Value: "two"}, {Name: "a", Value: nil}})
	if err != nil {
		log.Fatal(err)
	}
	for member := range v.All() {
		fmt.Println(member.Name(), member.Kind(), member)
	}
	// Output:
	// a int 1
	// b string "two"
	// a null null
}

func ExampleValue_Named() {
	v, err := rpc.ValueOf(rpc.Members{{Name: "DEST", Value: "a"}, {Name: "ID", Value: 1}, {Name: "DEST", Value: "b"}})
	if err != nil {
		log.Fatal(err)
	}
	for destination := range v.Named("DEST") {
		fmt.Println(destination)
	}
	// Output:
	// "a"
	// "b"
}

// One record and a list of one record are encoded in the same way. Rows returns both as
// a list.
func ExampleValue_Rows() {
	one, err := rpc.ValueOf(rpc.Members{{Name: "pid", Value: 1}})
	if err != nil {
		log.Fatal(err)
	}
	two, err := rpc.ValueOf(rpc.Members{{Name: "pid", Value: 1}}, rpc.Members{{Name: "pid", Value: 2}})
	if err != nil {
		log.Fatal(err)
	}
	for _, reply := range []rpc.Value{one, two} {
		fmt.Print(reply.Kind(), ":")
		for process := range reply.Rows() {
			fmt.Print(" ", process)
		}
		fmt.Println()
	}
	// Output:
	// struct: {"pid":1}
	// array: {"pid":1} {"pid":2}
}

func ExampleValue_MarshalJSON() {
	v, err := rpc.ValueOf(rpc.Members{
		{Name: "uri", Value: "<sip:a@b>"},
		{Name: "list", Value: rpc.Members{{Value: 1}, {Value: 1.5}}},
		{Name: "attrs", Value: nil},
	})
	if err != nil {
		log.Fatal(err)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		log.Fatal(err)
	}
	// Output: {"uri":"<sip:a@b>","list":[1,1.5],"attrs":null}
}

func ExampleValue_Interface() {
	v, err := rpc.ValueOf([]any{1, "a", nil})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%#v\n", v.Interface())
	// Output: []interface {}{1, "a", interface {}(nil)}
}

func ExampleValueOf() {
	v, err := rpc.ValueOf(rpc.Members{
		{Name: "name", Value: "a"},
		{Name: "name", Value: true}, // names may repeat
		{Name: "list", Value: []any{0.5, nil}},
	})
	fmt.Println(v, err)
	// Output: [{"name":"a"},{"name":1},{"list":[0.5,null]}] <nil>
}
